import type { Line, Settlement } from './journal.ts'
import type { ChaosLimit } from './limits.ts'

/** What one call took of one limit, at some time between the two. */
export interface Taken {
  readonly beforeUs: number
  readonly afterUs: number
  readonly wallMs: number
  readonly units: number
  /** Until when it ran for certain. */
  readonly endUs: number
}

/** What was let through beyond a promise, at its worst. */
export interface Excess {
  readonly limit: string
  readonly units: number
  /** The span of time it was found in. */
  readonly fromUs: number
  readonly toUs: number
}

/** Two clocks of one machine, read one after the other, and the time that a store takes to read its own. */
const clockSlackMs = 5

/** What was taken of each limit: what was settled, or what was reserved where nobody settled. */
export function takenOf(journals: readonly (readonly Line[])[]): Map<string, Taken[]> {
  const taken = new Map<string, Taken[]>()
  for (const lines of journals) {
    const settled = new Map<string, Settlement>()
    for (const line of lines) if (line.kind === 'settled') settled.set(line.id, line)
    for (const line of lines) {
      if (line.kind !== 'admitted') continue
      const { beforeUs, afterUs, wallMs } = line
      const { units = line.costs, atUs: endUs = afterUs } = settled.get(line.id) ?? {}
      for (const [limit, cost] of Object.entries(line.costs)) {
        const list = taken.get(limit) ?? []
        taken.set(limit, list)
        list.push({ beforeUs, afterUs, wallMs, units: units[limit] ?? cost, endUs })
      }
    }
  }
  return taken
}

/**
 * The worst breach of a promise, over every span of time. A call counts in a span only if all the time in which it may
 * have been granted lies in it: what is found is a breach whatever the order was.
 *
 * @returns `undefined` where the promise was kept
 */
export function excessOf({ name, promise }: ChaosLimit, taken: readonly Taken[]): Excess | undefined {
  switch (promise.kind) {
    case 'rate':
      return worst(
        name,
        taken,
        (us) => promise.burst + (us * promise.perSecond) / 1e6,
        Number.POSITIVE_INFINITY,
      )
    case 'window':
      return worst(name, taken, () => promise.limit, promise.windowMs * 1000)
    case 'span':
      return worstSpan(name, taken, promise)
    case 'slots':
      return worstMoment(name, taken, promise.limit)
    default:
      return promise satisfies never
  }
}

function worst(
  limit: string,
  taken: readonly Taken[],
  boundOf: (us: number) => number,
  longestUs: number,
): Excess | undefined {
  const byEnd = [...taken].sort((a, b) => a.afterUs - b.afterUs)
  const starts = [...new Set(taken.map(({ beforeUs }) => beforeUs))].sort((a, b) => a - b)
  let found: Excess | undefined
  let first = 0
  for (const fromUs of starts) {
    // Whatever ended before this start has no part in it, nor in any later one.
    while ((byEnd[first]?.afterUs ?? Number.POSITIVE_INFINITY) < fromUs) first++
    let sum = 0
    for (let at = first; at < byEnd.length; at++) {
      const { beforeUs, afterUs, units } = byEnd[at] as Taken
      if (afterUs - fromUs > longestUs) break
      if (beforeUs < fromUs) continue
      sum += units
      const excess = sum - Math.floor(boundOf(afterUs - fromUs) + 1e-6)
      if (excess > (found?.units ?? 0)) found = { limit, units: excess, fromUs, toUs: afterUs }
    }
  }
  return found
}

function worstSpan(
  limit: string,
  taken: readonly Taken[],
  promise: { readonly limit: number; readonly spanMs: number },
): Excess | undefined {
  const sums = new Map<number, { units: number; fromUs: number; toUs: number }>()
  for (const { beforeUs, afterUs, wallMs, units } of taken) {
    const span = Math.floor((wallMs - clockSlackMs) / promise.spanMs)
    const endMs = wallMs + (afterUs - beforeUs) / 1000 + clockSlackMs
    if (Math.floor(endMs / promise.spanMs) !== span) continue
    const sum = sums.get(span) ?? { units: 0, fromUs: beforeUs, toUs: afterUs }
    sums.set(span, sum)
    sum.units += units
    sum.toUs = Math.max(sum.toUs, afterUs)
  }
  let found: Excess | undefined
  for (const { units, fromUs, toUs } of sums.values()) {
    const excess = units - promise.limit
    if (excess > (found?.units ?? 0)) found = { limit, units: excess, fromUs, toUs }
  }
  return found
}

