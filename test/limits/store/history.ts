import type { CounterRule } from '../../../agent/limits/store/store.ts'

type Windowed = Exclude<CounterRule, { kind: 'concurrency' }>

/** Units that a request really took, and when it was let through for them. */
export interface Admitted {
  readonly atUs: number
  readonly units: number
  /** When its hold ended. */
  readonly endUs: number
}

/**
 * Looks at every window of a history, from each admission to each later one, for more than the rule allows.
 *
 * @param history in the order of time
 * @returns what is wrong, in words; nothing where the limit was kept
 */
export function breachOf(rule: CounterRule, history: readonly Admitted[]): string | undefined {
  if (rule.kind === 'concurrency') return crowdOf(rule.limit, history)
  for (let first = 0; first < history.length; first++) {
    let units = 0n
    for (let last = first; last < history.length; last++) {
      const [from, to] = [history[first] as Admitted, history[last] as Admitted]
      if (isApart(rule, from, to)) break
      units += BigInt(to.units)
      if (isTooMuch(rule, units, to.atUs - from.atUs))
        return `${units} units from ${from.atUs} to ${to.atUs} under ${JSON.stringify(rule)}`
    }
  }
  return undefined
}

/** Looks at each admission for how many run then. */
function crowdOf(limit: number, history: readonly Admitted[]): string | undefined {
  for (const [place, { atUs }] of history.entries()) {
    const running = history.slice(0, place + 1).filter(({ endUs }) => endUs > atUs)
    const units = running.reduce((sum, each) => sum + each.units, 0)
    if (units > limit) return `${units} run at ${atUs}, where ${limit} may`
  }
  return undefined
}

/** Whether the later one is in no window that the earlier one is in. */
function isApart(rule: Windowed, from: Admitted, to: Admitted): boolean {
  switch (rule.kind) {
    case 'gcra':
      return false
    case 'sliding':
      return to.atUs - from.atUs > rule.sliceUs * rule.sliceCount
    case 'calendar':
      return rule.calendar.spanAt(from.atUs / 1000).startMs !== rule.calendar.spanAt(to.atUs / 1000).startMs
    default:
      return rule satisfies never
  }
}

function isTooMuch(rule: Windowed, units: bigint, spanUs: number): boolean {
  if (rule.kind !== 'gcra') return units > BigInt(rule.limit)
  const { weight, drain } = rule.rate
  return units * BigInt(weight) > BigInt(rule.burst) * BigInt(weight) + BigInt(spanUs) * BigInt(drain)
}

/** What each request of a charge really took: the units it settled at fill what it was granted from the first on. */
export function admittedUnits(
  granted: readonly { readonly atUs: number; readonly units: number }[],
  actual: number,
): readonly { readonly atUs: number; readonly units: number }[] {
  let left = actual
  return granted.map(({ atUs, units }) => {
    const used = Math.min(units, left)
    left -= used
    return { atUs, units: used }
  })
}
