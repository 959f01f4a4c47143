import { readFileSync } from 'node:fs'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { watchPath } from '#base/watch.ts'
import type { Stage } from '#decision/stage.ts'
import { failure } from '#decision/verdict.ts'
import { readBundle, readPlanBundle } from './bundle/bundle.ts'
import { type DownloadConfig, startDownload } from './bundle/download/download.ts'
import type { Verification } from './bundle/signature/signature.ts'
import { createCompiledEngine } from './compiled/compiled.ts'
import { type Active, decide, revisionOf } from './decide.ts'
import type { DecisionSink } from './decided.ts'
import { createEngine } from './engine/engine.ts'

export type { DownloadConfig } from './bundle/download/download.ts'
export type { Verification } from './bundle/signature/signature.ts'
export { createTenantCeiling } from './ceiling.ts'

/** What evaluates: the module of the bundle, or its plan as JavaScript. */
export type EngineChoice = 'wasm' | 'compiled'

export interface PolicyStatus {
  readonly engine: EngineChoice
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

/** What the only bundle is called where OPA names them. */
const bundleName = 'policy'

/**
 * Loads a bundle, from a file that is watched or a server that is asked again and again. A new one is checked whole before
 * it takes effect, at once; a bad one is refused and the last good one stays. Resolves when what is there at the start has
 * been looked at.
 */
export async function openPolicy(options: {
  readonly source: { readonly file: string } | { readonly download: DownloadConfig }
  /** The decision's path, for example `envoy/authz/allow`. */
  readonly decision: string
  /** `wasm` if absent. */
  readonly engine?: EngineChoice
  /** Keys that bundles must be signed with; read anew for each load, so that a key can be replaced with the bundle. */
  readonly verification?: () => Verification
  readonly clock?: Clock
  readonly watchIntervalMs?: number
  /** Told of each load: the revision in force, and why what was read is not. */
  readonly onLoad: (load: { readonly revision?: string; readonly problem?: string }) => void
  /** Told of each evaluation, for the decision log. */
  readonly sink?: DecisionSink
}): Promise<Policy> {
  const { source, decision, engine: choice = 'wasm', clock = systemClock, onLoad } = options
  let active: Active | undefined
  let lastError: string | undefined

  const tell = () =>
    onLoad({
      ...(active && { revision: revisionOf(active) }),
      ...(lastError !== undefined && { problem: lastError }),
    })
  const read = (bytes: Buffer, place: string) => {
    const verification = options.verification?.()
    if (choice === 'compiled') {
      const bundle = readPlanBundle(bytes, place, verification)
      return { engine: createCompiledEngine({ ...bundle, place }), revision: bundle.revision }
    }
    const bundle = readBundle(bytes, place, decision, verification)
    return { engine: createEngine({ ...bundle, place }), revision: bundle.revision }
  }
  const load = async (bytes: () => Buffer, place: string): Promise<boolean> => {
    try {
      const { engine, revision } = read(bytes(), place)
      if (!engine.entrypoints.has(decision))
        throw new SluiceError({
          code: 'policy_module_refused',
          place,
          found: `entrypoints ${[...engine.entrypoints].join(', ')}`,
          expected: `the entrypoint ${decision} (opa build -e ${decision})`,
        })
      active = { engine, revisions: { [bundleName]: revision }, activatedAtMs: clock.nowMs() }
      lastError = undefined
    } catch (thrown) {
      lastError = messageOf(thrown)
    }
    tell()
    return lastError === undefined
  }
  const live = 'file' in source ? await watchFile(source.file) : await download(source.download)

  async function watchFile(path: string): Promise<Disposable> {
    const again = () => load(() => readFileSync(path), path)
    await again()
    const { watchIntervalMs } = options
    return watchPath(
      path,
      () => void again(),
      watchIntervalMs === undefined ? {} : { intervalMs: watchIntervalMs },
    )
  }

  function download(config: DownloadConfig): Promise<Disposable> {
    return startDownload({
      config,
      offer: (bytes, place) => load(() => bytes, place),
      onProblem: (problem) => {
        lastError = problem
        tell()
      },
    })
  }

  return {
    stage: {
      name: 'policy',
      failureReason: 'policy_failed',
      request: (x) =>
        active === undefined
          ? failure('policy_not_loaded', lastError)
          : decide(active, x, { decision, clock, sink: options.sink }),
    },
    status: () => ({
      engine: choice,
      ...(active && { revision: revisionOf(active), activatedAtMs: active.activatedAtMs }),
      ...(lastError !== undefined && { lastError }),
    }),
    isReady: () => active !== undefined,
    [Symbol.dispose]: () => live[Symbol.dispose](),
  }
}
