import { randomUUID } from 'node:crypto'
import { type Clock, systemClock } from '#base/clock.ts'
import type { Resources } from '#resources/resources.ts'
import { type Challenger, createChallenger } from './challenger.ts'
import type { Exchange, RequestFacts, ServedFacts } from './exchange.ts'
import type { Stage } from './stage.ts'
import type { Settlement } from './usage.ts'
import { ALLOW, failure, type Mutations, mergeMutations, type Refusal, type Verdict } from './verdict.ts'

declare const decided: unique symbol

/** A verdict that went through the whole pipeline. The wire encoders take nothing else. */
export type Decision = Verdict & { readonly [decided]: true }

/** Writes down what was decided. A record that cannot be written turns the decision into a refusal. */
export interface Recorder {
  /** Throws when the record cannot be kept. */
  decided(x: Exchange, verdict: Verdict, phase: 'request' | 'response'): void
  /** What a call took, when it has ended. Throws when the record cannot be kept. */
  ended?(x: Exchange, settled: Settlement, durationMs: number): void
}

/** Sees every decision with its duration; for metrics. Must not throw. */
export type DecisionObserver = (x: Exchange, verdict: Verdict, durationUs: number) => void

export interface PipelineOptions {
  /** In the order they run. */
  readonly stages: readonly Stage[]
  readonly resources: () => Resources
  readonly recorder?: Recorder
  readonly observer?: DecisionObserver
  /** How clients are told what would be accepted. */
  readonly challenger?: Challenger
  readonly deadlineMs: number
  readonly clock?: Clock
}

export interface Pipeline {
  /** Opens an exchange on the resources of this moment. Every one opened must be ended. */
  open(request: RequestFacts): Exchange
  /** May the request go on, and with what changes? Never throws or rejects. */
  request(x: Exchange): Decision | Promise<Decision>
  /** May the answer go on? Never throws or rejects. */
  response(x: Exchange, served: ServedFacts): Decision | Promise<Decision>
  /** Refuses before any stage ran, for what the decoder itself found wrong. Recorded like every other. */
  refuse(x: Exchange, refusal: Refusal): Decision
  /** Ends an exchange whose request was never let through, whatever was decided: what stages took is given back. Throws as `end`. */
  abandon(x: Exchange): void
  /** Releases what the exchange holds, in every stage. @throws AggregateError afterwards, for stages that could not, and a record that was not kept. */
  end(x: Exchange): void
}

/**
 * Runs the stages in order until one refuses. Whatever goes wrong on the way (an exception, a rejected promise, the
 * deadline) is a refusal with its own reason; there is no path to `allow` but every stage having said so.
 */
