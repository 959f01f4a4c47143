import type { Clock } from '#base/clock.ts'
import { charge, smallRateOf, waitUs } from '#base/gcra.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import type { TrustBundle } from '../bundle/trust-bundle.ts'
import type { IdentityState } from '../source/source.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import type { Certificate } from '../x509/certificate.ts'
import { findChain } from '../x509/chain.ts'
import { parseLeafPem } from '../x509/leaf.ts'
import { createIssuerMemory } from './issuer-memory.ts'

/** What was found of a certificate's chain, and for how long that holds. */
export interface JudgedChain {
  /** `undefined` where the chain is good, or Envoy is believed. */
  readonly fault: string | undefined
  readonly generation: number
  readonly svids: IdentityState['svids']
  readonly fromMs: number
  readonly untilMs: number
}

export type ChainJudgement =
  | { readonly kind: 'judged'; readonly chain: JudgedChain }
  /** Nothing that may be remembered. */
  | { readonly kind: 'unjudged'; readonly reason: ReasonCode; readonly detail: string }

export interface ChainJudge {
  /** Whether what was found once still holds: the bundles are the same, and every CA of the chain is valid. */
  isCurrent(chain: JudgedChain, nowMs: number): boolean
  /** `leaf` is one that was read, or the PEM of one that was read once. */
  judge(leaf: Certificate | string, id: SpiffeId, nowMs: number): ChainJudgement
}

/** A no may become a yes with time, where a CA is not valid yet. */
const refusalMs = 10_000

/**
 * Looks for the way from certificates to the bundle of their own trust domain. The intermediates are those of our own
 * chains, for Envoy passes none. Signatures are looked at last, and of so many certificates in a second only.
 */
export function createChainJudge(options: {
  readonly state: () => IdentityState | undefined
  readonly isEnvoyBelieved: boolean
  readonly maxChecksPerSecond: number
  readonly clock: Clock
}): ChainJudge {
  const { state, isEnvoyBelieved, clock } = options
  const rate = smallRateOf({
    rate: options.maxChecksPerSecond,
    windowMs: 1000,
    burst: options.maxChecksPerSecond,
  })
  const checks = { level: 0, atUs: 0 }
  const issuers = createIssuerMemory()

  const judged = (
    known: IdentityState,
    fault: string | undefined,
    [fromMs, untilMs]: readonly [number, number],
  ): ChainJudgement => ({
    kind: 'judged',
    chain: { fault, generation: known.generation, svids: known.svids, fromMs, untilMs },
  })

  return {
    isCurrent: (chain, nowMs) => {
      const now = state()
      return (
        now !== undefined &&
        chain.generation === now.generation &&
        chain.svids === now.svids &&
        nowMs >= chain.fromMs &&
        nowMs < chain.untilMs
      )
    },
    judge: (leaf, id, nowMs) => {
      const known = state()
      const bundle = known?.bundles.get(id.trustDomain)
      if (known === undefined || bundle === undefined)
        return unjudged('peer_bundle_missing', `no trust bundle for ${id.trustDomain}`)
      if (bundle.x509Authorities.length === 0)
        return unjudged('peer_bundle_missing', `the trust bundle of ${id.trustDomain} has no authorities`)
      issuers.learn(known)
      const certificate = typeof leaf === 'string' ? readAgain(leaf) : leaf
      const intermediates = intermediatesOf(known)
      if (!hasIssuer(certificate, bundle, intermediates)) {
        const isKnownFormerly = issuers.has(id.trustDomain, certificate.issuer)
        if (isEnvoyBelieved && !isKnownFormerly)
          return judged(known, undefined, [certificate.notBeforeMs, certificate.notAfterMs])
        const fault = isKnownFormerly ? 'its issuer is trusted no longer' : 'its issuer is not known'
        return judged(known, fault, [nowMs, nowMs + refusalMs])
      }
      const nowUs = clock.monotonicUs()
      if (waitUs(checks, rate, nowUs) > 0) return unjudged('peer_checks_exhausted', id.text)
      charge(checks, rate, nowUs)
      const authorities = bundle.x509Authorities
      const verdict = findChain(certificate, { intermediates, authorities, nowMs })
      return verdict.ok
        ? judged(known, undefined, validity(verdict.chain))
        : judged(known, verdict.why, [nowMs, nowMs + refusalMs])
    },
  }
}

const unjudged = (reason: ReasonCode, detail: string): ChainJudgement => ({
  kind: 'unjudged',
  reason,
  detail,
})

function readAgain(pem: string): Certificate {
  const parsed = parseLeafPem(pem)
  if (!parsed.ok) throw new Error(`a certificate that was read once is none: ${parsed.why}`)
  return parsed.leaf.certificate
}

const remembered = new WeakMap<IdentityState['svids'], readonly Certificate[]>()

function intermediatesOf({ svids }: IdentityState): readonly Certificate[] {
  let found = remembered.get(svids)
  if (found === undefined) {
    found = svids.flatMap(({ chain }) => chain.slice(1))
    remembered.set(svids, found)
  }
  return found
}

/** Costs nothing beside a signature. */
function hasIssuer(
  { issuer }: Certificate,
  { x509Authorities }: TrustBundle,
  intermediates: readonly Certificate[],
): boolean {
  const isIssuer = ({ subject }: Certificate) => subject.equals(issuer)
  return x509Authorities.some(isIssuer) || intermediates.some(isIssuer)
}

/** When every certificate of a chain is valid. */
function validity(chain: readonly Certificate[]): readonly [fromMs: number, untilMs: number] {
  let [fromMs, untilMs] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (const { notBeforeMs, notAfterMs } of chain) {
    fromMs = Math.max(fromMs, notBeforeMs)
    untilMs = Math.min(untilMs, notAfterMs)
  }
  return [fromMs, untilMs]
}
