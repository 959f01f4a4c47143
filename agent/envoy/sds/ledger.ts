import { randomBytes, randomInt } from 'node:crypto'
import type { EncodedSecret, Found } from './secrets.ts'

/** What came of one answer, as its receiver says. */
export type Settled =
  | { readonly kind: 'accepted' | 'refused'; readonly names: readonly string[] }
  /** It answers nothing that is outstanding. */
  | { readonly kind: 'unknown' }

/** What Envoy would not take, in its words. */
export interface Refusal {
  readonly name: string
  readonly why: string
  /** What is in force there instead. */
  readonly inForce: EncodedSecret | undefined
}

interface Refused {
  readonly why: string
  readonly times: number
  /** Refused for the last time; or to be offered once more. */
  readonly isFinal: boolean
}

interface Outstanding {
  readonly secrets: ReadonlyMap<string, EncodedSecret | undefined>
  /** How many answers had been accepted anywhere when this one went out. */
  readonly acceptedBefore: number
}

/** Answers that may wait for an acknowledgement at once: a receiver that is silent costs no more memory than these. */
const maxOutstanding = 8
/** How often one content is offered before it is given up. */
const maxOffers = 3
/** Of a receiver's error; the rest is not worth a log's space. */
const maxErrorCharacters = 1024

/** What one receiver was told, what it holds, and what it said of it. */
export class Ledger {
  /** Versions by name of what was sent last, whatever became of it. */
  readonly #told = new Map<string, string>()
  /** What it has in force, as far as this stream knows. */
  readonly #inForce = new Map<string, EncodedSecret>()
  /** Versions by name of what it says to have from an earlier stream; empty where it does not say which. */
  readonly #declared = new Map<string, string>()
  /** By name and version. */
  readonly #refused = new Map<string, Map<string, Refused>>()
  readonly #outstanding = new Map<string, Outstanding>()
  #spelling = randomInt(64)

  /** Nothing may be sent before something is acknowledged. */
  get isFull(): boolean {
    return this.#outstanding.size >= maxOutstanding
  }

  /**
   * How contents are spelled now. Envoy takes bytes that it refused before for no change, and acknowledges them; another
   * spelling is looked at. So each stream begins with one of its own.
   */
  get spelling(): number {
    return this.#spelling
  }

  *refusals(): Iterable<Refusal> {
    for (const [name, versions] of this.#refused)
      for (const { why } of versions.values()) yield { name, why, inForce: this.#inForce.get(name) }
  }

  isTold(name: string, version: string): boolean {
    return this.#told.get(name) === version
  }

  /** Whether it has, or may soon have, something by that name. */
  isHolder(name: string): boolean {
    return this.#declared.has(name) || this.#told.has(name)
  }

  heldNames(): readonly string[] {
    return [...new Set([...this.#declared.keys(), ...this.#told.keys()])]
  }

  /**
   * What to send so that it has what there is by that name, and nobody's in the place of what is gone; nothing where it
   * refused that. A certificate that it refused makes Envoy refuse
   * every later change of trust on the same listener, until it is given one that it takes: so it gets again the one that
   * is in force.
   */
  choose(name: string, found: Found): EncodedSecret | undefined {
    const wanted = this.#wanted(name, found)
    if (wanted === undefined) return undefined
    if (this.#declared.get(name) === wanted.version) this.#inForce.set(name, wanted)
    const refused = this.#refused.get(name)
    if (refused === undefined) return wanted
    // Other contents than the newest are no matter any more.
    for (const version of refused.keys())
      if (version !== wanted.version && version !== this.#inForce.get(name)?.version) refused.delete(version)
    if (refused.get(wanted.version)?.isFinal !== true) return wanted
    const inForce = wanted.kind === 'certificate' ? this.#inForce.get(name) : undefined
    return inForce !== undefined && !refused.has(inForce.version) ? inForce : undefined
  }

  #wanted(name: string, found: Found): EncodedSecret | undefined {
    if (found.kind === 'there') return found.encoded
    return found.kind === 'gone' && this.isHolder(name) ? found.nobody : undefined
  }

  /** It says that it has this, from an earlier stream. */
  declared(name: string, version = ''): void {
    this.#declared.set(name, version)
    if (version !== '') this.#told.set(name, version)
  }

  /** It does not want this any more, or has it not any more. */
  forget(name: string): void {
    this.#told.delete(name)
    this.#inForce.delete(name)
    this.#declared.delete(name)
    this.#refused.delete(name)
  }

  /** It may have lost this without being told otherwise. */
  mustTell(name: string): void {
    this.#told.delete(name)
  }

  /**
   * Notes an answer; `undefined` for what it takes away. `accepted` is how many were accepted anywhere up to now. Gives the
   * nonce to send with it.
   */
  sent(secrets: ReadonlyMap<string, EncodedSecret | undefined>, accepted: number): string {
    const nonce = randomBytes(8).toString('hex')
    this.#outstanding.set(nonce, { secrets, acceptedBefore: accepted })
    for (const [name, secret] of secrets) {
      if (secret === undefined) this.forget(name)
      else this.#told.set(name, secret.version)
    }
    return nonce
  }

  settle(nonce: string, error: string | undefined, accepted: number): Settled {
    const outstanding = this.#outstanding.get(nonce)
    if (outstanding === undefined) return { kind: 'unknown' }
    this.#outstanding.delete(nonce)
    const { secrets, acceptedBefore } = outstanding
    // What was accepted meanwhile may have been what stood in the way: acknowledgements of several streams overtake each other.
    const isOutdated = accepted !== acceptedBefore
    for (const [name, secret] of secrets) {
      if (secret === undefined) continue
      if (error === undefined) {
        this.#declared.set(name, '')
        this.#inForce.set(name, secret)
        this.#refused.get(name)?.delete(secret.version)
      } else if (this.#inForce.get(name)?.version !== secret.version)
        this.#refuse(name, secret.version, { error, isOutdated })
    }
    return { kind: error === undefined ? 'accepted' : 'refused', names: [...secrets.keys()] }
  }

  /** An acknowledgement that came too late to say anything: a later answer has gone out since. */
  supersede(nonce: string): void {
    this.#outstanding.delete(nonce)
  }

  /**
   * Something else was accepted, which may be what stood in the way. Has what was refused sent once more, unless it was
   * often enough; false where there is nothing.
   */
  reconsider(accepted: readonly string[]): boolean {
    let isAny = false
    for (const [name, versions] of this.#refused) {
      if (accepted.includes(name)) continue
      for (const [version, refused] of versions) {
        if (refused.times >= maxOffers) continue
        versions.set(version, { ...refused, isFinal: false })
        this.#told.delete(name)
        isAny = true
      }
    }
    if (isAny) this.#spelling++
    return isAny
  }

  #refuse(name: string, version: string, by: { readonly error: string; readonly isOutdated: boolean }): void {
    const versions = this.#refused.get(name) ?? new Map<string, Refused>()
    const times = (versions.get(version)?.times ?? 0) + 1
    const isFinal = !by.isOutdated || times >= maxOffers
    versions.set(version, { why: by.error.slice(0, maxErrorCharacters), times, isFinal })
    this.#refused.set(name, versions)
    if (isFinal) return
    this.#told.delete(name)
    this.#spelling++
  }
}
