import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type Clock, systemClock } from '#base/clock.ts'
import { SluiceError } from '#base/errors.ts'
import { type ParsedJwk, parsePublicJwk, type VerifyingKey } from '#crypto/jose/jwk.ts'
import { type CompactJws, parseCompactJws, verifyJws } from '#crypto/jose/jws.ts'
import { algorithms as knownAlgorithms } from '#crypto/jose/signature.ts'
import { type BudgetOptions, VerificationBudget } from '../token/verification-budget.ts'
import type { DpopNonces } from './nonces.ts'
import type { ReplayStore } from './replay.ts'
import { normalPath, parseTargetUri, withoutQuery } from './target-uri.ts'

export { createNonces, type DpopNonces, type NonceOptions } from './nonces.ts'
export { createMemoryReplayStore, type ReplayStore } from './replay.ts'

/** What a proof must be one of. */
export interface ProvenRequest {
  readonly method: string
  /** `:path` as it stands on the wire, with its query. */
  readonly path: string
  /** The access token, as it was sent. */
  readonly token: string
  /** `cnf.jkt` of the token, base64url. */
  readonly keyThumbprint: string
  /** Who sent it. */
  readonly peer: string
}

export type ProofVerdict =
  | {
      readonly ok: true
      /** Belongs into the answer as `DPoP-Nonce`: the one that was used will soon not be taken any more. */
      readonly nextNonce?: string
    }
  | {
      readonly ok: false
      readonly reason: 'dpop_proof_invalid' | 'dpop_proof_replayed' | 'token_verification_throttled'
      readonly why: string
    }
  | {
      readonly ok: false
      readonly reason: 'dpop_nonce_required'
      readonly why: string
      /** What the next proof must carry. */
      readonly nonce: string
    }
  | { readonly ok: false; readonly reason: 'replay_store_failed'; readonly cause: unknown }

export interface ProofOptions {
  /** Where clients believe this server to be: scheme, authority and, where a gateway takes one away, the path before. */
  readonly externalUrls: readonly string[]
  /** How far `iat` may be from now, either way. */
  readonly iatWindowSeconds: number
  /** JOSE names of asymmetric signatures. */
  readonly algorithms: readonly string[]
  readonly nonces?: DpopNonces
  readonly replay: ReplayStore
  /** Of keys and signatures that prove wrong, for one peer. */
  readonly budget?: BudgetOptions
  readonly clock?: Clock
}

export type ProofCheck = (proof: string, request: ProvenRequest) => ProofVerdict | Promise<ProofVerdict>

type GoodKey = Extract<ParsedJwk, { ok: true }>

/** Keys of clients that are kept, so as not to be read anew for each proof. */
const maxKeys = 4096
const defaultBudget: BudgetOptions = { perSecond: 50, burst: 100 }
const maxJtiCharacters = 256
/** A UUID has 36 characters, and 96 bits in base64url 16; fewer say that something counts. */
const minJtiCharacters = 8
/** Of what is kept of a proof behind the end of its window. */
const marginMs = 1000

/**
 * Checks proofs of possession. The store is asked last, so that only a whole proof is remembered, and one that fails for
 * another reason can be sent again.
 *
 * @throws SluiceError where an external URL or algorithm is none.
 * @see RFC 9449, 4.3
 */
export function createProofCheck(options: ProofOptions): ProofCheck {
  const { iatWindowSeconds, nonces, replay, clock = systemClock } = options
  const bases = options.externalUrls.map(baseOf)
  const algorithms = new Set(options.algorithms.map(checkedAlgorithm))
  // A client's proofs all have the same header, to the letter. Kept once a signature was good, so that junk drives none out.
  const keys = new LRUCache<string, GoodKey>({ max: maxKeys })
  const budget = new VerificationBudget(options.budget ?? defaultBudget)

  return (text, request) => {
    const parsed = parseCompactJws(text)
    if (!parsed.ok) return invalid(parsed.why)
    const { jws } = parsed
    // What costs little comes before the key, and that before its signature.
    const wrong = headerFault(jws, algorithms) ?? claimFault(jws, request, bases)
    if (wrong !== undefined) return invalid(wrong)
    const nowMs = clock.nowMs()
    const ageMs = nowMs - (jws.claims['iat'] as number) * 1000
    if (Math.abs(ageMs) > iatWindowSeconds * 1000) return invalid('iat is too far from now')
    const nowUs = clock.monotonicUs()
    if (budget.isSpent(request.peer, nowUs))
      return { ok: false, reason: 'token_verification_throttled', why: 'the peer sent too many wrong proofs' }
    /** To read a key costs as much as to check a signature. */
    const paid = (why: string) => {
      budget.charge(request.peer, 1, nowUs)
      return invalid(why)
    }
    const header = jws.signed.slice(0, jws.signed.indexOf('.'))
    const known = keys.get(header)
    const key = known === undefined ? parsePublicJwk(jws.header['jwk']) : known
    if (!key.ok) return paid(`jwk ${key.why}`)
    if (key.key.thumbprint !== request.keyThumbprint)
      return paid('made with another key than the token names')
    if (!verifyJws(jws, key.key, jws.alg)) return paid('the signature is not that of its key')
    if (known === undefined) keys.set(header, key)
    const nonce = nonces === undefined ? 'fresh' : nonceState(nonces, jws)
    if (nonces !== undefined && (nonce === 'wrong' || nonce === 'none'))
      return {
        ok: false,
        reason: 'dpop_nonce_required',
        why: nonce === 'none' ? 'no nonce' : 'a nonce that is not taken',
        nonce: nonces.current(),
      }
    const good: ProofVerdict =
      nonces !== undefined && nonce === 'old' ? { ok: true, nextNonce: nonces.current() } : { ok: true }
    const ttlMs = Math.ceil(iatWindowSeconds * 1000 - ageMs + marginMs)
    return once(() => replay.claim(replayKey(key.key, jws), ttlMs, request.peer), good)
  }
}

