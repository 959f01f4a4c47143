import { SluiceError } from '#base/errors.ts'
import { perResources, type Tenant } from '#resources/resources.ts'
import { matchesPeer, type PeerPattern, parsePeerPattern } from './peer-pattern.ts'
import type { SpiffeId } from './spiffe-id.ts'

export type Binding =
  | { readonly kind: 'tenant'; readonly tenant: Tenant }
  | { readonly kind: 'none' }
  | { readonly kind: 'several'; readonly names: readonly string[] }

interface Candidate {
  readonly tenant: Tenant
  readonly patterns: readonly PeerPattern[]
}

/** Identities whose tenant is remembered for each set of resources. */
const maxRemembered = 10_000

const compiled = perResources((resources) => ({
  candidates: resources.tenants.map(
    (tenant): Candidate => ({ tenant, patterns: tenant.peers.map((text) => patternOf(tenant, text)) }),
  ),
  remembered: new Map<string, Binding>(),
}))

/** The one tenant that a workload acts for. Two that claim it are a mistake, and nobody's. */
export function bindTenant(resources: Parameters<typeof compiled>[0], id: SpiffeId): Binding {
  const { candidates, remembered } = compiled(resources)
  const known = remembered.get(id.text)
  if (known !== undefined) return known
  const claims = candidates.filter(({ patterns }) =>
    patterns.some((pattern) => matchesPeer(pattern, id.trustDomain, id.path)),
  )
  const [first, second] = claims
  let binding: Binding
  if (first === undefined) binding = { kind: 'none' }
  else if (second === undefined) binding = { kind: 'tenant', tenant: first.tenant }
  else binding = { kind: 'several', names: claims.map(({ tenant }) => tenant.name) }
  if (remembered.size >= maxRemembered) remembered.clear()
  remembered.set(id.text, binding)
  return binding
}

function patternOf(tenant: Tenant, text: string): PeerPattern {
  const parsed = parsePeerPattern(text)
  if (parsed.ok) return parsed.pattern
  throw new SluiceError({
    code: 'tenant_peer_invalid',
    place: `Tenant ${tenant.name}: peers`,
    found: `${text}: ${parsed.why}`,
    expected: 'a SPIFFE ID pattern such as spiffe://example.org/ns/acme/**',
  })
}
