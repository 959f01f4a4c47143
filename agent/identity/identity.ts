import type { Clock } from '#base/clock.ts'
import { SluiceError } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, allowWith, deny, type Verdict } from '#decision/verdict.ts'
import type { Tenant } from '#resources/resources.ts'
import { createForwardedReader, forwardedHeader } from './forwarded/forwarded.ts'
import { createPeerVerifier, type PeerVerifierOptions } from './peer/peer.ts'
import { parsePeerPattern } from './peer-pattern.ts'
import { trustDomainFault } from './spiffe-id.ts'
import { bindTenant } from './tenant-binding.ts'

/** Headers that decide something and must not be said twice: readers differ in which one they believe. */
const singleHeaders = [
  'authorization',
  'dpop',
  'host',
  ':authority',
  'content-length',
  'content-type',
  'x-session-id',
]

/**
 * Who is calling: the workload from the certificate that Envoy passes, and the tenant it acts for. Where no
 * resources are configured only the workload is demanded.
 *
 * @throws SluiceError when a trust domain is none.
 */
export function createIdentityStage(
  options: Omit<PeerVerifierOptions, 'maxChecksPerSecond'> & {
    /** SPIFFE ID patterns of gateways whose x-forwarded-client-cert is read. */
    readonly trustedForwarders?: readonly string[]
    readonly clock?: Clock
  },
): Stage {
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
  const peers = createPeerVerifier(options)
  const forwarders = createForwardedReader(options.trustedForwarders ?? [])

  const identify = (x: Exchange): Verdict => {
    const { certificate, api, headers } = x.request
    for (const name of singleHeaders) {
      if (headers.all(name).length > 1) return deny('header_duplicated', name)
    }
    if (certificate === undefined) return deny('peer_certificate_missing')
    const verdict = peers.verify(certificate, api)
    if (!verdict.ok) return deny(verdict.reason, verdict.detail)
    const { id } = verdict
    x.peer = verdict.peer
    const forwarded = forwarders.read(headers, verdict.peer)
    if (forwarded.kind === 'invalid') return deny('forwarded_identity_invalid', forwarded.why)
    if (forwarded.kind === 'forwarded') x.forwarded = forwarded.peer
    // Nobody behind us may believe what nobody vouches for.
    const allowed = forwarded.kind === 'ignored' ? withoutForwarded : ALLOW
    // Without resources nobody was declared; a set that lost its last tenant demands one all the same.
    if (x.resources.epoch === 0) return allowed
    const binding = bindTenant(x.resources, id)
    if (binding.kind === 'none') return deny('tenant_unknown', id.text)
    if (binding.kind === 'several') return deny('tenant_ambiguous', binding.names.join(', '))
    x.tenant = binding.tenant
    return allowed
  }
  return { name: 'identity', failureReason: 'internal_error', request: identify }
}

const withoutForwarded = allowWith({ removeHeaders: [forwardedHeader] })

/** Why a Tenant cannot be used: the first of its patterns that is none. */
export function tenantFault(tenant: Tenant): string | undefined {
  for (const text of tenant.peers) {
    const parsed = parsePeerPattern(text)
    if (!parsed.ok) return `Tenant ${tenant.name}: the peer pattern ${text} ${parsed.why}`
  }
  return undefined
}
