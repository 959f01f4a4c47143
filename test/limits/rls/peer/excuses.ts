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

  judge(question: Question, theirs: Told, fixed: Told): Judgement {
    const rules = new Set<string>()
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
