import type { Clock } from '#base/clock.ts'
import { indexesOf } from '../store/split.ts'
import type { Charge } from '../store/store.ts'

/** The charges of a call that lie together, with their places in the call. */
export interface Part {
  readonly tag: string
  readonly charges: readonly Charge[]
  readonly indexes: readonly number[]
}

/** The tag where everything lies on one server. */
export const everywhere = ''

/** In a cluster one part a partition, in the order of their first charges; elsewhere one. */
export function partsOf(charges: readonly Charge[], isCluster: boolean): readonly Part[] {
  if (!isCluster) return [{ tag: everywhere, charges, indexes: indexesOf(charges) }]
  const parts = new Map<string, { tag: string; charges: Charge[]; indexes: number[] }>()
  charges.forEach((charge, index) => {
    const { partition: tag } = charge.key
    let part = parts.get(tag)
    if (part === undefined) {
      part = { tag, charges: [], indexes: [] }
      parts.set(tag, part)
    }
    part.charges.push(charge)
    part.indexes.push(index)
  })
  return [...parts.values()]
}

interface Place {
  readonly tags: readonly string[]
  endsAtUs: number
}

/** Where the holds of this process lie. */
export class Places {
  readonly #isCluster: boolean
  readonly #clock: Clock
  readonly #holds = new Map<string, Place>()

  constructor(options: { readonly isCluster: boolean; readonly clock: Clock }) {
    this.#isCluster = options.isCluster
    this.#clock = options.clock
  }

  remember(id: string, parts: readonly Part[], ttlMs: number): void {
    if (!this.#isCluster) return
    const nowUs = this.#clock.monotonicUs()
    const endsAtUs = nowUs + ttlMs * 1000
    this.#holds.delete(id)
    this.#holds.set(id, { tags: parts.map(({ tag }) => tag), endsAtUs })
    // The oldest first; holds that were settled are gone already.
    for (const [oldest, { endsAtUs }] of this.#holds) {
      if (endsAtUs > nowUs) break
      this.#holds.delete(oldest)
    }
  }

  /** None for the hold of another process in a cluster: nobody knows where it lies. */
  tagsOf(id: string): readonly string[] {
    return this.#isCluster ? (this.#holds.get(id)?.tags ?? []) : [everywhere]
  }

  forget(id: string): void {
    this.#holds.delete(id)
  }
}
