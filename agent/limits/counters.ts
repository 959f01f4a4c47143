import { type Bucket, isEmpty, type Rate } from '#base/gcra.ts'

/** What one limit counts for one tenant, or one tenant and model. */
export interface Counter extends Bucket {
  /** Requests that run now. */
  running: number
}

/** One limit of a policy, as far as counting goes. */
export interface Counted {
  /** The same after a reload that leaves the limit as it was. */
  readonly identity: string
  /** Absent where the limit is of concurrency. */
  readonly rate?: Rate
}

/** The counters of one limit and tenant, by model (the empty name where one counter is for all models). */
interface Shelf {
  readonly limit: Counted
  readonly counters: Map<string, Counter>
  readonly shared: Counter
  sweptUs: number
}

/** A client can make up model names: from this many on, those that are new share one counter. */
const maxModels = 1000
const sweepEveryUs = 1_000_000

/**
 * All counters, in bounded memory: limits times tenants times models, of which the first two are declared and the last
 * has a bound. A counter is forgotten only when it says the same as a new one.
 */
export class Counters {
  readonly #limits = new Map<string, Map<string, Shelf>>()

  /** The counter for a request, made where there is none. */
  find(limit: Counted, tenant: string, model: string, nowUs: number): Counter {
    const shelf = this.#shelf(limit, tenant)
    const known = shelf.counters.get(model)
    if (known !== undefined) return known
    if (shelf.counters.size >= maxModels && nowUs - shelf.sweptUs >= sweepEveryUs) {
      shelf.sweptUs = nowUs
      sweep(shelf, nowUs)
    }
    // While anything is on the shared one, a counter of its own would let a model start afresh.
    if (shelf.counters.size >= maxModels || !isIdle(shelf.shared, limit, nowUs)) return shelf.shared
    const counter = { level: 0, tick: 0, running: 0 }
    shelf.counters.set(model, counter)
    return counter
  }

  /** Forgets what is idle, with the limits and tenants that exist no more. */
  prune(nowUs: number): void {
    for (const [identity, shelves] of this.#limits) {
      for (const [tenant, shelf] of shelves) {
        sweep(shelf, nowUs)
        if (shelf.counters.size === 0 && isIdle(shelf.shared, shelf.limit, nowUs)) shelves.delete(tenant)
      }
      if (shelves.size === 0) this.#limits.delete(identity)
    }
  }

  /** How many are kept. */
  get size(): number {
    const shelves = [...this.#limits.values()].flatMap((tenants) => [...tenants.values()])
    return shelves.reduce((sum, { counters }) => sum + counters.size, 0)
  }

  #shelf(limit: Counted, tenant: string): Shelf {
    let shelves = this.#limits.get(limit.identity)
    if (shelves === undefined) {
      shelves = new Map()
      this.#limits.set(limit.identity, shelves)
    }
    let shelf = shelves.get(tenant)
    if (shelf === undefined) {
      const shared = { level: 0, tick: 0, running: 0 }
      shelf = { limit, counters: new Map(), shared, sweptUs: 0 }
      shelves.set(tenant, shelf)
    }
    return shelf
  }
}

function sweep({ counters, limit }: Shelf, nowUs: number): void {
  for (const [model, counter] of counters) if (isIdle(counter, limit, nowUs)) counters.delete(model)
}

function isIdle(counter: Counter, { rate }: Counted, nowUs: number): boolean {
  return counter.running === 0 && (rate === undefined || isEmpty(counter, rate, nowUs))
}
