import { isTokenName, sumOf } from './reported.ts'
import type { Tally } from './tally.ts'

/** An output of an answer, as far as it is of interest. */
export interface AnswerTensor {
  readonly name: string
  /** Its first dimension. */
  readonly batch: number
  /** Whole numbers, nested or not; `undefined` where they are not to be read. */
  readonly values: () => unknown
}

/**
 * Takes what one answer's outputs say: tokens, and whether the answer is one of a batch.
 *
 * @param batch inferences that the request looked like
 */
export function readTensors(tally: Tally, outputs: readonly AnswerTensor[], batch: number): void {
  let isBatch = false
  for (const { name, batch: own, values } of outputs) {
    if (own === batch) isBatch = true
    if (!isTokenName(name)) continue
    const tokens = sumOf(values())
    if (tokens !== undefined) tally.reportPart(name, tokens)
  }
  if (outputs.length > 0) tally.inferences = Math.max(tally.inferences ?? 1, isBatch ? batch : 1)
}
