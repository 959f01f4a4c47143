import { type Usage, unboundedAmount } from '#decision/usage.ts'
import {
  type CostExpression,
  type CostFacts,
  type CostNumber,
  type CostText,
  outputNumbers,
  parseCost,
} from '#resources/cost/cost.ts'
import type { QuotaLimit, QuotaUnit } from '#resources/resources.ts'
import type { Subject } from './rules.ts'

/** What a call costs on one limit. */
export interface UnitCost {
  /** Whether the cost is only known when the answer is. */
  readonly isMetered: boolean
  /** Whether anything about the call's size goes into it. */
  readonly readsUsage: boolean
  readonly readsOutputTokens: boolean
  of(usage: Usage, subject: Subject): number | undefined
  /** Whether all of a bound that goes into it is one: 2^53-1 stands where nothing bounds an amount. */
  isBoundedBy(bound: Usage): boolean
  /** The most it can be for a call that takes at most this much. */
  atMost(usage: Usage, subject: Subject): number | undefined
}

/** What each unit reads, in the words of expressions. */
const readings: Readonly<Record<Exclude<QuotaUnit, 'concurrency'>, CostNumber>> = {
  requests: 'requests',
  inferences: 'inferences',
  inputTokens: 'input_tokens',
  outputTokens: 'output_tokens',
  tokens: 'tokens',
  requestBytes: 'request_bytes',
  responseBytes: 'response_bytes',
  bytes: 'bytes',
  gpuMs: 'gpu_ms',
}
const ofRequest: ReadonlySet<CostNumber> = new Set(['requests', 'inferences', 'request_bytes'])

export function unitCost(limit: QuotaLimit): UnitCost {
  if (limit.kind === 'concurrency') return { ...describe(new Set(['requests'])), of: one, atMost: one }
  if (limit.cost !== undefined) return expressionCost(limit.cost)
  const reading = readings[limit.unit]
  const of = (usage: Usage) => Math.min(numberOf(reading, usage), unboundedAmount)
  return { ...describe(new Set([reading])), of, atMost: of }
}

const one = () => 1

function describe(reads: ReadonlySet<CostNumber>): Omit<UnitCost, 'of' | 'atMost'> {
  const numbers = [...reads]
  return {
    isMetered: !reads.isSubsetOf(ofRequest),
    readsUsage: numbers.some((each) => each !== 'requests'),
    isBoundedBy: (bound) => numbers.every((each) => numberOf(each, bound) < unboundedAmount),
    readsOutputTokens: !reads.isDisjointFrom(outputNumbers),
  }
}

function expressionCost(text: string): UnitCost {
  const parsed = parseCost(text)
  if (!parsed.ok) throw new Error(`a cost that nobody has read: ${text}`)
  const { cost } = parsed
  const of = (usage: Usage, subject: Subject) => cost.evaluate(new Facts(usage, subject))
  return { ...describe(cost.reads), of, atMost: atMostOf(cost, of) }
}

/**
 * Cached and reasoning tokens are parts of others, and expressions take them off: of a bound, which says how many there may
 * be, each is tried at none and at all.
 */
function atMostOf({ reads }: CostExpression, of: UnitCost['of']): UnitCost['of'] {
  if (!reads.has('cached_input_tokens') && !reads.has('reasoning_tokens')) return of
  return (usage, subject) => {
    let most: number | undefined = 0
    for (const cachedInputTokens of [0, usage.inputTokens]) {
      for (const reasoningTokens of [0, usage.outputTokens]) {
        const cost = of({ ...usage, cachedInputTokens, reasoningTokens }, subject)
        most = cost === undefined || most === undefined ? undefined : Math.max(most, cost)
      }
    }
    return most
  }
}

class Facts implements CostFacts {
  readonly #usage: Usage
  readonly #subject: Subject

  constructor(usage: Usage, subject: Subject) {
    this.#usage = usage
    this.#subject = subject
  }

  number(name: CostNumber): number {
    return numberOf(name, this.#usage)
  }

  text(name: CostText): string | undefined {
    return this.#subject[name]
  }
}

function numberOf(name: CostNumber, usage: Usage): number {
  switch (name) {
    case 'requests':
      return 1
    case 'inferences':
      return usage.inferences
    case 'input_tokens':
      return usage.inputTokens
    case 'output_tokens':
      return usage.outputTokens
    case 'tokens':
      return usage.inputTokens + usage.outputTokens
    case 'cached_input_tokens':
      return usage.cachedInputTokens
    case 'reasoning_tokens':
      return usage.reasoningTokens
    case 'request_bytes':
      return usage.requestBytes
    case 'response_bytes':
      return usage.responseBytes
    case 'bytes':
      return usage.requestBytes + usage.responseBytes
    case 'gpu_ms':
      return usage.gpuMs
    default:
      return name satisfies never
  }
}
