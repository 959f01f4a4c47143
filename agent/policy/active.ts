import type { Clock } from '#base/clock.ts'
import { openBundles } from './bundle/bundles.ts'
import type { Compiler, Target } from './bundle/compile.ts'
import type { Rigour } from './bundle/freshness.ts'
import type { BundleSource } from './bundle/source/source.ts'
import type { BundleStatus } from './bundle/status.ts'
import type { Engine, StartEngine } from './engine/engine.ts'

/** What decides at one moment; a request keeps to the one it began with. */
export interface Active {
  readonly engine: Engine
  /** Of the bundles in force, by name. */
  readonly revisions: Readonly<Record<string, string>>
  /** These in one text. */
  readonly revision: string
  readonly activatedAtMs: number
}

/** Told of each load: the revision in force, why what was read is not, and how each bundle stands. */
export type OnLoad = (
  load: { readonly revision?: string; readonly problem?: string },
  bundles: readonly BundleStatus[],
) => void

export interface ActiveOptions {
  readonly sources: readonly BundleSource[]
  /** Entrypoints that the bundles must have to take effect. */
  readonly decisions: readonly string[]
  /** What the decision log asks; a bundle with a rule for one of them must have it as an entrypoint. */
  readonly logDecisions: readonly string[]
  readonly rigour: Rigour
  /** What the bundles must have been built for; `wasm` if absent. */
  readonly target?: Target
  readonly compiler: Compiler
  readonly start: StartEngine
  readonly clock: Clock
  readonly watchIntervalMs?: number | undefined
  readonly onLoad: OnLoad
}

/** A policy that is kept current. */
export interface ActiveSource extends AsyncDisposable {
  current(): Active | undefined
  /** Why what was read last is not in force. */
  problem(): string | undefined
  /** Of each bundle, as status reports have it. */
  bundles(): readonly BundleStatus[]
  /** When the bundle that was not confirmed for the longest was last known to be what there is, ms since the epoch. */
  confirmedAtMs(): number
}

/** Longer than any decision may take. */
const retireAfterMs = 61_000

/** What OPA asks for its own use where a bundle has it. */
const systemDecisions = ['system/log/mask', 'system/log/drop']

/**
 * Loads bundles, from files that are watched or servers that are asked again and again. A new set is checked whole before
 * it takes effect, at once; a bad one is refused and the last good one stays. Resolves when what is there at the start
 * without a server has been looked at.
 */
export async function openActive(options: ActiveOptions): Promise<ActiveSource> {
  const { decisions, logDecisions, target, clock, onLoad, ...rest } = options
  let active: Active | undefined
  const tell = (problem: string | undefined, statuses: readonly BundleStatus[]) =>
    onLoad(
      { ...(active && { revision: active.revision }), ...(problem !== undefined && { problem }) },
      statuses,
    )
  /** Closes an engine when no request that began with it can still be asking. */
  const retiring = new Map<Engine, NodeJS.Timeout>()
  function retire(engine: Engine): void {
    const timer = setTimeout(() => {
      retiring.delete(engine)
      void engine[Symbol.asyncDispose]?.()
    }, retireAfterMs)
    retiring.set(engine, timer.unref())
  }
  const bundles = await openBundles({
    ...rest,
    clock,
    wanted: {
      decisions,
      optional: [...new Set([...systemDecisions, ...logDecisions])],
      logged: logDecisions,
      ...(target && { target }),
    },
    onSet: ({ engine, revisions }, problem, statuses) => {
      const before = active
      const revision = Object.values(revisions).join(',')
      active = { engine, revisions, revision, activatedAtMs: clock.nowMs() }
      if (before?.engine[Symbol.asyncDispose] !== undefined) retire(before.engine)
      tell(problem, statuses)
    },
    onProblem: tell,
  })
  return {
    current: () => active,
    problem: () => bundles.problem(),
    bundles: () => bundles.status(),
    confirmedAtMs: () => bundles.confirmedAtMs(),
    [Symbol.asyncDispose]: async () => {
      bundles[Symbol.dispose]()
      for (const [engine, timer] of retiring) {
        clearTimeout(timer)
        await engine[Symbol.asyncDispose]?.()
      }
      await active?.engine[Symbol.asyncDispose]?.()
    },
  }
}
