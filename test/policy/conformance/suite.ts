import { suiteQuestions } from '../../harness/conformance.ts'
import type { Subject } from './engines.ts'
import { type Outcome, outcomeOf } from './judge.ts'

export interface Verdict extends Outcome {
  readonly name: string
  /** The builtins that it lacks, where that is why it is skipped. */
  readonly missing: readonly string[]
}

export interface Counts {
  readonly pass: number
  readonly fail: number
  readonly skip: number
  readonly total: number
}

/** Puts OPA's whole suite to an engine. */
export async function runSuite({ ask }: Subject): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = []
  for await (const question of suiteQuestions()) {
    const { name, missing = [] } = question.head
    verdicts.push({ ...outcomeOf(question, ask), name, missing })
  }
  return verdicts
}

export function countsOf(verdicts: readonly Verdict[]): Counts {
  const counts = { pass: 0, fail: 0, skip: 0, total: verdicts.length }
  for (const { state } of verdicts) counts[state]++
  return counts
}