export function createPipeline(options: PipelineOptions): Pipeline {
  const {
    stages,
    recorder,
    observer,
    deadlineMs,
    clock = systemClock,
    challenger = createChallenger(),
  } = options

  /** The stages from `index` on. Stays synchronous as long as the stages do. */
  function run(
    x: Exchange,
    phase: 'request' | 'response',
    index: number,
    changes: Mutations,
  ): Verdict | Promise<Verdict> {
    let mutations = changes
    for (let i = index; i < stages.length; i++) {
      const stage = stages[i] as Stage
      if (stage[phase] === undefined) continue
      let verdict: Verdict | Promise<Verdict>
      try {
        verdict = stage[phase](x)
        if (!(verdict instanceof Promise)) verdict = proper(verdict, stage)
      } catch (cause) {
        verdict = failure(stage.failureReason, cause)
      }
      if (verdict instanceof Promise) {
        const before = mutations
        return verdict
          .then((answer) => proper(answer, stage))
          .catch((cause: unknown) => failure(stage.failureReason, cause))
          .then((answer) =>
            answer.kind === 'allow'
              ? run(x, phase, i + 1, mergeMutations(before, answer.mutations))
              : revoked(x, phase, i, answer),
          )
      }
      if (verdict.kind !== 'allow') return revoked(x, phase, i, verdict)
      mutations = mergeMutations(mutations, verdict.mutations)
    }
    return mutations === ALLOW_MUTATIONS ? ALLOW : { kind: 'allow', mutations }
  }

  /** Has the stages before `refusedAt` give back. One that cannot makes the refusal ours; the others still do. */
  function revoked(x: Exchange, phase: 'request' | 'response', refusedAt: number, refusal: Refusal): Refusal {
    let final = refusal
    if (phase === 'request') {
      for (let i = refusedAt - 1; i >= 0; i--) {
        const stage = stages[i] as Stage
        try {
          stage.revoke?.(x)
        } catch (cause) {
          final = failure(stage.failureReason, cause)
        }
      }
    }
    return final
  }

  function conclude(x: Exchange, phase: 'request' | 'response', verdict: Verdict, beganUs: number): Decision {
    let final: Verdict = verdict
    try {
      recorder?.decided(x, final, phase)
    } catch (cause) {
      final = failure('audit_failed', cause)
      if (verdict.kind === 'allow') final = revoked(x, phase, stages.length, final)
    }
    if (final.kind === 'deny') final = challenger(final, x.request.headers)
    const nowUs = clock.monotonicUs()
    if (phase === 'request' && final.kind === 'allow') x.permittedUs = nowUs
    observer?.(x, final, nowUs - beganUs)
    return final as Decision
  }

  function decide(x: Exchange, phase: 'request' | 'response'): Decision | Promise<Decision> {
    const beganUs = clock.monotonicUs()
    const answer = run(x, phase, 0, ALLOW_MUTATIONS)
    if (!(answer instanceof Promise)) return conclude(x, phase, answer, beganUs)
    return withDeadline(x, phase, answer).then((verdict) => conclude(x, phase, verdict, beganUs))
  }

  function withDeadline(
    x: Exchange,
    phase: 'request' | 'response',
    answer: Promise<Verdict>,
  ): Promise<Verdict> {
    return new Promise((resolve) => {
      let isLate = false
      let isWaitOver = false
      const late = () => {
        const { waiting } = x
        // A queue has a deadline of its own, once; what comes after the turn has what is left of both.
        if (waiting !== undefined && !isWaitOver) {
          isWaitOver = true
          timer = setTimeout(late, waiting.atMostMs)
          return
        }
        isLate = true
        resolve(failure('deadline_exceeded', new Error(`no decision within ${deadlineMs} ms`)))
        waiting?.abandon()
      }
      let timer = setTimeout(late, deadlineMs)
      answer.then(
        (verdict) => {
          clearTimeout(timer)
          // The caller was refused already; an allow that comes after must not keep what it took.
          if (isLate && verdict.kind === 'allow')
            revoked(x, phase, stages.length, failure('deadline_exceeded', null))
          resolve(verdict)
        },
        (cause: unknown) => {
          clearTimeout(timer)
          resolve(failure('internal_error', cause))
        },
      )
    })
  }

  const pipeline: Pipeline = {
    open: (request) => ({
      id: randomUUID(),
      request,
      resources: options.resources(),
      startedUs: clock.monotonicUs(),
    }),
    request: (x) => decide(x, 'request'),
    response: (x, served) => {
      x.served = served
      return decide(x, 'response')
    },
    refuse: (x, refusal) => conclude(x, 'request', refusal, x.startedUs),
    abandon: (x) => {
      revoked(x, 'request', stages.length, failure('internal_error', null))
      pipeline.end(x)
    },
    end: (x) => {
      const wrong: unknown[] = []
      for (const stage of stages) {
        try {
          stage.end?.(x)
        } catch (cause) {
          wrong.push(cause)
        }
      }
      if (x.settled !== undefined) {
        try {
          recorder?.ended?.(x, x.settled, (clock.monotonicUs() - x.startedUs) / 1000)
        } catch (cause) {
          wrong.push(cause)
        }
      }
      if (wrong.length > 0) throw new AggregateError(wrong, 'a stage could not end an exchange')
    },
  }
  return pipeline
}

/** What a stage that is not well written answers (nothing, an object of another kind) must not pass for an allow. */
function proper(verdict: Verdict, stage: Stage): Verdict {
  switch (verdict.kind) {
    case 'allow':
    case 'deny':
    case 'error':
      return verdict
    default:
      verdict satisfies never
      throw new TypeError(`the stage ${stage.name} answered no verdict`)
  }
}

const ALLOW_MUTATIONS = ALLOW.kind === 'allow' ? ALLOW.mutations : {}
