import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import { readClaims } from '../token/claims.ts'
import { tokenFacts } from '../token/facts.ts'
import { type ClaimRules, type ClaimRulesConfig, createClaimRules } from '../token/issuer.ts'
import { refuse, type TokenVerdict } from '../token/types.ts'
import { type BudgetOptions, VerificationBudget } from '../token/verification-budget.ts'
import { type Introspected, readAnswer } from './answer.ts'
import { type BreakerOptions, CircuitBreaker } from './breaker.ts'
import { type CallOptions, callEndpoint } from './call.ts'
import { readSignedAnswer, signedMediaType } from './signed-answer.ts'

export type { ClientAuthentication } from './client-authentication.ts'

/** One issuer whose tokens its own server is asked about. */
export interface IntrospectionConfig extends Omit<CallOptions, 'issuer' | 'accept'> {
  /** How long a token that is active is not asked about again; never longer than it lives. */
  readonly cacheSeconds: number
  /** The same of one that is not, or not for us. */
  readonly negativeCacheSeconds: number
  /** Calls that may be under way at once. */
  readonly maxConcurrent: number
  readonly breaker?: BreakerOptions
  /** Calls that one peer may cause for tokens that prove not to be good. */
  readonly budget?: BudgetOptions
  /** Where answers must be signed: with which keys, and by which algorithms. */
  readonly signed?: {
    readonly keys: () => readonly VerifyingKey[] | undefined
    readonly algorithms: readonly string[]
  }
}

export interface IntrospectionCounts {
  /** Answered from what is remembered. */
  hits: number
  calls: number
  /** Calls that told nothing. */
  failures: number
  /** Refused without a call: too many under way, or a server that does not answer. */
  rejected: number
  /** The same, for what the peer had asked about before. */
  throttled: number
}

export interface Introspection {
  /**
   * Whether a token is good, and what it says. A promise only where its issuer must be asked; it never rejects. `peer` is who
   * sent it; one that sends too many which are not good is refused without a call.
   */
  introspect(token: string, peer: string): TokenVerdict | Promise<TokenVerdict>
  readonly counts: Readonly<IntrospectionCounts>
  /** Why the last call told nothing; undefined once one does. */
  problem(): string | undefined
}

interface Remembered {
  readonly verdict: TokenVerdict
  readonly endUs: number
  /** Of wall time: from when on, and until when, the token is good. */
  readonly notBeforeMs: number
  readonly expiresAtMs: number
}

const maxTokenCharacters = 8192
const maxRemembered = 10_000
const defaultBreaker: BreakerOptions = { failures: 5, pauseMs: 5000 }
const defaultBudget: BudgetOptions = { perSecond: 50, burst: 100 }

/**
 * Asks an issuer about tokens that only it can read. What it says is checked as the claims of a JWT are, and remembered for
 * a short while by the hash of the token. Whatever goes wrong refuses, as `introspection_failed`.
 *
 * @see RFC 7662
 */
