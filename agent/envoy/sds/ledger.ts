import { randomBytes } from 'node:crypto'

/** What came of one answer, as its receiver says. */
export type Settled =
  | { readonly kind: 'accepted' | 'refused'; readonly names: readonly string[] }
  /** It answers nothing that is outstanding. */
  | { readonly kind: 'unknown' }

/** What Envoy would not take, in its words. */
export interface Refusal {
  readonly name: string
  readonly why: string
  /** An earlier one by that name is in force there. */
  readonly hasEarlier: boolean
}

/** Answers that may wait for an acknowledgement at once: a receiver that is silent costs no more memory than these. */
const maxOutstanding = 8
/** Of a receiver's error; the rest is not worth a log's space. */
const maxErrorCharacters = 1024

/** What one receiver was told, what it holds, and what it said of it. */
export class Ledger {
  /** Versions by name: of what was sent last, whatever became of it. What was refused is not sent again. */
  readonly #told = new Map<string, string>()
  /** Names of which it has something in force. */
  readonly #holds = new Set<string>()
  readonly #refusals = new Map<string, Refusal>()
  readonly #outstanding = new Map<string, ReadonlyMap<string, string | undefined>>()

  get refusals(): Iterable<Refusal> {
    return this.#refusals.values()
  }

  /** Nothing may be sent before something is acknowledged. */
  get isFull(): boolean {
    return this.#outstanding.size >= maxOutstanding
  }

  isTold(name: string, version: string): boolean {
    return this.#told.get(name) === version
  }

  /** Whether it has, or may soon have, something by that name. */
  isHolder(name: string): boolean {
    return this.#holds.has(name) || this.#told.has(name)
  }

  get heldNames(): readonly string[] {
    return [...new Set([...this.#holds, ...this.#told.keys()])]
  }

  /** It says that it has this, from an earlier stream. */
  holds(name: string, version?: string): void {
    this.#holds.add(name)
    if (version !== undefined) this.#told.set(name, version)
  }

  /** It does not want this any more, or says that it has it not. */
  forget(name: string): void {
    this.#told.delete(name)
    this.#holds.delete(name)
    this.#refusals.delete(name)
  }

  /** It may have lost this without being told otherwise. */
  mustTell(name: string): void {
    this.#told.delete(name)
  }

  /** Notes an answer; versions by name, `undefined` for what it takes away. Gives the nonce to send with it. */
  sent(versions: ReadonlyMap<string, string | undefined>): string {
    const nonce = randomBytes(8).toString('hex')
    this.#outstanding.set(nonce, versions)
    for (const [name, version] of versions) {
      if (version === undefined) this.#told.delete(name)
      else this.#told.set(name, version)
    }
    return nonce
  }

  settle(nonce: string, error: string | undefined): Settled {
    const versions = this.#outstanding.get(nonce)
    if (versions === undefined) return { kind: 'unknown' }
    this.#outstanding.delete(nonce)
    for (const [name, version] of versions) {
      if (error !== undefined) {
        const why = error.slice(0, maxErrorCharacters)
        this.#refusals.set(name, { name, why, hasEarlier: this.#holds.has(name) })
        continue
      }
      this.#refusals.delete(name)
      if (version === undefined) this.#holds.delete(name)
      else this.#holds.add(name)
    }
    return { kind: error === undefined ? 'accepted' : 'refused', names: [...versions.keys()] }
  }

  /** An acknowledgement that came too late to say anything: a later answer has gone out since. */
  supersede(nonce: string): void {
    this.#outstanding.delete(nonce)
  }
}
