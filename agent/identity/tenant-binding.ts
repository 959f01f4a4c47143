import { claimReader } from '#base/claim-path.ts'
import { SluiceError } from '#base/errors.ts'
import type { TokenFacts } from '#decision/exchange.ts'
import { deny, type Refusal } from '#decision/verdict.ts'
import { perResources, type Resources, type Tenant } from '#resources/resources.ts'
import { matchesPeer, type PeerPattern, parsePeerPattern } from './peer-pattern.ts'
import { parseSpiffeId } from './spiffe-id.ts'

export type Binding = { readonly kind: 'tenant'; readonly tenant: Tenant } | Refusal

/** The direct peer, as far as a tenant is bound to it. */
export interface BoundPeer {
  readonly spiffeId: string
}

interface TokenRule {
  readonly issuer: string
  /** Values of the issuer's tenant claim; `undefined` where it is not asked for. */
  readonly tenant: ReadonlySet<string> | undefined
  readonly subjects: ReadonlySet<string> | undefined
  /** For JWT-SVIDs, whose subjects are workloads. */
  readonly subjectPatterns: readonly PeerPattern[]
  readonly claims: readonly (readonly [read: ReturnType<typeof claimReader>, values: ReadonlySet<string>])[]
}

interface Candidate {
  readonly tenant: Tenant
  readonly patterns: readonly PeerPattern[]
  /** `undefined` where the tenant asks for no token. */
  readonly tokens: readonly TokenRule[] | undefined
}

/** Identities whose tenants are remembered for each set of resources. */
const maxRemembered = 10_000

const compiled = perResources((resources) => ({
  candidates: resources.tenants.map(compileTenant),
  remembered: new Map<string, readonly Candidate[]>(),
}))

/**
 * The one tenant that a request acts for: its peer may act for it, and its token does. Either alone binds nobody where
 * both are asked for, and two tenants that claim the same request are a mistake, and nobody's.
 *
 * @param token the verified token; `undefined` where the request carries none, which is a tenant without `tokens` only
 */
export function bindTenant(resources: Resources, peer: BoundPeer, token: TokenFacts | undefined): Binding {
  const byPeer = candidatesOf(resources, peer)
  if (byPeer.length === 0) return deny('tenant_unknown', peer.spiffeId)
  const bound = byPeer.filter(({ tokens }) =>
    token === undefined ? tokens === undefined : tokens?.some((rule) => covers(rule, token)) === true,
  )
  const [first, second] = bound
  if (first === undefined) return unbound(resources, peer, token)
  if (second !== undefined) return deny('tenant_ambiguous', bound.map(({ tenant }) => tenant.name).join(', '))
  return { kind: 'tenant', tenant: first.tenant }
}

/** Why nobody: there is no token, nobody has such a token, or somebody has for whom the peer may not act. */
function unbound(resources: Resources, peer: BoundPeer, token: TokenFacts | undefined): Refusal {
  if (token === undefined)
    return deny('token_missing', `${peer.spiffeId} acts for tenants that ask for a token`)
  const { candidates } = compiled(resources)
  const others = candidates.filter(({ tokens }) => tokens?.some((rule) => covers(rule, token)) === true)
  const who = `${token.issuer} ${token.tenantClaim ?? token.subject}`
  if (others.length === 0) return deny('tenant_binding_missing', who)
  const names = others.map(({ tenant }) => tenant.name).join(', ')
  return deny('tenant_binding_mismatch', `${peer.spiffeId} may not act for ${names}, to which ${who} belongs`)
}

function candidatesOf(resources: Resources, peer: BoundPeer): readonly Candidate[] {
  const { candidates, remembered } = compiled(resources)
  const known = remembered.get(peer.spiffeId)
  if (known !== undefined) return known
  const parsed = parseSpiffeId(peer.spiffeId)
  const found = parsed.ok
    ? candidates.filter(({ patterns }) =>
        patterns.some((pattern) => matchesPeer(pattern, parsed.id.trustDomain, parsed.id.path)),
      )
    : []
  if (remembered.size >= maxRemembered) remembered.clear()
  remembered.set(peer.spiffeId, found)
  return found
}

function covers(rule: TokenRule, token: TokenFacts): boolean {
  if (rule.issuer !== token.issuer) return false
  if (rule.tenant !== undefined && !(token.tenantClaim !== undefined && rule.tenant.has(token.tenantClaim)))
    return false
  if (rule.subjects !== undefined && !rule.subjects.has(token.subject) && !isPatterned(rule, token))
    return false
  return rule.claims.every(([read, values]) => hasOne(read(token.claims), values))
}

function isPatterned({ subjectPatterns }: TokenRule, { kind, subject }: TokenFacts): boolean {
  if (kind !== 'jwt-svid' || subjectPatterns.length === 0) return false
  const parsed = parseSpiffeId(subject)
  return (
    parsed.ok &&
    subjectPatterns.some((pattern) => matchesPeer(pattern, parsed.id.trustDomain, parsed.id.path))
  )
}

function hasOne(found: unknown, values: ReadonlySet<string>): boolean {
  if (Array.isArray(found)) return found.some((each) => typeof each === 'string' && values.has(each))
  return typeof found === 'string' && values.has(found)
}

/** @throws SluiceError where one of its patterns is none. */
function compileTenant(tenant: Tenant): Candidate {
  return {
    tenant,
    patterns: tenant.peers.map((text) => patternOf(tenant, 'peers', text)),
    tokens: tenant.tokens?.map((rule): TokenRule => {
      const { issuer, subjects, claims } = rule
      const values = rule.tenant ?? (subjects === undefined && claims === undefined ? tenant.name : undefined)
      return {
        issuer,
        tenant: values === undefined ? undefined : setOf(values),
        subjects: subjects && new Set(subjects),
        subjectPatterns: (subjects ?? [])
          .filter((text) => text.startsWith('spiffe://') && text.includes('*'))
          .map((text) => patternOf(tenant, 'tokens.subjects', text)),
        claims: Object.entries(claims ?? {}).map(
          ([name, wanted]) => [claimReader(name), setOf(wanted)] as const,
        ),
      }
    }),
  }
}

/** Why a Tenant cannot be used: the first of its patterns that is none. */
export function tenantFault(tenant: Tenant): string | undefined {
  try {
    compileTenant(tenant)
    return undefined
  } catch (thrown) {
    if (!(thrown instanceof SluiceError)) throw thrown
    return `${thrown.place}: ${thrown.found}`
  }
}

const setOf = (values: string | readonly string[]): ReadonlySet<string> =>
  new Set(typeof values === 'string' ? [values] : values)

function patternOf(tenant: Tenant, field: string, text: string): PeerPattern {
  const parsed = parsePeerPattern(text)
  if (parsed.ok) return parsed.pattern
  throw new SluiceError({
    code: 'tenant_invalid',
    place: `Tenant ${tenant.name}: ${field}`,
    found: `the pattern ${text} ${parsed.why}`,
    expected: 'a SPIFFE ID pattern such as spiffe://example.org/ns/acme/**',
  })
}
