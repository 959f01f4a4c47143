import { readFile, stat } from 'node:fs/promises'
import { matchesGlob } from 'node:path'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import type { Look } from '#base/watch.ts'
import { maxBundleBytes } from '../archive.ts'
import type { Snapshot } from '../contents.ts'
import { readDataFile } from '../data-file.ts'
import { type Draft, mergeAt } from '../merge.ts'
import { refuse } from '../refuse.ts'
import { isUnder } from '../roots.ts'
import { offerStable, watching } from './file.ts'
import { readFolder } from './folder.ts'
import type { Listener, SourceBase } from './source.ts'

/** Rego and data as `opa run` takes them from its command line: files and folders, each maybe as `a.b:path`. */
export interface LooseSource extends SourceBase {
  readonly kind: 'loose'
  readonly paths: readonly string[]
  /** Globs of names of files and folders that are passed over. */
  readonly ignore: readonly string[]
  readonly isWatched: boolean
  /** Without bundles beside them the files may define whatever they like. */
  readonly isAlone: boolean
}

export async function startLoose(
  source: LooseSource,
  listener: Listener,
  intervalMs?: number,
): Promise<Disposable> {
  const paths = source.paths.map((each) => prefixed(each).path)
  const load = () =>
    offerStable(paths, look, listener, async () => ({ kind: 'ready', snapshot: await readLoose(source) }))
  const watch = watching(source.isWatched ? paths : [], look, () => void load(), intervalMs)
  await load()
  return watch
}

const isData = (path: string) => /\.(json|ya?ml)$/.test(path)
const isLoose = (path: string) => isData(path) || path.endsWith('.rego')
const look: Look = { isDeep: true, isWanted: isLoose }

/** @throws SluiceError naming the file. */
export async function readLoose(source: LooseSource): Promise<Snapshot> {
  const rego = new Map<string, Buffer>()
  const data: Draft = {}
  const take = (at: readonly string[], path: string, place: string, content: Buffer) => {
    if (path.endsWith('.rego')) {
      // A number tells them apart, the rest is for who reads what the compiler says; it never leaves its folder.
      const parts = place.split('/').filter((part) => !['', '.', '..'].includes(part))
      rego.set([`file-${rego.size + 1}`, ...parts].join('/'), content)
      return
    }
    const value = readDataFile(content, place, path)
    if (at.length === 0 && !isJsonObject(value)) refuse(place, path, 'data that is no object', 'an object')
    mergeAt(data, at, value, (key) =>
      refuse(place, path, `${key.join('.')} twice or reserved`, 'each value in one file only'),
    )
  }
  for (const argument of source.paths) {
    const { path, prefix } = prefixed(argument)
    if (!(await stat(path)).isDirectory()) {
      if (!isLoose(path)) refuse(path, path, 'a file of another kind', '.rego, .json or .yaml')
      take(prefix, path, path, await readFile(path))
      continue
    }
    const isIgnored = (name: string) => source.ignore.some((pattern) => matchesGlob(name, pattern))
    const files = await readFolder(path, { maxBytes: maxBundleBytes, isWanted: isLoose, isIgnored })
    for (const [name, content] of files)
      take([...prefix, ...name.split('/').slice(0, -1)], name, `${path}/${name}`, content)
  }
  const roots = source.isAlone ? [''] : rootsOf(rego, data as JsonObject)
  return {
    kind: 'snapshot',
    manifest: { revision: '', roots, wasm: [] },
    data: data as JsonObject,
    wasm: new Map(),
    plan: new Map(),
    rego,
  }
}

/** `a.b:path` puts the data under `a.b`. */
function prefixed(argument: string): { readonly path: string; readonly prefix: readonly string[] } {
  const [, prefix, path] = /^([A-Za-z_][\w.]*):(.+)$/s.exec(argument) ?? []
  return path === undefined || path.startsWith('//')
    ? { path: argument.replace(/^file:\/\//, ''), prefix: [] }
    : { path, prefix: (prefix ?? '').split('.').filter((part) => part !== 'data' && part !== '') }
}

/** The packages and the places of data, without those that lie below others. */
function rootsOf(rego: ReadonlyMap<string, Buffer>, data: JsonObject): string[] {
  const packages = [...rego.values()].flatMap((content) => {
    const [, name] = /^\s*package\s+([^\s#;]+)/m.exec(content.toString()) ?? []
    return name === undefined ? [] : [name.replaceAll(/\["([^"]*)"\]/g, '.$1').replaceAll('.', '/')]
  })
  const paths = [...new Set([...packages, ...leaves(data, '')])].sort()
  return paths.filter((path) => !paths.some((other) => other !== path && isUnder([other], path)))
}

function leaves(data: JsonObject, at: string): string[] {
  return Object.entries(data).flatMap(([key, value]) => {
    const path = at === '' ? key : `${at}/${key}`
    return isJsonObject(value) && Object.keys(value).length > 0 ? leaves(value, path) : [path]
  })
}
