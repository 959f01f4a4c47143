import { LRUCache } from 'lru-cache'
import { type Clock, systemClock } from '#base/clock.ts'
import { SluiceError } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, deny, type Verdict } from '#decision/verdict.ts'
import type { Tenant } from '#resources/resources.ts'
import { type ParsedLeaf, parseLeaf } from './leaf.ts'
import { parsePeerPattern } from './peer-pattern.ts'
import { trustDomainFault } from './spiffe-id.ts'
import { bindTenant } from './tenant-binding.ts'

/**
 * Who is calling: the workload from the certificate that Envoy passes, and the tenant it acts for. Where no
 * resources are configured only the workload is demanded.
 *
 * @throws SluiceError when a trust domain is none.
 */
export function createIdentityStage(options: {
  /** Whose workloads may call. */
  readonly trustDomains: readonly string[]
  readonly clock?: Clock
}): Stage {
  const { clock = systemClock } = options
  for (const name of options.trustDomains) {
    const found = trustDomainFault(name)
    if (found !== undefined) {
      const expected = 'a trust domain name, without spiffe://'
      throw new SluiceError({
        code: 'trust_domain_invalid',
        place: 'identity.trustDomains',
        found: `${name}: ${found}`,
        expected,
      })
    }
  }
  const trusted = new Set(options.trustDomains)
  // By the whole PEM text: what is remembered about one certificate can never be said of another.
  const leaves = new LRUCache<string, ParsedLeaf>({ max: 4096 })

  const identify = (x: Exchange): Verdict => {
    const { certificate, api } = x.request
    if (certificate === undefined) return deny('peer_certificate_missing')
    // Only ext_proc says whether Envoy validated the chain; there it must say yes.
    if (
      certificate.isChainValid === false ||
      (api === 'ext_proc' && certificate.isChainValid === undefined)
    ) {
      return deny('peer_certificate_untrusted')
    }
    let parsed = leaves.get(certificate.pem)
    if (parsed === undefined) {
      parsed = parseLeaf(certificate.pem)
      leaves.set(certificate.pem, parsed)
    }
    if (!parsed.ok) return deny('peer_certificate_invalid', parsed.why)
    const { id, sha256, notBeforeMs, notAfterMs } = parsed.leaf
    const nowMs = clock.nowMs()
    if (nowMs >= notAfterMs || nowMs < notBeforeMs) return deny('peer_certificate_expired', id.text)
    if (!trusted.has(id.trustDomain)) return deny('peer_trust_domain_foreign', id.text)
    x.peer = {
      spiffeId: id.text,
      trustDomain: id.trustDomain,
      path: id.path,
      certificateSha256: sha256,
      notAfterMs,
    }
    // Without resources nobody was declared; a set that lost its last tenant demands one all the same.
    if (x.resources.epoch === 0) return ALLOW
    const binding = bindTenant(x.resources, id)
    if (binding.kind === 'none') return deny('tenant_unknown', id.text)
    if (binding.kind === 'several') return deny('tenant_ambiguous', binding.names.join(', '))
    x.tenant = binding.tenant
    return ALLOW
  }
  return { name: 'identity', failureReason: 'internal_error', request: identify }
}

/** Why a Tenant cannot be used: the first of its patterns that is none. */
export function tenantFault(tenant: Tenant): string | undefined {
  for (const text of tenant.peers) {
    const parsed = parsePeerPattern(text)
    if (!parsed.ok) return `Tenant ${tenant.name}: the peer pattern ${text} ${parsed.why}`
  }
  return undefined
}
