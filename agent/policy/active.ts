import { readFileSync } from 'node:fs'
import type { Clock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { watchPath } from '#base/watch.ts'
import { readBundle } from './bundle/bundle.ts'
import { type DownloadConfig, startDownload } from './bundle/download/download.ts'
import type { Verification } from './bundle/signature/signature.ts'
import { createEngine, type Engine } from './engine/engine.ts'

/** What decides at one moment; a request keeps to the one it began with. */
export interface Active {
  readonly engine: Engine
  /** Of the bundles in force, by name. */
  readonly revisions: Readonly<Record<string, string>>
  readonly activatedAtMs: number
}

export type PolicySource = { readonly file: string } | { readonly download: DownloadConfig }

export interface ActiveOptions {
  readonly source: PolicySource
  /** Entrypoints that a bundle must have to take effect. */
  readonly decisions: readonly string[]
  /** Keys that bundles must be signed with; read anew for each load, so that a key can be replaced with the bundle. */
  readonly verification?: (() => Verification) | undefined
  readonly clock: Clock
  readonly watchIntervalMs?: number | undefined
  /** Told of each load: the revision in force, and why what was read is not. */
  onLoad(load: { readonly revision?: string; readonly problem?: string }): void
}

/** A policy that is kept current. */
export interface ActiveSource extends Disposable {
  current(): Active | undefined
  /** Why what was read last is not in force. */
  lastError(): string | undefined
}

/** What the only bundle is called where OPA names them. */
const bundleName = 'policy'

/**
 * Loads a bundle, from a file that is watched or a server that is asked again and again. A new one is checked whole before
 * it takes effect, at once; a bad one is refused and the last good one stays. Resolves when what is there at the start has
 * been looked at.
 */
export async function openActive(options: ActiveOptions): Promise<ActiveSource> {
  const { source, decisions, clock, onLoad } = options
  let active: Active | undefined
  let lastError: string | undefined

  const tell = () =>
    onLoad({
      ...(active && { revision: revisionOf(active) }),
      ...(lastError !== undefined && { problem: lastError }),
    })
  const load = async (bytes: () => Buffer, place: string): Promise<boolean> => {
    try {
      const [decision = ''] = decisions
      const bundle = readBundle(bytes(), place, decision, options.verification?.())
      const engine = createEngine({ ...bundle, place })
      const missing = decisions.filter((each) => !engine.entrypoints.has(each))
      if (missing.length > 0)
        throw new SluiceError({
          code: 'policy_module_refused',
          place,
          found: `entrypoints ${[...engine.entrypoints].join(', ')}`,
          expected: `the entrypoints ${missing.join(', ')} (opa build ${missing.map((each) => `-e ${each}`).join(' ')})`,
        })
      active = { engine, revisions: { [bundleName]: bundle.revision }, activatedAtMs: clock.nowMs() }
      lastError = undefined
    } catch (thrown) {
      lastError = messageOf(thrown)
    }
    tell()
    return lastError === undefined
  }

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

  const live = 'file' in source ? await watchFile(source.file) : await download(source.download)
  return {
    current: () => active,
    lastError: () => lastError,
    [Symbol.dispose]: () => live[Symbol.dispose](),
  }
}

/** The revisions in force in one text. */
export function revisionOf({ revisions }: Active): string {
  return Object.values(revisions).join(',')
}