/** What ran at once for certain. */
function worstMoment(limit: string, taken: readonly Taken[], most: number): Excess | undefined {
  const changes = taken.flatMap(({ afterUs, endUs, units }) =>
    endUs <= afterUs
      ? []
      : [
          { atUs: afterUs, units },
          { atUs: endUs, units: -units },
        ],
  )
  // In one moment what ends goes first: the clock may not tell them apart.
  changes.sort((a, b) => a.atUs - b.atUs || a.units - b.units)
  let found: Excess | undefined
  let running = 0
  for (const { atUs, units } of changes) {
    running += units
    if (running - most > (found?.units ?? 0))
      found = { limit, units: running - most, fromUs: atUs, toUs: atUs }
  }
  return found
}

/** A time in which a promise may be broken once, and of whose calls. */
export interface Gap {
  readonly fromUs: number
  readonly toUs: number
}

/**
 * As {@link excessOf}, where the store lost what only the one who wrote it could notice: before a gap and behind it the
 * promise holds, over all of it together once more for each gap.
 */
export function excessAround(
  limit: ChaosLimit,
  taken: readonly Taken[],
  gaps: readonly Gap[],
): Excess | undefined {
  if (gaps.length === 0) return excessOf(limit, taken)
  const bounds = [0, ...gaps.flatMap(({ fromUs, toUs }) => [fromUs, toUs]), Number.POSITIVE_INFINITY]
  const found: (Excess | undefined)[] = [excessOf(times(limit, 1 + gaps.length), taken)]
  for (let at = 0; at < bounds.length; at += 2) {
    const [fromUs, toUs] = [bounds[at] as number, bounds[at + 1] as number]
    const inside = taken.filter(({ beforeUs, afterUs }) => beforeUs >= fromUs && afterUs <= toUs)
    found.push(excessOf(limit, inside))
  }
  return found.find((each) => each !== undefined)
}

/** A limit that promises so many times as much. */
export function times(limit: ChaosLimit, factor: number, more = 0): ChaosLimit {
  const { promise } = limit
  if (promise.kind !== 'rate')
    return { ...limit, promise: { ...promise, limit: promise.limit * factor + more } }
  const { perSecond, burst } = promise
  return { ...limit, promise: { kind: 'rate', perSecond: perSecond * factor, burst: burst * factor + more } }
}

/** Of calls that ran through a time in which their replica gave no sign, only what ran before it. */
export function withoutSilence(taken: readonly Taken[], silences: readonly Gap[]): Taken[] {
  return taken.map((each) => {
    const silence = silences.find(({ fromUs, toUs }) => each.beforeUs < toUs && each.endUs > fromUs)
    return silence === undefined ? each : { ...each, endUs: Math.min(each.endUs, silence.fromUs) }
  })
}

/** What a counter that refuses nothing should say, and of whom it is known to the unit. */
export interface LedgerExpectation {
  readonly ledger: string
  readonly units: number
}

/** Of processes that came to their end in good order: all that they settled, by ledger. */
export function ledgersOf(journals: readonly (readonly Line[])[]): LedgerExpectation[] {
  return journals.flatMap((lines) => {
    if (!lines.some(({ kind }) => kind === 'ended')) return []
    const ledgers = new Map<string, number>()
    const ledgerOf = new Map<string, string>()
    for (const line of lines) if (line.kind === 'admitted') ledgerOf.set(line.id, line.ledger)
    for (const line of lines) {
      const ledger = line.kind === 'settled' ? ledgerOf.get(line.id) : undefined
      if (line.kind !== 'settled' || ledger === undefined) continue
      ledgers.set(ledger, (ledgers.get(ledger) ?? 0) + (line.units['ledger'] ?? 0))
    }
    return [...ledgers].map(([ledger, units]) => ({ ledger, units }))
  })
}
