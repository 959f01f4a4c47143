import { LRUCache } from 'lru-cache'
import { type Clock, systemClock } from '#base/clock.ts'
import type { Peer, PeerCertificate, RequestFacts } from '#decision/exchange.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import type { IdentityState } from '../source/source.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import type { Certificate } from '../x509/certificate.ts'
import { parseLeafPem } from '../x509/leaf.ts'
import { type ChainJudge, createChainJudge, type JudgedChain } from './chain-judge.ts'

export type PeerVerdict =
  | { readonly ok: true; readonly peer: Peer; readonly id: SpiffeId }
  | { readonly ok: false; readonly reason: ReasonCode; readonly detail: string }

export interface PeerVerifier {
  /** Who presents this certificate. It says nothing of what they may. */
  verify(certificate: PeerCertificate, api: RequestFacts['api']): PeerVerdict
}

export interface PeerVerifierOptions {
  /** Whose workloads may call. */
  readonly trustDomains: readonly string[]
  /** What is known of identities now. Without it Envoy alone judges chains. */
  readonly state?: (() => IdentityState | undefined) | undefined
  /** What a certificate is whose issuer is not known here: refused, or what Envoy says of it. */
  readonly peerChain?: 'bundle' | 'envoy'
  /** Chains of certificates never seen before that are judged in a second; more are refused. */
  readonly maxChecksPerSecond?: number
  readonly clock?: Clock
}

/** What is remembered of one certificate, by its whole text: never can it be said of another. */
interface Remembered {
  readonly accepted: Extract<PeerVerdict, { ok: true }>
  readonly notBeforeMs: number
  readonly notAfterMs: number
  chain: JudgedChain | undefined
  /** Until its chain is found good: thousands of them would take megabytes, and the text says it all again. */
  certificate: Certificate | undefined
}

/** Callers whose certificates are good, and the noise beside them: those must not push the others out. */
const [maxGood, maxOthers] = [4096, 1024]

/**
 * Judges the certificates that Envoy passes: the leaf by every rule of the X509-SVID standard, its trust domain, and,
 * where bundles are known, its chain, again with each change of them. Whether it is valid now, and whether the bundle is
 * still there, is looked at on every request: a connection outlives both.
 */
export function createPeerVerifier(options: PeerVerifierOptions): PeerVerifier {
  const { state, peerChain = 'bundle', maxChecksPerSecond = 500, clock = systemClock } = options
  const trusted = new Set(options.trustDomains)
  const good = new LRUCache<string, Remembered>({ max: maxGood })
  const others = new LRUCache<string, Remembered | Extract<PeerVerdict, { ok: false }>>({ max: maxOthers })
  const judge: ChainJudge | undefined =
    state && createChainJudge({ state, isEnvoyBelieved: peerChain === 'envoy', maxChecksPerSecond, clock })

  return {
    verify: (certificate, api) => {
      // Only ext_proc says whether Envoy validated the chain; there it must say yes.
      if (
        certificate.isChainValid === false ||
        (api === 'ext_proc' && certificate.isChainValid === undefined)
      )
        return notValidated
      const { pem } = certificate
      let known = good.get(pem)
      const isGood = known !== undefined
      if (known === undefined) {
        let other = others.get(pem)
        if (other === undefined) {
          other = read(pem)
          others.set(pem, other)
        }
        if ('reason' in other) return other
        known = other
      }
      const { accepted, notBeforeMs, notAfterMs } = known
      const nowMs = clock.nowMs()
      if (nowMs >= notAfterMs || nowMs < notBeforeMs) return no('peer_certificate_expired', accepted.id.text)
      if (!trusted.has(accepted.id.trustDomain)) return no('peer_trust_domain_foreign', accepted.id.text)
      if (judge !== undefined) {
        if (known.chain === undefined || !judge.isCurrent(known.chain, nowMs)) {
          const judged = judge.judge(known.certificate ?? pem, accepted.id, nowMs)
          if (judged.kind === 'unjudged') return no(judged.reason, judged.detail)
          known.chain = judged.chain
        }
        const { fault } = known.chain
        if (fault !== undefined) return no('peer_certificate_untrusted', `${accepted.id.text}: ${fault}`)
      }
      if (!isGood) {
        known.certificate = undefined
        good.set(pem, known)
        others.delete(pem)
      }
      return accepted
    },
  }
}

const no = (reason: ReasonCode, detail: string): Extract<PeerVerdict, { ok: false }> => ({
  ok: false,
  reason,
  detail,
})

const notValidated = no('peer_certificate_untrusted', 'Envoy did not validate the chain')

function read(pem: string): Remembered | Extract<PeerVerdict, { ok: false }> {
  const parsed = parseLeafPem(pem)
  if (!parsed.ok) return no('peer_certificate_invalid', parsed.why)
  const { id, certificate } = parsed.leaf
  const { notBeforeMs, notAfterMs, sha256 } = certificate
  const peer: Peer = {
    spiffeId: id.text,
    trustDomain: id.trustDomain,
    path: id.path,
    certificateSha256: sha256,
    notAfterMs,
  }
  return { accepted: { ok: true, peer, id }, notBeforeMs, notAfterMs, chain: undefined, certificate }
}
