import type { Clock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { Engine } from '../engine/engine.ts'
import type { StartEngine } from '../engine/starting.ts'
import { combine, type Wanted } from './combine.ts'
import type { Compile } from './compile.ts'
import type { Delta, Manifest, Snapshot } from './contents.ts'
import { checkFreshness, type Rigour } from './freshness.ts'
import { patched } from './patch.ts'
import { refuse } from './refuse.ts'
import { type BundleSource, type Offer, startSource } from './source/source.ts'
import { type BundleStatus, StatusBook } from './status.ts'

/** A whole set of bundles, ready to be asked. */
export interface BundleSet {
  readonly engine: Engine
  /** By bundle. */
  readonly revisions: Readonly<Record<string, string>>
}

/** Bundles that are looked for again and again. */
export interface Bundles extends Disposable {
  status(): readonly BundleStatus[]
  /** Why what was read last is not in force, or what there is not yet; `undefined` when all is well. */
  problem(): string | undefined
  /** When the bundle that was not confirmed for the longest was last known to be what there is, ms since the epoch. */
  confirmedAtMs(): number
}

/**
 * Looks for every bundle of a set and puts a new set in force as soon as all of them are there and go together; a bundle
 * that does not leaves the set as it was. Resolves when what is there without a server has been looked at.
 */
export async function openBundles(options: {
  readonly sources: readonly BundleSource[]
  readonly wanted: Wanted
  readonly rigour: Rigour
  readonly compile: Compile
  readonly start: StartEngine
  readonly clock: Clock
  readonly watchIntervalMs?: number | undefined
  /** Told of each set that takes effect. */
  readonly onSet: (set: BundleSet, problem: string | undefined) => void
  /** Told what {@link Bundles.problem} says when that changes and the set does not. */
  readonly onProblem: (problem: string | undefined) => void
}): Promise<Bundles> {
  const { sources, clock } = options
  const book = new StatusBook(
    sources.map(({ name }) => name),
    clock.nowMs,
  )
  let parts: ReadonlyMap<string, Snapshot> = new Map()
  let isClosed = false
  /** One at a time: what a bundle is checked against must not change meanwhile. */
  let queue: Promise<unknown> = Promise.resolve()

  async function take(name: string, { read, place, sizeBytes }: Offer): Promise<boolean> {
    if (isClosed) return false
    try {
      const contents = await read()
      const current = parts.get(name)
      const next = contents.kind === 'delta' ? changed(current, contents, place) : contents
      checkFreshness(next, current, options.rigour, place)
      const candidate = new Map<string, Snapshot>()
      for (const source of sources) {
        const part = source.name === name ? next : parts.get(source.name)
        if (part !== undefined) candidate.set(source.name, part)
      }
      const isWhole = candidate.size === sources.length
      const engine = isWhole
        ? await combine(candidate, options.wanted, options.compile, options.start)
        : undefined
      if (isClosed) {
        await engine?.[Symbol.asyncDispose]?.()
        return false
      }
      parts = candidate
      book.taken(name, { type: contents.kind, revision: next.manifest.revision, sizeBytes })
      if (engine !== undefined) {
        const revisions = [...candidate].map(([each, { manifest }]) => [each, manifest.revision] as const)
        book.activated()
        options.onSet({ engine, revisions: Object.fromEntries(revisions) }, book.problem())
      }
      return true
    } catch (thrown) {
      book.failed(name, { code: 'bundle_error', message: messageOf(thrown) })
      options.onProblem(book.problem())
      return false
    }
  }

  const running = new DisposableStack()
  running.defer(() => {
    isClosed = true
  })
  await Promise.all(
    sources.map(async (source) => {
      const { name } = source
      const live = await startSource(
        source,
        {
          offer: (offer) => {
            const taken = queue.then(() => take(name, offer))
            queue = taken
            return taken
          },
          onRequest: () => book.requested(name),
          onConfirmed: (atMs) => {
            const hadProblem = book.confirmed(name, atMs)
            if (hadProblem) options.onProblem(book.problem())
          },
          onProblem: (message, httpStatus) => {
            book.failed(name, { code: 'bundle_error', message, httpStatus })
            options.onProblem(book.problem())
          },
        },
        { watchIntervalMs: options.watchIntervalMs },
      )
      running.use(live)
    }),
  )
  return {
    status: () => book.all(),
    problem: () => book.problem(),
    confirmedAtMs: () => book.confirmedAtMs(),
    [Symbol.dispose]: () => running[Symbol.dispose](),
  }
}

/** @throws SluiceError where the change is not one to what there is. */
function changed(current: Snapshot | undefined, delta: Delta, place: string): Snapshot {
  if (current === undefined) return refuse(place, 'patch.json', 'a delta bundle', 'a snapshot to begin with')
  if (shape(delta.manifest) !== shape(current.manifest))
    refuse(place, '.manifest', 'other roots or modules than the snapshot has', 'the same ones')
  const { signedBy: _, ...rest } = current
  return {
    ...rest,
    manifest: { ...current.manifest, revision: delta.manifest.revision },
    data: patched(current.data, delta.patch, place),
  }
}

/** What a delta bundle must have in common with its snapshot. */
function shape({ roots, wasm }: Manifest): string {
  return JSON.stringify([[...roots].sort(), wasm.map(({ entrypoint, module }) => [entrypoint, module])])
}
