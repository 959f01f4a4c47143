import { type Clock, systemClock } from '#base/clock.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { failure, type Verdict } from '#decision/verdict.ts'
import { type Active, openActive, type PolicySource, revisionOf } from './active.ts'
import type { Verification } from './bundle/signature/signature.ts'
import { type AnswerOptions, decideAnswer, decideRequest } from './decide.ts'
import type { DecisionSink } from './decided.ts'
import { type CandidateOutcome, createCandidate } from './shadow/candidate.ts'
import { createShadowQueue } from './shadow/queue.ts'

export type { PolicySource } from './active.ts'
export type { DownloadConfig } from './bundle/download/download.ts'
export type { Verification } from './bundle/signature/signature.ts'
export { createTenantCeiling } from './ceiling.ts'

export interface PolicyStatus {
  /** Of the bundle in force. */
  readonly revision?: string
  readonly activatedAtMs?: number
  /** Why what was read last is not in force. */
  readonly lastError?: string
}

export interface Policy extends Disposable {
  readonly stage: Stage
  status(): PolicyStatus
  /** Whether a bundle is in force; until then every request is refused. */
  isReady(): boolean
}

type OnLoad = (load: { readonly revision?: string; readonly problem?: string }) => void

/** A policy that is asked beside the one in force and never enforced. */
export interface CandidateOptions {
  readonly source: PolicySource
  /** How many of the decisions are compared, parts per million. */
  readonly samplePpm: number
  readonly onLoad: OnLoad
  readonly onOutcome: (outcome: CandidateOutcome) => void
}

export interface PolicyOptions {
  readonly source: PolicySource
  /** The decision's path, for example `envoy/authz/allow`. */
  readonly decision: string
  /** What is asked about answers, on ext_proc; without it answers pass. */
  readonly answer?: AnswerOptions
  readonly candidate?: CandidateOptions
  /** Keys that bundles must be signed with; read anew for each load, so that a key can be replaced with the bundle. */
  readonly verification?: () => Verification
  readonly clock?: Clock
  readonly watchIntervalMs?: number
  /** Told of each load: the revision in force, and why what was read is not. */
  readonly onLoad: OnLoad
  /** Told of each evaluation, for the decision log. */
  readonly sink?: DecisionSink
  /** Told of what an AccessPolicy in shadow mode would have done. */
  readonly onShadow?: (policy: string, kind: Verdict['kind']) => void
}

/** Opens the policy stage. Resolves when what is there at the start has been looked at. */
export async function openPolicy(options: PolicyOptions): Promise<Policy> {
  const { decision, answer, clock = systemClock, sink, onShadow = () => {} } = options
  using opening = new DisposableStack()
  const open = (source: PolicySource, onLoad: OnLoad) =>
    openActive({
      source,
      decisions: [...new Set([decision, ...(answer ? [answer.decision] : [])])],
      verification: options.verification,
      clock,
      watchIntervalMs: options.watchIntervalMs,
      onLoad,
    })
  const live = opening.use(await open(options.source, options.onLoad))
  const queue = createShadowQueue()
  const { candidate } = options
  const candidateSource = candidate && opening.use(await open(candidate.source, candidate.onLoad))
  const deciding = {
    decision,
    clock,
    sink,
    queue,
    onShadow,
    candidate:
      candidate &&
      createCandidate({
        current: () => candidateSource?.current(),
        samplePpm: candidate.samplePpm,
        queue,
        clock,
        sink,
        onOutcome: candidate.onOutcome,
      }),
  }
  const inForce = (decide: (active: Active) => Verdict | Promise<Verdict>) => {
    const active = live.current()
    return active === undefined ? failure('policy_not_loaded', live.lastError()) : decide(active)
  }
  const owned = opening.move()
  return {
    stage: {
      name: 'policy',
      failureReason: 'policy_failed',
      request: (x) => inForce((active) => decideRequest(active, x, deciding)),
      ...(answer && {
        response: (x: Exchange) => inForce((active) => decideAnswer(active, x, { ...deciding, answer })),
      }),
    },
    status: () => {
      const [active, lastError] = [live.current(), live.lastError()]
      return {
        ...(active && { revision: revisionOf(active), activatedAtMs: active.activatedAtMs }),
        ...(lastError !== undefined && { lastError }),
      }
    },
    isReady: () => live.current() !== undefined,
    [Symbol.dispose]: () => owned.dispose(),
  }
}
