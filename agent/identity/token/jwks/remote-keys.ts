import type { Clock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import type { IssuerKeys, TokenEvent } from '../types.ts'
import { HeldKeys, type KeysStatus } from './held-keys.ts'
import { keepKeys, readKeptKeys } from './kept-keys.ts'
import type { KeySource } from './source.ts'
import { type After, systemAfter } from './timer.ts'

export interface RemoteKeysOptions {
  readonly issuer: string
  readonly source: KeySource
  /** They are fetched again within this time, or what the server says where that is less. */
  readonly refreshSeconds: number
  /** No more than one fetch in this time because of tokens that name keys which are not there. */
  readonly cooldownSeconds: number
  /** How long they stay in force after they should have been fetched again. */
  readonly staleSeconds: number
  readonly persist?: string | undefined
  readonly clock: Clock
  readonly onEvent: (event: TokenEvent) => void
  readonly random?: () => number
  readonly after?: After
}

const firstRetryMs = 1000
const maxRetryMs = 60_000
/** Fetched again after this share of the time they are fresh, and some more by chance: a fleet does not ask at once. */
const refreshShare = { least: 0.7, span: 0.2 }

/**
 * The keys of one issuer from a server, fetched in the background: no token waits for it. What was good stays in force while
 * the server is away, for a bounded time; a key that it removed is gone at once.
 */
export class RemoteKeys implements IssuerKeys, AsyncDisposable {
  readonly #options: RemoteKeysOptions
  readonly #held: HeldKeys
  readonly #random: () => number
  readonly #after: After
  readonly #stopping = new AbortController()
  /** Keys that a fetch did not bring, and until when no other is made for them. One a fetch at most. */
  readonly #absent = new Map<string, number>()
  #inFlight: Promise<void> | undefined
  #timer: Disposable | undefined
  #failures = 0
  #confirmedAtMs: number | undefined
  /** Of the monotonic clock: until when they are fresh, and relied on. */
  #freshUntilUs = 0
  #usableUntilUs = 0
  #coolUntilUs = 0

  constructor(options: RemoteKeysOptions) {
    this.#options = options
    this.#held = new HeldKeys(options.issuer, options.onEvent)
    this.#random = options.random ?? Math.random
    this.#after = options.after ?? systemAfter
    this.#inFlight = this.#start()
  }

  current(nowUs: number): readonly VerifyingKey[] | undefined {
    return nowUs < this.#usableUntilUs ? this.#held.keys : undefined
  }

  isStale(nowUs: number): boolean {
    return nowUs >= this.#freshUntilUs
  }

  missed(kid: string | undefined, nowUs: number): void {
    if (nowUs < this.#coolUntilUs || this.#inFlight !== undefined || this.#stopping.signal.aborted) return
    if (kid !== undefined && nowUs < (this.#absent.get(kid) ?? 0)) return
    this.#coolUntilUs = nowUs + this.#options.cooldownSeconds * 1e6
    this.#inFlight = this.#turn().then(() => this.#remember(kid))
  }

  status(): KeysStatus {
    return {
      issuer: this.#options.issuer,
      place: this.#options.source.place,
      keys: this.#held.keys?.length,
      skipped: this.#held.skipped,
      confirmedAtMs: this.#confirmedAtMs,
      isStale: this.#held.keys !== undefined && this.isStale(this.#options.clock.monotonicUs()),
      lastError: this.#held.lastError,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    this.#timer?.[Symbol.dispose]()
    await this.#inFlight
  }

  async #start(): Promise<void> {
    const { persist, issuer, source, clock } = this.#options
    if (persist !== undefined) {
      try {
        const kept = await readKeptKeys(persist, { issuer, place: source.place })
        const ageMs = clock.nowMs() - (kept?.fetchedAtMs ?? 0)
        // From the future they could be of any age.
        if (kept !== undefined && ageMs >= 0 && this.#held.take(kept.jwks, persist))
          this.#confirmed({ ageMs, freshMs: this.#freshMs(undefined) })
      } catch (thrown) {
        this.#held.failed(`${persist}: ${messageOf(thrown)}`)
      }
    }
    if (!this.#stopping.signal.aborted) await this.#turn()
  }

  /** One fetch, and the time of the next one. Ends without an error. */
  async #turn(): Promise<void> {
    const { source } = this.#options
    this.#timer?.[Symbol.dispose]()
    let nextMs: number
    try {
      const { text, maxAgeSeconds } = await source.read(this.#stopping.signal)
      if (!this.#held.take(text, source.place)) nextMs = this.#retryMs()
      else {
        this.#failures = 0
        const freshMs = this.#freshMs(maxAgeSeconds)
        this.#confirmed({ ageMs: 0, freshMs })
        nextMs = freshMs * (refreshShare.least + refreshShare.span * this.#random())
        await this.#keep(text)
      }
    } catch (thrown) {
      if (!this.#stopping.signal.aborted) this.#held.failed(messageOf(thrown))
      nextMs = this.#retryMs()
    }
    this.#inFlight = undefined
    if (this.#stopping.signal.aborted) return
    this.#timer = this.#after(nextMs, () => {
      this.#inFlight ??= this.#turn()
    })
  }

  #confirmed({ ageMs, freshMs }: { readonly ageMs: number; readonly freshMs: number }): void {
    const { clock, staleSeconds } = this.#options
    this.#confirmedAtMs = clock.nowMs() - ageMs
    this.#freshUntilUs = clock.monotonicUs() + (freshMs - ageMs) * 1000
    this.#usableUntilUs = this.#freshUntilUs + staleSeconds * 1e6
  }

  /** What the server says, but within bounds: nobody is asked all the time, and no key outlives its removal by days. */
  #freshMs(maxAgeSeconds: number | undefined): number {
    const { refreshSeconds, cooldownSeconds } = this.#options
    return Math.min(refreshSeconds, Math.max(maxAgeSeconds ?? refreshSeconds, cooldownSeconds)) * 1000
  }

  #retryMs(): number {
    const waitMs = Math.min(maxRetryMs, firstRetryMs * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, 30)
    return waitMs * (0.8 + 0.4 * this.#random())
  }

  async #keep(jwks: string): Promise<void> {
    const { persist, issuer, source, clock } = this.#options
    if (persist === undefined) return
    try {
      await keepKeys(persist, { issuer, place: source.place, fetchedAtMs: clock.nowMs(), jwks })
    } catch (thrown) {
      this.#held.failed(`${persist}: ${messageOf(thrown)}`)
    }
  }

  #remember(kid: string | undefined): void {
    const nowUs = this.#options.clock.monotonicUs()
    for (const [absent, untilUs] of this.#absent) if (nowUs >= untilUs) this.#absent.delete(absent)
    if (kid !== undefined && this.#held.keys?.some((key) => key.kid === kid) !== true)
      this.#absent.set(kid, nowUs + this.#options.refreshSeconds * 1e6)
  }
}
