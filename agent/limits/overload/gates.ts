import type { BreakerState } from './breaker.ts'
import { Gate, type GateOptions } from './gate.ts'
import type { ModelSettings } from './settings.ts'

/** Versions of models that are kept apart: names come from clients. */
const maxGates = 1024

/** The gates of all versions of models that are asked for. */
export class Gates {
  readonly #options: Pick<GateOptions, 'tally' | 'after'>
  readonly #onBreaker: (gate: Pick<GateOptions, 'model' | 'version'>, state: BreakerState) => void
  readonly #gates = new Map<string, Gate>()

  constructor(
    options: Pick<GateOptions, 'tally' | 'after'>,
    onBreaker: (gate: Pick<GateOptions, 'model' | 'version'>, state: BreakerState) => void,
  ) {
    this.#options = options
    this.#onBreaker = onBreaker
  }

  /** `undefined` where there are too many, all of them in use. */
  of(model: string, version: string, settings: ModelSettings): Gate | undefined {
    // Versions are digits: no two pairs make one key.
    const key = `${version}/${model}`
    const known = this.#gates.get(key)
    if (known !== undefined) return known
    if (this.#gates.size >= maxGates && !this.#forgetOne()) return undefined
    const named = { model, version }
    const onBreaker = (state: BreakerState) => this.#onBreaker(named, state)
    const gate = new Gate({ ...this.#options, ...named, settings, onBreaker })
    this.#gates.set(key, gate)
    return gate
  }

  all(): IterableIterator<Gate> {
    return this.#gates.values()
  }

  /** Makes room by the idle one that was used longest ago. */
  #forgetOne(): boolean {
    let oldest: readonly [key: string, gate: Gate] | undefined
    for (const entry of this.#gates)
      if (entry[1].isIdle && (oldest === undefined || entry[1].usedAtUs < oldest[1].usedAtUs)) oldest = entry
    return oldest !== undefined && this.#gates.delete(oldest[0])
  }
}
