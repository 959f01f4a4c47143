import { readFileSync, statSync } from 'node:fs'
import type { Clock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import { watchPath } from '#base/watch.ts'
import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import { maxJwkSetBytes } from '#crypto/jose/jwk-set.ts'
import type { IssuerKeys, TokenEvent } from '../types.ts'
import { HeldKeys, type KeysStatus } from './held-keys.ts'

/** The keys of one issuer from a file, which is watched. A file that cannot be read changes nothing. */
export class FileKeys implements IssuerKeys, Disposable {
  readonly #issuer: string
  readonly #path: string
  readonly #clock: Clock
  readonly #held: HeldKeys
  readonly #watch: Disposable
  #readAtMs: number | undefined

  constructor(options: {
    readonly issuer: string
    readonly path: string
    readonly clock: Clock
    readonly onEvent: (event: TokenEvent) => void
    readonly watch?: typeof watchPath
  }) {
    const { issuer, path, clock, onEvent, watch = watchPath } = options
    this.#issuer = issuer
    this.#path = path
    this.#clock = clock
    this.#held = new HeldKeys(issuer, onEvent)
    // Watched before it is read: a change in between is read twice, none is missed.
    this.#watch = watch(path, () => this.#read())
    this.#read()
  }

  current(): readonly VerifyingKey[] | undefined {
    return this.#held.keys
  }

  isStale(): boolean {
    return false
  }

  missed(): void {
    // Who changes the file is seen; nobody can be asked for more.
  }

  status(): KeysStatus {
    return {
      issuer: this.#issuer,
      place: this.#path,
      keys: this.#held.keys?.length,
      skipped: this.#held.skipped,
      confirmedAtMs: this.#readAtMs,
      isStale: false,
      lastError: this.#held.lastError,
    }
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]()
  }

  #read(): void {
    try {
      const { size } = statSync(this.#path)
      if (size > maxJwkSetBytes)
        return this.#held.failed(`${this.#path}: larger than ${maxJwkSetBytes} bytes`)
      if (this.#held.take(readFileSync(this.#path, 'utf8'), this.#path)) this.#readAtMs = this.#clock.nowMs()
    } catch (thrown) {
      this.#held.failed(`${this.#path}: ${messageOf(thrown)}`)
    }
  }
}
