import { SluiceError } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, allowWith, deny, mergeMutations, type Verdict } from '#decision/verdict.ts'
import { judgeToken, type TokenRules } from './caller-token/caller-token.ts'
import { createForwardedReader, forwardedHeader } from './forwarded/forwarded.ts'
import { createPeerVerifier, type PeerVerifierOptions } from './peer/peer.ts'
import { trustDomainFault } from './spiffe-id.ts'
import { bindTenant } from './tenant-binding.ts'

export { tenantFault } from './tenant-binding.ts'

export interface IdentityOptions extends Omit<PeerVerifierOptions, 'maxChecksPerSecond'> {
  /** SPIFFE ID patterns of gateways whose x-forwarded-client-cert is read. */
  readonly trustedForwarders?: readonly string[]
  /** Absent where no issuer is configured: tokens are nobody's business then. */
  readonly tokens?: TokenRules | undefined
}

/**
 * Who is calling, and for whom: the workload from the certificate that Envoy passes, the token it sends, and the one
 * tenant that both may act for. Where no resources are configured no tenant is demanded.
 *
 * @throws SluiceError when a trust domain is none.
 */
export function createIdentityStage(options: IdentityOptions): Stage {
  checkTrustDomains(options.trustDomains)
  const peers = createPeerVerifier(options)
  const forwarders = createForwardedReader(options.trustedForwarders ?? [])
  const { tokens } = options

  const identify = (x: Exchange): Verdict | Promise<Verdict> => {
    const { certificate, api, headers } = x.request
    if (certificate === undefined) return deny('peer_certificate_missing')
    const verdict = peers.verify(certificate, api)
    if (!verdict.ok) return deny(verdict.reason, verdict.detail)
    x.peer = verdict.peer
    const forwarded = forwarders.read(headers, verdict.peer)
    if (forwarded.kind === 'invalid') return deny('forwarded_identity_invalid', forwarded.why)
    if (forwarded.kind === 'forwarded') x.forwarded = forwarded.peer
    // Neither policy nor anybody behind us may believe what nobody vouches for.
    const isIgnored = forwarded.kind === 'ignored'
    if (isIgnored) x.unvouched = forwardedHeaders
    const allowed = isIgnored ? withoutForwarded : ALLOW
    if (tokens === undefined) return bound(x, allowed)
    const judged = judgeToken(tokens, x, verdict.peer)
    return judged instanceof Promise
      ? judged.then((answer) => bound(x, both(allowed, answer)))
      : bound(x, both(allowed, judged))
  }
  return { name: 'identity', failureReason: 'internal_error', request: identify }
}

const forwardedHeaders: readonly string[] = [forwardedHeader]
const withoutForwarded = allowWith({ removeHeaders: forwardedHeaders })

function both(first: Verdict, second: Verdict): Verdict {
  if (first === ALLOW || first.kind !== 'allow' || second.kind !== 'allow') return second
  return allowWith(mergeMutations(first.mutations, second.mutations))
}

/** The tenant, where the token was not refused. */
function bound(x: Exchange, verdict: Verdict): Verdict {
  // Without resources nobody was declared; a set that lost its last tenant demands one all the same.
  if (verdict.kind !== 'allow' || x.peer === undefined || x.resources.epoch === 0) return verdict
  // Of the direct peer, whoever it says that it forwards: that is evidence, and nobody's proof.
  const binding = bindTenant(x.resources, x.peer, x.token)
  if (binding.kind !== 'tenant') return binding
  x.tenant = binding.tenant
  return verdict
}

function checkTrustDomains(names: readonly string[]): void {
  for (const name of names) {
    const found = trustDomainFault(name)
    if (found === undefined) continue
    throw new SluiceError({
      code: 'trust_domain_invalid',
      place: 'identity.trustDomains',
      found: `${name}: ${found}`,
      expected: 'a trust domain name, without spiffe://',
    })
  }
}
