import type { CounterState } from '../store/store.ts'
import type { Limit } from './limit.ts'
import type { Plan } from './plan.ts'
import type { Descriptor, RateLimitRequest } from './types.ts'

/** How many hits came to a limit since the start, by what became of them. */
export interface LimitCount {
  /** Domain, keys and values as configured; with `detailed_metric` or `value_to_metric` the values of requests. */
  readonly limit: string
  readonly within: number
  readonly over: number
  /** Those that only shadow mode let pass. */
  readonly shadow: number
}

/** Clients write the values of requests: beyond so many names all others are one. */
const maxNames = 2000
const others = 'other'
/** A longer name is one of the others: it would stand in every answer to who collects metrics. */
const maxNameLength = 256

type Counted = { -readonly [K in keyof LimitCount]: LimitCount[K] }

export class LimitCounts {
  readonly #byName = new Map<string, Counted>()

  /** Counts what came of a request. */
  record(request: RateLimitRequest, { planned }: Plan, states: readonly CounterState[]): void {
    for (let i = 0; i < planned.length; i++) {
      const each = planned[i]
      if (each?.kind !== 'counted' || each.hits <= 0) continue
      const count = this.#countOf(nameOf(each.limit, request.domain, request.descriptors[i] as Descriptor))
      if (!states[each.at]?.isOver) count.within += each.hits
      else if (each.limit.isShadow) count.shadow += each.hits
      else count.over += each.hits
    }
  }

  read(): Iterable<LimitCount> {
    return this.#byName.values()
  }

  #countOf(name: string): Counted {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    if (this.#byName.size >= maxNames && name !== others) return this.#countOf(others)
    const fresh = { limit: name, within: 0, over: 0, shadow: 0 }
    this.#byName.set(name, fresh)
    return fresh
  }
}

function nameOf(limit: Limit, domain: string, { entries }: Descriptor): string {
  // A limit that came with the request has no name.
  if (limit.statName === '') return `${domain} override`
  if (!limit.isDetailed) return limit.statName
  let name = domain
  for (const { key, value } of entries) name += value === '' ? `.${key}` : `.${key}_${value}`
  return name.length > maxNameLength ? others : name
}
