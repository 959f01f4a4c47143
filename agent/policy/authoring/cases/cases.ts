import { messageOf } from '#base/errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { Verdict } from '#decision/verdict.ts'
import { type Difference, firstDifference } from '../difference/difference.ts'
import { contextAt, type Trial, verdictFor } from '../trial/trial.ts'
import { type Case, mergePatch } from './case-file.ts'

export { type Case, readCaseFile } from './case-file.ts'
export { findCaseFiles } from './find.ts'

/** What became of a case. */
export interface CaseOutcome {
  readonly name: string
  readonly place: string
  readonly state: 'pass' | 'fail' | 'error'
  readonly durationMs: number
  /** The first difference from what was expected: `left` came, `right` was wanted. */
  readonly difference?: Difference & { readonly of: 'result' | 'verdict' }
  readonly error?: string
}

/** What only the caller knows: how requests become input, and verdicts answers. */
export interface CaseWorld {
  /** The input document of a captured request; any other document as it is. */
  inputOf(value: JsonValue, place: string): Promise<JsonValue>
  previewOf(verdict: Verdict, input: JsonValue): JsonObject
}

/** Asks the real engine each question. */
export async function runCases(
  trial: Trial,
  cases: readonly Case[],
  world: CaseWorld,
): Promise<CaseOutcome[]> {
  const outcomes: CaseOutcome[] = []
  for (const each of cases) outcomes.push(await runCase(trial, each, world))
  return outcomes
}

async function runCase(trial: Trial, each: Case, world: CaseWorld): Promise<CaseOutcome> {
  const { name, place, expect } = each
  const decision = each.decision ?? trial.decision
  let result: JsonValue | undefined
  let input: JsonValue
  let began = performance.now()
  const outcome = (rest: Pick<CaseOutcome, 'state'> & Partial<CaseOutcome>): CaseOutcome => ({
    name,
    place,
    durationMs: performance.now() - began,
    ...rest,
  })
  try {
    if (!trial.has(decision))
      throw new Error(`no entrypoint ${decision}; expected one of ${trial.facts.entrypoints.join(', ')}`)
    const read = await world.inputOf(each.input, place)
    input = each.change === undefined ? read : mergePatch(read, each.change)
    began = performance.now()
    result = await trial.evaluate(decision, input, contextAt(each.atMs))
  } catch (thrown) {
    return outcome({ state: 'error', error: messageOf(thrown) })
  }
  const differences: NonNullable<CaseOutcome['difference']>[] = []
  if (expect.result !== undefined || expect.undefined === true) {
    const found = firstDifference(result, expect.result as JsonValue | undefined)
    if (found !== undefined) differences.push({ ...found, of: 'result' })
  }
  if (expect.verdict !== undefined) {
    const seen = world.previewOf(verdictFor(input, result, 'case'), input)
    const found = firstDifference(only(seen, expect.verdict as JsonObject), expect.verdict as JsonObject)
    if (found !== undefined) differences.push({ ...found, of: 'verdict' })
  }
  const [difference] = differences
  return outcome(difference === undefined ? { state: 'pass' } : { state: 'fail', difference })
}

/** What was asked for: the keys of `wanted`, in maps too. */
function only(seen: JsonObject, wanted: JsonObject): JsonObject {
  const kept: Record<string, JsonValue | undefined> = {}
  for (const [key, want] of Object.entries(wanted)) {
    const value = seen[key]
    kept[key] = isJsonObject(value) && isJsonObject(want) ? only(value, want) : value
  }
  return kept
}
