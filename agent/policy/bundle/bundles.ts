import type { Clock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { Engine, StartEngine } from '../engine/engine.ts'
import type { Wanted } from './assembly/assemble.ts'
import { createAssembler } from './assembly/assembler.ts'
import { startAssembly } from './assembly/start.ts'
import type { Compiler } from './compile.ts'
import { type Claims, checkFreshness, type Rigour } from './freshness.ts'
import { type Part, partAfter } from './part.ts'
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
  /**
   * When the bundle that no server confirmed for the longest was last known to be what there is, ms since the epoch;
   * infinite where no bundle comes from a server.
   */
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
  readonly compiler: Compiler
  readonly start: StartEngine
  readonly clock: Clock
  readonly watchIntervalMs?: number | undefined
  /** Told of each set that takes effect. */
  readonly onSet: (set: BundleSet, problem: string | undefined) => void
  /** Told what {@link Bundles.problem} says when that changes and the set does not. */
  readonly onProblem: (problem: string | undefined) => void
}): Promise<Bundles> {
  const { sources, clock } = options
  const book = new StatusBook(sources, clock.nowMs)
  const assembler = createAssembler(options.compiler)
  let parts: ReadonlyMap<string, Part> = new Map()
  let claims: ReadonlyMap<string, Claims> = new Map()
  let isClosed = false
  /** One at a time: what a bundle is checked against must not change meanwhile. */
  let queue: Promise<unknown> = Promise.resolve()

  async function take(name: string, { read, place, sizeBytes }: Offer): Promise<boolean> {
    if (isClosed) return false
    try {
      const current = parts.get(name)
      const raw = await read()
      const part = partAfter(current, raw)
      const candidate = new Map<string, Part>()
      for (const source of sources) {
        const each = source.name === name ? part : parts.get(source.name)
        if (each !== undefined) candidate.set(source.name, each)
      }
      const isWhole = candidate.size === sources.length
      const assembly = await assembler({ parts: candidate, isWhole, wanted: options.wanted })
      const next = assembly.claims.get(name) as Claims
      checkFreshness(next, claims.get(name), options.rigour, place)
      const engine = isWhole ? await startAssembly(assembly, options.start) : undefined
      if (isClosed) {
        await engine?.[Symbol.asyncDispose]?.()
        return false
      }
      parts = candidate
      claims = assembly.claims
      const type = part.deltas.length > 0 ? 'delta' : 'snapshot'
      book.taken(name, { type, revision: next.manifest.revision, sizeBytes })
      if (engine !== undefined) {
        const revisions = [...claims].map(([each, { manifest }]) => [each, manifest.revision] as const)
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