export function createIntrospection(
  rulesConfig: ClaimRulesConfig,
  config: IntrospectionConfig,
  { clock = systemClock }: { readonly clock?: Clock } = {},
): Introspection {
  const rules = createClaimRules(rulesConfig)
  const breaker = new CircuitBreaker(config.breaker ?? defaultBreaker)
  const budget = new VerificationBudget(config.budget ?? defaultBudget)
  // Apart, so that junk drives out nothing that is good.
  const active = new LRUCache<string, Remembered>({ max: maxRemembered })
  const inactive = new LRUCache<string, Remembered>({ max: maxRemembered })
  const underWay = new Map<string, Promise<TokenVerdict>>()
  const counts: IntrospectionCounts = { hits: 0, calls: 0, failures: 0, rejected: 0, throttled: 0 }
  const call: CallOptions = {
    ...config,
    issuer: rules.name,
    accept: config.signed === undefined ? 'application/json' : signedMediaType,
  }
  const signed = config.signed && {
    issuer: rules.name,
    audience: config.authentication.clientId,
    algorithms: new Set(config.signed.algorithms),
    keys: config.signed.keys,
    skewMs: rules.skewMs,
  }
  let problem: string | undefined

  function known(digest: string, nowUs: number): TokenVerdict | undefined {
    const found = active.get(digest) ?? inactive.get(digest)
    if (found === undefined || nowUs >= found.endUs) return undefined
    const nowMs = clock.nowMs()
    const isInTime = nowMs < found.expiresAtMs + rules.skewMs && nowMs >= found.notBeforeMs - rules.skewMs
    return isInTime ? found.verdict : undefined
  }

  async function ask(
    token: string,
    {
      digest,
      peer,
      chargedAtUs,
    }: { readonly digest: string; readonly peer: string; readonly chargedAtUs: number },
  ): Promise<TokenVerdict> {
    const introspected = await called(token)
    const nowUs = clock.monotonicUs()
    if (introspected.kind === 'failed') {
      // What a token brought about must not keep the server from being asked about the others.
      if (introspected.isOfToken === true) breaker.succeeded()
      else {
        breaker.failed(nowUs)
        budget.refund(peer, chargedAtUs, nowUs)
      }
      counts.failures++
      problem = `${rules.name}: ${introspected.why}`
      return refuse('introspection_failed', introspected.why)
    }
    breaker.succeeded()
    problem = undefined
    const judged = judge(introspected, rules, digest, clock.nowMs())
    const { verdict } = judged
    if (verdict.ok) budget.refund(peer, chargedAtUs, nowUs)
    const seconds = verdict.ok ? config.cacheSeconds : config.negativeCacheSeconds
    active.delete(digest)
    inactive.delete(digest)
    const entry = { ...judged, endUs: nowUs + seconds * 1e6 }
    ;(verdict.ok ? active : inactive).set(digest, entry)
    return verdict
  }

  async function called(token: string): Promise<Introspected> {
    try {
      const answer = await callEndpoint(call, token, clock.nowMs())
      return signed === undefined ? readAnswer(answer) : readSignedAnswer(answer, signed, clock.nowMs())
    } catch (thrown) {
      return { kind: 'failed', why: messageOf(thrown) }
    }
  }

  return {
    introspect(token, peer) {
      if (token.length > maxTokenCharacters) return refuse('token_malformed', 'too long')
      const nowUs = clock.monotonicUs()
      const digest = hash('sha256', token, 'base64url')
      const before = known(digest, nowUs)
      if (before !== undefined) {
        counts.hits++
        return before
      }
      const sameCall = underWay.get(digest)
      if (sameCall !== undefined) return sameCall
      if (budget.isSpent(peer, nowUs)) {
        counts.throttled++
        return refuse('token_verification_throttled', 'the peer sent too many tokens that are not good')
      }
      if (underWay.size >= config.maxConcurrent) {
        counts.rejected++
        return refuse('introspection_failed', `${config.maxConcurrent} calls are under way`)
      }
      if (!breaker.admits(nowUs)) {
        counts.rejected++
        return refuse('introspection_failed', `not asked for a while: ${problem ?? 'it did not answer'}`)
      }
      counts.calls++
      // Until it is known to be good: else one peer could take every call that may be under way.
      budget.charge(peer, 1, nowUs)
      const asked = ask(token, { digest, peer, chargedAtUs: nowUs }).finally(() => underWay.delete(digest))
      underWay.set(digest, asked)
      return asked
    },
    counts,
    problem: () => problem,
  }
}

function judge(
  introspected: Exclude<Introspected, { kind: 'failed' }>,
  rules: ClaimRules,
  digest: string,
  nowMs: number,
): Omit<Remembered, 'endUs'> {
  const never = { notBeforeMs: Number.NEGATIVE_INFINITY, expiresAtMs: Number.POSITIVE_INFINITY }
  if (introspected.kind === 'inactive')
    return { verdict: refuse('token_inactive', 'the issuer says it is not active'), ...never }
  const { claims } = introspected
  const { iss } = claims
  if (iss !== undefined && iss !== rules.name)
    return { verdict: refuse('token_issuer_unknown', 'the issuer says it is of another one'), ...never }
  const read = readClaims(claims, rules, nowMs)
  if (!read.ok) return { verdict: read, ...never }
  const { notBeforeMs, expiresAtMs } = read
  const token = tokenFacts(read, { kind: 'opaque', issuer: rules.name, claims, hash: digest })
  return { verdict: Object.freeze({ ok: true, token }), notBeforeMs, expiresAtMs }
}
