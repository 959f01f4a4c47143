import { type Asked, compileCases, type Question } from '../../harness/conformance.ts'
import { Random } from '../../harness/random.ts'
import type { Subject } from './engines.ts'
import { Generator } from './generator.ts'
import { type Answer, answerOf, faultOf } from './judge.ts'

/** Rules of a module: compiling one module takes longer than answering many rules. */
const rulesPerModule = 20

export interface Difference {
  readonly rules: readonly string[]
  readonly input: string
  readonly fault: string
}

export interface FuzzReport {
  /** Rules that both answered alike. */
  readonly same: number
  /** Rules that OPA's compiler refused, so that nobody was asked. */
  readonly refused: number
  /** Rules of which both said that they fail as a whole. */
  readonly failed: number
  readonly differences: readonly Difference[]
}

interface Batch {
  readonly rules: readonly string[]
  readonly input: string
}

/** Asks OPA's interpreter and an engine the same generated rules until so many were asked. */
export async function runFuzz(options: {
  readonly subject: Subject
  readonly cases: number
  readonly seed: number
}): Promise<FuzzReport> {
  const generator = new Generator(new Random(options.seed))
  const report = { same: 0, refused: 0, failed: 0, differences: [] as Difference[] }
  const asked = () => report.same + report.failed + report.differences.length
  while (asked() < options.cases) {
    const missing = options.cases - asked()
    let batches = Array.from({ length: Math.ceil(missing / rulesPerModule) }, () => batchOf(generator))
    // A module that is refused, fails or differs is asked again in halves, until the rule stands alone.
    while (batches.length > 0) batches = await askAll(batches, options.subject, report)
  }
  return report
}

function batchOf(generator: Generator): Batch {
  const rules = Array.from({ length: rulesPerModule }, (_, index) => generator.rule(`p${index}`))
  return { rules, input: generator.input() }
}

/** Counts what is settled and gives back the halves of what is not. */
async function askAll(
  batches: readonly Batch[],
  subject: Subject,
  report: { same: number; refused: number; failed: number; differences: Difference[] },
): Promise<Batch[]> {
  const halves: Batch[] = []
  let index = 0
  for await (const question of compileCases(batches.map(askedOf))) {
    const { rules, input } = batches[index++] as Batch
    const outcome = settle(question, subject)
    if (outcome.kind === 'same') report.same += rules.length
    else if (rules.length > 1) {
      const middle = rules.length >> 1
      halves.push({ rules: rules.slice(0, middle), input }, { rules: rules.slice(middle), input })
    } else if (outcome.kind === 'different') report.differences.push({ rules, input, fault: outcome.fault })
    else report[outcome.kind]++
  }
  return halves
}

function askedOf({ rules, input }: Batch): Asked {
  return {
    note: 'generated',
    query: 'data.generated = x',
    modules: [`package generated\n\n${rules.join('\n\n')}\n`],
    input_term: input,
  }
}

type Settled =
  | { readonly kind: 'same' | 'refused' | 'failed' }
  | { readonly kind: 'different'; readonly fault: string }

function settle(question: Question, { ask }: Subject): Settled {
  const { head } = question
  if (head.refused !== undefined) return { kind: 'refused' }
  const answer: Answer = answerOf(question, ask)
  const fault = faultOf({ ...head, isStrict: true }, answer)
  if (fault !== undefined) return { kind: 'different', fault }
  return { kind: answer.kind === 'error' ? 'failed' : 'same' }
}
