import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '#base/clock.ts'
import type { JsonValue } from '#base/json.ts'
import type { Active } from '../active.ts'
import type { DecisionSink } from '../decided.ts'
import type { PolicyInput } from '../engine/input-document.ts'
import { firstDifference } from './difference.ts'
import type { ShadowQueue } from './queue.ts'

/** What came of asking the candidate what the policy in force was asked. */
export type CandidateOutcome =
  | 'same'
  | 'different'
  /** The candidate's evaluation failed, or it has no such decision. */
  | 'failed'
  /** No candidate is loaded. */
  | 'absent'
  /** Too much was waiting. */
  | 'dropped'

/** A decision of the policy in force. */
export interface Compared {
  readonly id: string
  readonly path: string
  readonly input: PolicyInput
  /** When it was made, milliseconds since the epoch; the candidate is asked as of then. */
  readonly atMs: number
  readonly result: JsonValue | undefined
}

/** A policy that is asked beside the one in force, and never enforced. */
export interface Candidate {
  /** Takes a decision to compare and returns at once; the candidate is asked later. */
  compare(decision: Compared): void
}

export function createCandidate(options: {
  current(): Active | undefined
  /** How many of the decisions are compared, parts per million. */
  readonly samplePpm: number
  readonly queue: ShadowQueue
  readonly clock: Clock
  readonly random?: () => number
  readonly sink?: DecisionSink | undefined
  onOutcome(outcome: CandidateOutcome): void
}): Candidate {
  const { current, samplePpm, queue, clock, random = Math.random, sink, onOutcome } = options

  async function run(candidate: Active, decision: Compared): Promise<void> {
    const { id, path, input, atMs, result: enforced } = decision
    const beganUs = clock.monotonicUs()
    let result: JsonValue | undefined
    let error: unknown
    try {
      result = await candidate.engine.evaluate(path, input, { nowNs: BigInt(atMs) * 1_000_000n })
    } catch (thrown) {
      error = thrown
    }
    const isSame = error === undefined && isDeepStrictEqual(result, enforced)
    onOutcome(error !== undefined ? 'failed' : isSame ? 'same' : 'different')
    if (isSame) return
    sink?.({
      decisionId: id,
      path,
      input,
      result,
      ...(error !== undefined && { error }),
      revisions: candidate.revisions,
      shadow: { candidate: { enforced, difference: firstDifference(enforced, result) } },
      atMs,
      evaluationUs: clock.monotonicUs() - beganUs,
    })
  }

  return {
    compare: (decision) => {
      if (samplePpm < 1_000_000 && random() * 1_000_000 >= samplePpm) return
      const candidate = current()
      if (candidate === undefined) return onOutcome('absent')
      if (!queue.offer(() => run(candidate, decision))) onOutcome('dropped')
    },
  }
}
