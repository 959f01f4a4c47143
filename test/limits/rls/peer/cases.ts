import type { Random } from '../../../harness/random.ts'

/** A request without its domain. */
export interface Question {
  readonly hitsAddend: number
  readonly descriptors: readonly {
    readonly entries: readonly { readonly key: string; readonly value: string }[]
    readonly hitsAddend?: bigint
    readonly isNegativeHits?: boolean
    readonly limit?: { readonly requestsPerUnit: number; readonly unit: number }
  }[]
}

/** A domain and what is asked of it, one question after the other. */
export interface Case {
  readonly descriptors: readonly object[]
  readonly questions: readonly Question[]
  /** Seconds of the windows that occur. */
  readonly windows: ReadonlySet<number>
}

const unitNumbers = { second: 1, minute: 2, hour: 3, day: 4, month: 5, year: 6, week: 7 } as const
const seconds = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
  month: 2_592_000,
  year: 31_536_000,
}
type Unit = keyof typeof unitNumbers

const keys = ['a', 'b', 'a_b', 'k'] as const
const configured = ['', '', 'x', 'y', 'x_y', 'b', 'x*', '*', 'x_*', 'b_x'] as const
const asked = ['x', 'y', 'x_y', 'xz', 'b', 'b_x', 'z', 'x*', ''] as const

/** The same for the same numbers. `isSlow` has no window shorter than an hour, for a machine that is slow. */
export function randomCase(random: Random, isSlow: boolean): Case {
  const windows = new Set<number>()
  const unit = (): Unit => {
    const units = ['second', 'minute', 'minute', 'hour', 'day', 'week', 'month', 'year'] as const
    const picked = random.pick(units)
    const name = isSlow && seconds[picked] < 3600 ? 'hour' : picked
    windows.add(seconds[name])
    return name
  }
  const isOne = (of: number) => random.below(of) === 0
  const names: string[] = []

  const limit = (): object => {
    if (isOne(8)) return { unlimited: true }
    const name = isOne(3) ? { name: `n${random.below(3)}` } : {}
    if ('name' in name) names.push(name.name as string)
    const replaces = isOne(6) ? { replaces: [{ name: `n${random.below(3)}r` }] } : {}
    return { unit: unit(), requests_per_unit: random.below(7), ...name, ...replaces }
  }
  const level = (depth: number): object[] => {
    const seen = new Set<string>()
    return Array.from({ length: 1 + random.below(4) }, () => {
      const key = random.pick(keys)
      const value = random.pick(configured)
      const text = value === '' ? key : `${key}_${value}`
      if (seen.has(text)) return []
      seen.add(text)
      return [
        {
          key,
          ...(value !== '' && { value }),
          ...(!isOne(4) && { rate_limit: limit() }),
          ...(isOne(5) && { shadow_mode: true }),
          ...(isOne(4) && { quota_mode: true }),
          ...(value.endsWith('*') && isOne(2) && { share_threshold: true }),
          ...(isOne(6) && { detailed_metric: true }),
          ...(isOne(6) && { value_to_metric: true }),
          ...(depth < 3 && isOne(2) && { descriptors: level(depth + 1) }),
        },
      ]
    }).flat()
  }
  const descriptors = renamed(level(1), names)

  const entries = () => {
    const found: { key: string; value: string }[] = []
    let below: readonly Configured[] | undefined = descriptors as readonly Configured[]
    while (below !== undefined && below.length > 0) {
      const one: Configured = random.pick(below)
      const value = isOne(3) ? random.pick(asked) : (one.value ?? random.pick(asked)).replace('*', 'z')
      found.push({ key: isOne(10) ? random.pick(keys) : one.key, value })
      below = isOne(3) ? undefined : one.descriptors
    }
    if (isOne(8)) found.push({ key: random.pick(keys), value: random.pick(asked) })
    return found
  }
  const pool = Array.from({ length: 4 }, entries)
  const questions = Array.from({ length: 12 }, () => ({
    hitsAddend: isOne(3) ? random.below(4) : 0,
    descriptors: Array.from({ length: 1 + random.below(3) }, () => ({
      entries: random.pick(pool),
      ...(isOne(5) && { hitsAddend: BigInt(random.below(4)) }),
      ...(isOne(40) && { isNegativeHits: true }),
      ...(isOne(12) && { limit: { requestsPerUnit: random.below(7), unit: unitNumbers[unit()] } }),
    })),
  }))
  return { descriptors, questions, windows }
}

interface Configured {
  readonly key: string
  readonly value?: string
  readonly rate_limit?: { readonly name?: string; readonly replaces?: readonly { readonly name: string }[] }
  readonly descriptors?: readonly Configured[]
}

/** `n1r` stands for another limit's name, never its own. */
function renamed(descriptors: readonly object[], names: readonly string[]): readonly object[] {
  return JSON.parse(JSON.stringify(descriptors), (key, value) => {
    if (key !== 'rate_limit' || value?.replaces === undefined) return value
    const wanted = value.replaces[0].name.slice(0, -1)
    const name = wanted === value.name ? names.find((other) => other !== value.name) : wanted
    const { replaces: _, ...rest } = value
    return name === undefined ? rest : { ...value, replaces: [{ name }] }
  })
}
