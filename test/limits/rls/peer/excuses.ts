import { isDeepStrictEqual } from 'node:util'
import { findLimit } from '../../../../agent/limits/rls/lookup.ts'
import { type Rules, readRules } from '../../../../agent/limits/rls/rules.ts'
import type { RateLimitSettings } from '../../../../agent/limits/rls/settings.ts'
import type { Descriptor } from '../../../../agent/limits/rls/types.ts'
import type { Question } from './cases.ts'
import type { Told } from './told.ts'

export interface Judgement {
  readonly isSame: boolean
  /** Whether a difference that is documented explains that they are not the same. */
  readonly isExcused: boolean
  /** The differences that were met, by their names in the table. */
  readonly rules: readonly string[]
}

const unitNames = ['', 'second', 'minute', 'hour', 'day', 'month', 'year', 'week'] as const

/**
 * Follows one case and says of each answer of `fixed` whether it may differ: only where a documented difference is met by
 * this request, or was met by an earlier one that changed the same counter.
 */
export class Excuses {
  readonly #strict: Rules
  readonly #fixed: Rules
  readonly #domain: string
  readonly #settings: Partial<RateLimitSettings>
  /** Counters of which the two know different numbers since a difference was met. */
  readonly #tainted = new Set<string>()
  /** Which counters of `fixed` each of theirs stands for. */
  readonly #aliases = new Map<string, Set<string>>()
  /** The windows that each name of a counter stands for there. */
  readonly #windows = new Map<string, Set<string>>()

  constructor(options: {
    readonly path: string
    readonly domain: string
    readonly settings: Partial<RateLimitSettings>
  }) {
    this.#strict = readRules([options.path], { compat: 'strict', mergeDomains: false })
    this.#fixed = readRules([options.path], { compat: 'fixed', mergeDomains: false })
    this.#domain = options.domain
    this.#settings = options.settings
  }

  /**
   * Whether one of the counters of a request is also that of another window there: both began in the same second, and a name
   * says no more than that. Neither of ours repeats it.
   */
  meetsWindowName(question: Question, atMs: number): boolean {
    for (const descriptor of question.descriptors) {
      const found = findLimit(this.#strict, this.#domain, plainDescriptor(descriptor))
      if (found === undefined) continue
      const { windowText, lengthMs } = found.limit
      const name = `${found.counterId.slice(windowText.length)}${Math.floor(atMs / lengthMs) * lengthMs}`
      this.#windows.set(name, (this.#windows.get(name) ?? new Set()).add(windowText))
    }
    return question.descriptors.some((descriptor) => {
      const found = findLimit(this.#strict, this.#domain, plainDescriptor(descriptor))
      const text = found?.counterId.slice(found.limit.windowText.length)
      return [...this.#windows].some(
        ([name, texts]) => texts.size > 1 && text !== undefined && name.startsWith(text),
      )
    })
  }

  judge(question: Question, theirs: Told, fixed: Told, isWindowShared: boolean): Judgement {
    const rules = new Set<string>()
    if (isWindowShared) rules.add('window_name')
    const asked = question.descriptors.map(plainDescriptor)
    const found = asked.map((each) => findLimit(this.#strict, this.#domain, each))
    const ids = found.map((each) => each?.counterId ?? '')
    const isTainted = ids.some((id) => this.#tainted.has(id))
    if (isTainted) rules.add('tainted')

    for (const [index, descriptor] of asked.entries()) {
      const other = findLimit(this.#fixed, this.#domain, descriptor)
      const mine = found[index]
      if (
        !isDeepStrictEqual(other?.limit.applied, mine?.limit.applied) ||
        other?.limit.statName !== mine?.limit.statName
      )
        rules.add('joined_lookup')
      if (mine !== undefined && other !== undefined) {
        const known = this.#aliases.get(mine.counterId) ?? new Set()
        this.#aliases.set(mine.counterId, known.add(other.counterId))
        if (known.size > 1) rules.add('shared_counter')
      }
      if (descriptor.isNegativeHits) rules.add('negative_hits')
      if (mine === undefined) continue
      if (ids.indexOf(mine.counterId) !== index) rules.add('repeated_descriptor')
      const hits = descriptor.hitsAddend ?? Math.max(1, question.hitsAddend)
      const status = theirs.statuses[index]
      if (hits === 0 && status?.code === 'ok' && status.remaining === 0 && !mine.limit.isShadow)
        rules.add('exhausted_look')
      const isQuota = this.#settings.isQuota || mine.limit.isQuota
      if (isQuota && status?.remaining === 0) rules.add('quota_mode')
      if (status?.code === 'over') rules.add('partial_charge').add('remaining_of_refused')
    }

    const isSame = isDeepStrictEqual(withoutMetadata(fixed), withoutMetadata(theirs))
    const isExcused = !isSame && this.#explains(rules, theirs, fixed)
    // Whatever was met, from now on the counters may differ.
    if (rules.size > 0) for (const id of ids) this.#tainted.add(id)
    return { isSame, isExcused, rules: [...rules] }
  }

  #explains(rules: ReadonlySet<string>, theirs: Told, fixed: Told): boolean {
    for (const rule of rules) if (rule !== 'partial_charge' && rule !== 'remaining_of_refused') return true
    if (!rules.has('partial_charge')) return false
    // What is refused is the same; what remains may not be.
    const codesOf = (told: Told) => [told.code, ...told.statuses.map(({ code, limit }) => [code, limit])]
    return isDeepStrictEqual(codesOf(theirs), codesOf(fixed))
  }
}

/** What it says is another thing there: the row `quota_mode`. */
function withoutMetadata(told: Told): Omit<Told, 'metadata'> {
  const { metadata: _, ...rest } = told
  return rest
}

function plainDescriptor({
  entries,
  hitsAddend,
  isNegativeHits = false,
  limit,
}: Question['descriptors'][number]): Descriptor {
  const unit = unitNames[limit?.unit ?? 0] as Exclude<(typeof unitNames)[number], ''>
  return {
    entries,
    isNegativeHits,
    ...(hitsAddend !== undefined && { hitsAddend: Number(hitsAddend) }),
    ...(limit && { limit: { requestsPerUnit: limit.requestsPerUnit, unit, multiplier: 1 } }),
  }
}