function invalid(why: string): ProofVerdict {
  return { ok: false, reason: 'dpop_proof_invalid', why }
}

function headerFault(jws: CompactJws, algorithms: ReadonlySet<string>): string | undefined {
  if (jws.typ !== 'dpop+jwt') return 'typ is not dpop+jwt'
  if (!algorithms.has(jws.alg)) return 'an alg that is not taken'
  return undefined
}

function claimFault(
  { claims }: CompactJws,
  request: ProvenRequest,
  bases: readonly string[],
): string | undefined {
  const { htm, htu, iat, jti, ath } = claims
  if (htm !== request.method) return 'htm is another method'
  if (typeof htu !== 'string') return 'no htu'
  const target = parseTargetUri(htu)
  if (!target.ok) return `htu: ${target.why}`
  const path = normalPath(withoutQuery(request.path))
  if (path === undefined) return 'the path of the request is no path'
  if (!bases.some((base) => target.uri === base + path)) return 'htu is another resource'
  if (typeof iat !== 'number') return 'no iat'
  if (typeof jti !== 'string' || jti.length < minJtiCharacters || jti.length > maxJtiCharacters)
    return `jti is not ${minJtiCharacters} to ${maxJtiCharacters} characters`
  if (ath !== hash('sha256', request.token, 'base64url')) return 'ath is of another token'
  return undefined
}

function nonceState(nonces: DpopNonces, { claims }: CompactJws): 'fresh' | 'old' | 'wrong' | 'none' {
  const { nonce } = claims
  if (nonce === undefined) return 'none'
  return typeof nonce === 'string' ? nonces.check(nonce) : 'wrong'
}

/** Of the key as well: nobody can use up a jti for others. */
function replayKey({ thumbprint }: VerifyingKey, { claims }: CompactJws): string {
  return hash('sha256', `${thumbprint}.${claims['jti']}`, 'base64url')
}

function once(
  claim: () => boolean | Promise<boolean>,
  good: ProofVerdict,
): ProofVerdict | Promise<ProofVerdict> {
  const answered = (isFirst: boolean): ProofVerdict =>
    isFirst ? good : { ok: false, reason: 'dpop_proof_replayed', why: 'the proof was used before' }
  const failed = (cause: unknown): ProofVerdict => ({ ok: false, reason: 'replay_store_failed', cause })
  try {
    const isFirst = claim()
    return typeof isFirst === 'boolean' ? answered(isFirst) : isFirst.then(answered, failed)
  } catch (cause) {
    return failed(cause)
  }
}

/** The URL without the slash at its end, for the path of a request begins with one. */
function baseOf(text: string): string {
  const parsed = parseTargetUri(text)
  if (parsed.ok && withoutQuery(text) === text) return parsed.uri.replace(/\/$/, '')
  throw new SluiceError({
    code: 'external_url_invalid',
    place: 'tokens.dpop.externalUrl',
    found: `${text}: ${parsed.ok ? 'a query or fragment' : parsed.why}`,
    expected: 'an http or https URL such as https://models.example',
  })
}

function checkedAlgorithm(name: string): string {
  if (knownAlgorithms.has(name)) return name
  throw new SluiceError({
    code: 'algorithm_invalid',
    place: 'tokens.dpop.algorithms',
    found: name,
    expected: `one of ${[...knownAlgorithms.keys()].join(', ')}`,
  })
}
