import { readFile, stat } from 'node:fs/promises'
import { fingerprint, type Look, watchPath } from '#base/watch.ts'
import { type Members, maxBundleBytes, readArchive } from '../archive.ts'
import { isDataFile } from '../data-file.ts'
import { readFolder } from './folder.ts'
import type { Listener, SourceBase } from './source.ts'

/** A bundle in a file, or spread out in a folder. */
export interface FileSource extends SourceBase {
  readonly kind: 'file'
  readonly path: string
  readonly isWatched: boolean
}

/** What a folder has that a bundle would; the rest is not read. */
const isBundleFile = (path: string) =>
  /\.(rego|wasm|manifest|manifest\.pb)$/.test(path) ||
  isDataFile(path) ||
  /(^|\/)(\.signatures|patch)\.json$/.test(path)

const look: Look = { isDeep: true, isWanted: isBundleFile }

/** Offers the bundle now and after each change. What changes while it is read is read again. */
export async function startFile(
  source: FileSource,
  listener: Listener,
  intervalMs?: number,
): Promise<Disposable> {
  const { path, sizeLimitBytes = maxBundleBytes } = source
  const load = () =>
    offerStable([path], look, listener, async () => {
      const verification = source.verification?.()
      const members = await membersAt(path, sizeLimitBytes)
      return { kind: 'members', members, place: path, verification }
    })
  // Before the first look, so that no change falls between the two.
  const watch = watching(source.isWatched ? [path] : [], look, () => void load(), intervalMs)
  await load()
  return watch
}

/** Offers what `read` finds, unless it changed meanwhile: then there will be another change to tell of it. */
export async function offerStable(
  paths: readonly string[],
  look: Look,
  listener: Listener,
  read: Parameters<Listener['offer']>[0]['read'],
): Promise<void> {
  const prints = () => paths.map((path) => fingerprint(path, look)).join('\n')
  listener.onRequest()
  const isTaken = await listener.offer({
    place: paths.join(', '),
    read: async () => {
      const before = prints()
      const contents = await read()
      if (prints() !== before) throw new Error(`${paths.join(', ')}: changed while it was read`)
      return contents
    },
  })
  if (isTaken) listener.onConfirmed()
}

/** Calls back after each change below one of the paths. */
export function watching(
  paths: readonly string[],
  look: Look,
  onChange: () => void,
  intervalMs?: number,
): Disposable {
  const watches = new DisposableStack()
  for (const path of paths)
    watches.use(watchPath(path, onChange, { ...look, ...(intervalMs !== undefined && { intervalMs }) }))
  return watches
}

async function membersAt(path: string, maxBytes: number): Promise<Members> {
  const stats = await stat(path)
  if (stats.isDirectory()) return readFolder(path, { maxBytes, isWanted: isBundleFile })
  if (stats.size > maxBytes) throw new Error(`${path}: ${stats.size} bytes; expected at most ${maxBytes}`)
  return readArchive(await readFile(path), path, maxBytes)
}
