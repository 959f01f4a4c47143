import type { LoadFact, LoadSeries } from './metrics-page.ts'

/** How busy one version of a model was between two looks at its server. */
export interface LoadReading {
  /** Whether its server says at all how long calls wait. */
  readonly isQueueKnown: boolean
  /** Calls that ended. */
  readonly completed: number
  /** Mean wait in the server's queue; `undefined` where no call ended, or the counters began anew. */
  readonly queueMs: number | undefined
  /** Mean time from there to the end of the call. */
  readonly serviceMs: number | undefined
  /** Mean inferences of one execution: how full batches are. */
  readonly batch: number | undefined
  /** Calls that wait in the server now. */
  readonly pending: number | undefined
  /** Share of the cache for keys and values that is in use, 0 to 1. */
  readonly cacheUse: number | undefined
}

type Counters = Partial<Record<LoadFact, number>>

/** Names that are kept of one page: a server has hundreds at most. */
const maxKept = 4096

/** Makes readings out of one page after the other. */
export class LoadReadings {
  #before = new Map<string, Counters>()
  #readings = new Map<string, LoadReading>()

  /** Takes a page. What the one before had and this one has not is gone. */
  take(series: readonly LoadSeries[]): void {
    const now = new Map<string, Counters>()
    for (const each of series) {
      add(now, keyOf(each.model, each.version), each)
      // Of who leaves the choice of a version to the server, any of them answers.
      if (each.version !== '') add(now, keyOf(each.model, ''), each)
    }
    this.#readings = new Map()
    for (const [key, counters] of now) this.#readings.set(key, reading(this.#before.get(key) ?? {}, counters))
    this.#before = now
  }

  /** The reading of a version, or of the model where its server does not tell versions apart; `undefined` for no such. */
  of(model: string, version: string): LoadReading | undefined {
    return this.#readings.get(keyOf(model, version)) ?? this.#readings.get(keyOf(model, ''))
  }
}

/** Versions are digits, and a name may end in some: it is the length that tells them apart. */
function keyOf(model: string, version: string): string {
  return `${version.length}:${version}${model}`
}

function add(all: Map<string, Counters>, key: string, { fact, value }: LoadSeries): void {
  let counters = all.get(key)
  if (counters === undefined) {
    if (all.size >= maxKept) return
    counters = {}
    all.set(key, counters)
  }
  const before = counters[fact] ?? 0
  counters[fact] = fact === 'cacheUse' ? Math.max(before, value) : before + value
}

function reading(before: Counters, now: Counters): LoadReading {
  const completed = grown(before, now, 'completed')
  const queueUs = grown(before, now, 'queueUs')
  const durationUs = grown(before, now, 'durationUs')
  const executions = grown(before, now, 'executions')
  const queueMs = quotient(queueUs, completed, 1000)
  const durationMs = quotient(durationUs, completed, 1000)
  const isWhole = queueMs !== undefined && durationMs !== undefined
  return {
    isQueueKnown: now.queueUs !== undefined && now.completed !== undefined,
    completed: completed ?? 0,
    queueMs,
    serviceMs: isWhole ? Math.max(0, durationMs - queueMs) : undefined,
    batch: quotient(grown(before, now, 'inferences'), executions, 1),
    pending: now.pending,
    cacheUse: now.cacheUse === undefined ? undefined : Math.min(1, now.cacheUse),
  }
}

/** By how much a counter grew; `undefined` where it was not there, or is less than before: then its server began anew. */
function grown(before: Counters, now: Counters, fact: LoadFact): number | undefined {
  const [was, is] = [before[fact], now[fact]]
  return was === undefined || is === undefined || is < was ? undefined : is - was
}

function quotient(sum: number | undefined, count: number | undefined, per: number): number | undefined {
  return sum === undefined || count === undefined || count === 0 ? undefined : sum / count / per
}
