import { type Clock, systemClock } from '#base/clock.ts'
import type { Stage } from '#decision/stage.ts'
import { failure } from '#decision/verdict.ts'
import { openBundles } from './bundle/bundles.ts'
import { type Compile, createCompiler } from './bundle/compile.ts'
import type { Rigour } from './bundle/freshness.ts'
import type { Verification } from './bundle/signature/signature.ts'
import type { BundleSource } from './bundle/source/source.ts'
import type { BundleStatus } from './bundle/status.ts'
import { type Active, decide, revisionOf } from './decide.ts'
import type { DecisionSink } from './decided.ts'

export type { RevisionOrder } from './bundle/freshness.ts'
export type { SignatureAlgorithm, Verification } from './bundle/signature/signature.ts'
export type { BundleSource } from './bundle/source/source.ts'
export type { BundleStatus } from './bundle/status.ts'
export { createTenantCeiling } from './ceiling.ts'
export { dryRun } from './dry-run.ts'
export { createServiceClient, type ServiceClient } from './service/service.ts'

export interface PolicyStatus {
  /** Of the bundles in force. */
  readonly revision?: string
  readonly activatedAtMs?: number
  /** Why what was read last is not in force. */
  readonly lastError?: string
}

export interface Policy extends Disposable {
  readonly stage: Stage
  status(): PolicyStatus
  /** Of each bundle, as status reports have it. */
  bundles(): readonly BundleStatus[]
  /** Whether every bundle is in force; until then every request is refused. */
  isReady(): boolean
  /** For how long nobody has confirmed what is in force, where that is longer than it may be. */
  staleForSeconds(): number | undefined
}

/** What OPA compiles for its own use where a bundle has it. */
const systemDecisions = ['system/log/mask', 'system/log/drop']

/**
 * Loads bundles, from files that are watched or servers that are asked again and again. A new set is checked whole before
 * it takes effect, at once; a bad one is refused and the last good one stays. Resolves when what is there at the start
 * without a server has been looked at.
 */
export async function openPolicy(options: {
  readonly source: { readonly file: string } | { readonly bundles: readonly BundleSource[] }
  /** The decision's path, for example `envoy/authz/allow`. */
  readonly decision: string
  /** For the bundle in `source.file`: keys that it must be signed with. */
  readonly verification?: () => Verification
  readonly rigour?: Rigour
  /** How long bundles may go without a word from their servers, and whether requests are refused from then on. */
  readonly stale?: { readonly afterSeconds: number; readonly isRefused: boolean }
  readonly compile?: Compile
  readonly clock?: Clock
  readonly watchIntervalMs?: number
  /** Told of each load: the revision in force, and why what was read is not. */
  readonly onLoad: (load: { readonly revision?: string; readonly problem?: string }) => void
  /** Told of each evaluation, for the decision log. */
  readonly sink?: DecisionSink
}): Promise<Policy> {
  const { source, decision, clock = systemClock, onLoad, stale } = options
  let active: Active | undefined
  const tell = (problem: string | undefined) =>
    onLoad({ ...(active && { revision: revisionOf(active) }), ...(problem !== undefined && { problem }) })
  const bundles = await openBundles({
    sources: 'file' in source ? [fileSource(source.file, options.verification)] : source.bundles,
    wanted: { decisions: [decision], optional: systemDecisions },
    rigour: options.rigour ?? { isProduction: false },
    compile: options.compile ?? createCompiler(),
    clock,
    watchIntervalMs: options.watchIntervalMs,
    onSet: ({ engine, revisions }, problem) => {
      active = { engine, revisions, activatedAtMs: clock.nowMs() }
      tell(problem)
    },
    onProblem: tell,
  })
  const staleForSeconds = () => {
    if (stale === undefined) return undefined
    const seconds = (clock.nowMs() - bundles.confirmedAtMs()) / 1000
    return seconds > stale.afterSeconds ? seconds : undefined
  }

  return {
    stage: {
      name: 'policy',
      failureReason: 'policy_failed',
      request: (x) => {
        if (active === undefined) return failure('policy_not_loaded', bundles.problem())
        if (stale?.isRefused && staleForSeconds() !== undefined)
          return failure('policy_stale', bundles.problem())
        return decide(active, x, { decision, clock, sink: options.sink })
      },
    },
    status: () => {
      const problem = bundles.problem()
      return {
        ...(active && { revision: revisionOf(active), activatedAtMs: active.activatedAtMs }),
        ...(problem !== undefined && { lastError: problem }),
      }
    },
    bundles: () => bundles.status(),
    isReady: () => active !== undefined,
    staleForSeconds,
    [Symbol.dispose]: () => bundles[Symbol.dispose](),
  }
}

/** The only bundle, where OPA would have names for several. */
function fileSource(path: string, verification: (() => Verification) | undefined): BundleSource {
  return { kind: 'file', name: 'policy', path, isWatched: true, verification }
}
