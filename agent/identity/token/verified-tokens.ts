import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import type { TokenFacts } from '#decision/exchange.ts'
import type { Issuer } from './issuer.ts'
import type { TokenVerdict } from './types.ts'

/** A token that was verified: what it says, never its text. */
export interface VerifiedToken {
  readonly issuer: Issuer
  /** What it was verified with; it is good only as long as these are the issuer's keys. */
  readonly keys: readonly VerifyingKey[]
  readonly token: TokenFacts
  readonly notBeforeMs: number
  /** Made once: a hit allocates nothing. */
  readonly fresh: TokenVerdict
  readonly stale: TokenVerdict
}

interface Entry {
  readonly verified: VerifiedToken
  readonly share: Share
  readonly endUs: number
  touchedUs: number
}

/** The entries of one tenant of one issuer, the longest unused first. */
type Share = Map<string, Entry>

/** Entries move to the end of their share no more often than this. */
const touchEveryUs = 1_000_000

/**
 * Tokens that were verified, by the SHA-256 of their text, for a short while. Where it is full, the tenant that has most
 * gives up its longest unused: nobody can drive the others out.
 */
export class VerifiedTokens {
  readonly #maxEntries: number
  readonly #ttlUs: number
  readonly #entries = new Map<string, Entry>()
  readonly #shares = new Map<string, Share>()
  #sweepAtUs = 0

  constructor({ maxEntries, ttlSeconds }: { readonly maxEntries: number; readonly ttlSeconds: number }) {
    this.#maxEntries = maxEntries
    this.#ttlUs = ttlSeconds * 1e6
  }

  get size(): number {
    return this.#entries.size
  }

  /** Not later than its time here; whether the token itself is in time is the caller's to ask. */
  get(digest: string, nowUs: number): VerifiedToken | undefined {
    const entry = this.#entries.get(digest)
    if (entry === undefined) return undefined
    if (nowUs >= entry.endUs) {
      this.#remove(digest, entry)
      return undefined
    }
    if (nowUs - entry.touchedUs > touchEveryUs) {
      entry.touchedUs = nowUs
      entry.share.delete(digest)
      entry.share.set(digest, entry)
    }
    return entry.verified
  }

  add(digest: string, verified: VerifiedToken, now: { readonly us: number; readonly ms: number }): void {
    this.#sweep(now.us)
    const before = this.#entries.get(digest)
    if (before !== undefined) this.#remove(digest, before)
    else if (this.#entries.size >= this.#maxEntries) this.#evict()
    const { issuer, tenantClaim } = verified.token
    const name = JSON.stringify([issuer, tenantClaim])
    let share = this.#shares.get(name)
    if (share === undefined) {
      share = new Map()
      this.#shares.set(name, share)
    }
    const leftUs = Math.max(0, (verified.token.expiresAtMs - now.ms) * 1000)
    const entry: Entry = {
      verified,
      share,
      endUs: now.us + Math.min(this.#ttlUs, leftUs),
      touchedUs: now.us,
    }
    this.#entries.set(digest, entry)
    share.set(digest, entry)
  }

  #evict(): void {
    let largest: Share | undefined
    for (const share of this.#shares.values()) {
      if (largest === undefined || share.size > largest.size) largest = share
    }
    for (const [digest, entry] of largest ?? []) {
      this.#remove(digest, entry)
      return
    }
  }

  #remove(digest: string, entry: Entry): void {
    this.#entries.delete(digest)
    entry.share.delete(digest)
  }

  /** Now and then: what is over its time, or was signed with keys of before, is not kept. */
  #sweep(nowUs: number): void {
    if (nowUs < this.#sweepAtUs) return
    this.#sweepAtUs = nowUs + this.#ttlUs
    for (const [digest, entry] of this.#entries) {
      const { issuer, keys } = entry.verified
      if (nowUs >= entry.endUs || issuer.keys.current(nowUs) !== keys) this.#remove(digest, entry)
    }
    for (const [name, share] of this.#shares) if (share.size === 0) this.#shares.delete(name)
  }
}
