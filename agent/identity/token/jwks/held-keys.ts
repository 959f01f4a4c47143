import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import { isSameKeys, parseJwkSet } from '#crypto/jose/jwk-set.ts'
import type { TokenEvent } from '../types.ts'

/** What is known of an issuer's keys, for `status`. */
export interface KeysStatus {
  readonly issuer: string
  /** File or URL. */
  readonly place: string
  /** Undefined before there were any. */
  readonly keys: number | undefined
  /** Why keys of the set were passed over. */
  readonly skipped: readonly string[]
  /** Wall time when the set was last known to be right. */
  readonly confirmedAtMs: number | undefined
  readonly isStale: boolean
  readonly lastError: string | undefined
}

/** The last good keys of one issuer, and what was wrong with those after. */
export class HeldKeys {
  readonly #issuer: string
  readonly #onEvent: (event: TokenEvent) => void
  keys: readonly VerifyingKey[] | undefined
  skipped: readonly string[] = []
  lastError: string | undefined

  constructor(issuer: string, onEvent: (event: TokenEvent) => void) {
    this.#issuer = issuer
    this.#onEvent = onEvent
  }

  /** Takes a set's text; the list stays the same one where the keys do. @returns whether it could be read. */
  take(text: string, place: string): boolean {
    const parsed = parseJwkSet(text)
    if (!parsed.ok) {
      this.failed(`${place}: ${parsed.why}`)
      return false
    }
    const { keys, skipped } = parsed.set
    const isChanged = this.keys === undefined || !isSameKeys(this.keys, keys)
    if (isChanged) this.keys = keys
    this.skipped = skipped
    this.lastError = keys.length === 0 ? `${place}: no key to check signatures with` : undefined
    this.#onEvent({ kind: 'keys_loaded', issuer: this.#issuer, keys: keys.length, skipped, isChanged })
    return true
  }

  failed(why: string): void {
    this.lastError = why
    this.#onEvent({ kind: 'keys_failed', issuer: this.#issuer, why })
  }
}
