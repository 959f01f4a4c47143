import { type Clock, systemClock } from '#base/clock.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { failure, type Verdict } from '#decision/verdict.ts'
import { type Active, type OnLoad, openActive } from './active.ts'
import { type Compiler, createCompiler } from './bundle/compile.ts'
import type { Rigour } from './bundle/freshness.ts'
import type { Verification } from './bundle/signature/signature.ts'
import type { BundleSource } from './bundle/source/source.ts'
import type { BundleStatus } from './bundle/status.ts'
import { type AnswerOptions, decideAnswer, decideRequest } from './decide.ts'
import type { DecisionSink } from './decided.ts'
import { type StartEngine, startEngine } from './engine/engine.ts'
import { startIsolatedEngine } from './engine/isolated/isolated.ts'
import { type CandidateOutcome, createCandidate } from './shadow/candidate.ts'
import { createShadowQueue } from './shadow/queue.ts'
import { defaultSwitches, type Switches } from './switches.ts'

export type { RevisionOrder } from './bundle/freshness.ts'
export type { SignatureAlgorithm, Verification } from './bundle/signature/signature.ts'
export type { BundleSource } from './bundle/source/source.ts'
export type { BundleStatus } from './bundle/status.ts'
export { createTenantCeiling } from './ceiling.ts'
export type { DecisionSink } from './decided.ts'
export { createServiceClient, type ServiceClient } from './service/service.ts'
export { defaultSwitches, type Switches } from './switches.ts'

/** What evaluates: the module of a bundle, or its plan as JavaScript. */
export type EngineChoice = 'wasm' | 'compiled'

export interface PolicyStatus {
  readonly engine: EngineChoice
  /** Of the bundles in force. */
  readonly revision?: string
  readonly activatedAtMs?: number
  /** Why what was read last is not in force. */
  readonly lastError?: string
}

export interface Policy extends AsyncDisposable {
  readonly stage: Stage
  status(): PolicyStatus
  /** Of each bundle, as status reports have it. */
  bundles(): readonly BundleStatus[]
  /** Whether every bundle is in force; until then every request is refused. */
  isReady(): boolean
  /** For how long nobody has confirmed what is in force, where that is longer than it may be. */
  staleForSeconds(): number | undefined
}

export type PolicySource = { readonly file: string } | { readonly bundles: readonly BundleSource[] }

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
  /** `wasm` if absent. */
  readonly engine?: EngineChoice
  /** What is asked about answers, on ext_proc; without it answers pass. */
  readonly answer?: AnswerOptions
  readonly candidate?: CandidateOptions
  /** For bundles in `source.file`: keys that they must be signed with. */
  readonly verification?: () => Verification
  readonly rigour?: Rigour
  /** How long bundles may go without a word from their servers, and whether requests are refused from then on. */
  readonly stale?: { readonly afterSeconds: number; readonly isRefused: boolean }
  readonly compiler?: Compiler
  /** Evaluate in a thread of its own, which is ended with an evaluation that takes longer than this. */
  readonly isolation?: { readonly deadlineMs: number; readonly onEnded: (why: string) => void } | undefined
  readonly clock?: Clock
  readonly watchIntervalMs?: number
  readonly onLoad: OnLoad
  /** Told of each evaluation, for the decision log. */
  readonly sink?: DecisionSink
  /** Told of what an AccessPolicy in shadow mode would have done. */
  readonly onShadow?: (policy: string, kind: Verdict['kind']) => void
  readonly switches?: Partial<Switches>
  /** What the decision log asks, `system/log/mask`: bundles that have a rule for it must have it as an entrypoint. */
  readonly logDecisions?: readonly string[]
}

/** Opens the policy stage. Resolves when what is there at the start without a server has been looked at. */
export async function openPolicy(options: PolicyOptions): Promise<Policy> {
  const {
    decision,
    engine = 'wasm',
    answer,
    clock = systemClock,
    sink,
    onShadow = () => {},
    stale,
    candidate,
  } = options
  await using opening = new AsyncDisposableStack()
  const compiler = options.compiler ?? createCompiler()
  const open = (source: PolicySource, onLoad: OnLoad) =>
    openActive({
      sources: 'file' in source ? [fileSource(source.file, options.verification)] : source.bundles,
      decisions: [...new Set([decision, ...(answer ? [answer.decision] : [])])],
      logDecisions: options.logDecisions ?? [],
      rigour: options.rigour ?? { isProduction: false },
      target: engine === 'compiled' ? 'plan' : 'wasm',
      compiler,
      start: starter(options.isolation),
      clock,
      watchIntervalMs: options.watchIntervalMs,
      onLoad,
    })
  const live = opening.use(await open(options.source, options.onLoad))
  const queue = createShadowQueue()
  const candidateSource = candidate && opening.use(await open(candidate.source, candidate.onLoad))
  const deciding = {
    decision,
    clock,
    sink,
    queue,
    onShadow,
    switches: { ...defaultSwitches, ...options.switches },
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
  const staleForSeconds = () => {
    if (stale === undefined) return undefined
    const seconds = (clock.nowMs() - live.confirmedAtMs()) / 1000
    return seconds > stale.afterSeconds ? seconds : undefined
  }
  const inForce = (decide: (active: Active) => Verdict | Promise<Verdict>) => {
    const active = live.current()
    if (active === undefined) return failure('policy_not_loaded', live.problem())
    if (stale?.isRefused && staleForSeconds() !== undefined) return failure('policy_stale', live.problem())
    return decide(active)
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
      const [active, problem] = [live.current(), live.problem()]
      return {
        engine,
        ...(active && { revision: active.revision, activatedAtMs: active.activatedAtMs }),
        ...(problem !== undefined && { lastError: problem }),
      }
    },
    bundles: () => live.bundles(),
    isReady: () => live.current() !== undefined,
    staleForSeconds,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function starter(isolation: PolicyOptions['isolation']): StartEngine {
  return isolation === undefined ? startEngine : (prepared) => startIsolatedEngine(prepared, isolation)
}

/** The only bundle, where OPA would have names for several. */
function fileSource(path: string, verification: (() => Verification) | undefined): BundleSource {
  return { kind: 'file', name: 'policy', path, isWatched: true, verification }
}
