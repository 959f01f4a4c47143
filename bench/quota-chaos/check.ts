import type { Line } from './journal.ts'
import type { ChaosLimit } from './limits.ts'

/** What one call took of one limit, at some time between the two. */
export interface Taken {
  readonly beforeUs: number
  readonly afterUs: number
  readonly wallMs: number
  readonly units: number
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
    const settled = new Map<string, Readonly<Record<string, number>>>()
    for (const line of lines) if (line.kind === 'settled') settled.set(line.id, line.units)
    for (const line of lines) {
      if (line.kind !== 'admitted') continue
      const { beforeUs, afterUs, wallMs } = line
      const units = settled.get(line.id) ?? line.costs
      for (const [limit, cost] of Object.entries(line.costs)) {
        const list = taken.get(limit) ?? []
        taken.set(limit, list)
        list.push({ beforeUs, afterUs, wallMs, units: units[limit] ?? cost })
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
