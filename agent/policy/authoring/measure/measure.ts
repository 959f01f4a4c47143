import type { JsonValue } from '#base/json.ts'
import { contextAt, type Trial } from '../trial/trial.ts'

/** What evaluations cost. */
export interface Measured {
  readonly evaluations: number
  readonly meanUs: number
  readonly p50Us: number
  readonly p90Us: number
  readonly p99Us: number
  readonly maxUs: number
  /** Of the module, when all were done; a compiled plan has no memory of its own. */
  readonly memoryBytes?: number
}

/** Evaluations that are not counted: V8 compiles while it runs. */
const warmUp = 200

/** Asks the same question again and again, one at a time. @throws EvaluationError */
export async function measure(
  trial: Trial,
  input: JsonValue | undefined,
  evaluations: number,
): Promise<Measured> {
  const context = contextAt()
  const timesUs = new Float64Array(evaluations)
  for (let i = 0; i < Math.min(warmUp, evaluations); i++) await trial.evaluate(trial.decision, input, context)
  for (let i = 0; i < evaluations; i++) {
    const began = performance.now()
    await trial.evaluate(trial.decision, input, context)
    timesUs[i] = (performance.now() - began) * 1000
  }
  timesUs.sort()
  const memoryBytes = trial.memoryBytes()
  const at = (share: number) => timesUs[Math.min(evaluations - 1, Math.floor(share * evaluations))] ?? 0
  return {
    evaluations,
    meanUs: timesUs.reduce((sum, each) => sum + each, 0) / evaluations,
    p50Us: at(0.5),
    p90Us: at(0.9),
    p99Us: at(0.99),
    maxUs: at(1),
    ...(memoryBytes !== undefined && { memoryBytes }),
  }
}
