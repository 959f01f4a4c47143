import type { Clock } from '#base/clock.ts'
import { SluiceError } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, deny, type Verdict } from '#decision/verdict.ts'
import { createPeerVerifier, type PeerVerifierOptions } from './peer/peer.ts'
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

export { tenantFault } from './tenant-binding.ts'

/**
 * Who is calling: the workload from the certificate that Envoy passes, and the tenant it acts for. Where no
 * resources are configured only the workload is demanded.
 *
 * @throws SluiceError when a trust domain is none.
 */
export function createIdentityStage(
  options: Omit<PeerVerifierOptions, 'maxChecksPerSecond'> & { readonly clock?: Clock },
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

  const identify = (x: Exchange): Verdict => {
    const { certificate, api, headers } = x.request
    for (const name of singleHeaders) {
      if (headers.all(name).length > 1) return deny('header_duplicated', name)
    }
    if (certificate === undefined) return deny('peer_certificate_missing')
    const verdict = peers.verify(certificate, api)
    if (!verdict.ok) return deny(verdict.reason, verdict.detail)
    x.peer = verdict.peer
    // Without resources nobody was declared; a set that lost its last tenant demands one all the same.
    if (x.resources.epoch === 0) return ALLOW
    const binding = bindTenant(x.resources, x.peer, x.token)
    if (binding.kind !== 'tenant') return binding
    x.tenant = binding.tenant
    return ALLOW
  }
  return { name: 'identity', failureReason: 'internal_error', request: identify }
}
