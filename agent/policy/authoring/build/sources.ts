import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join, matchesGlob, relative, sep } from 'node:path'
import { messageOf, SluiceError } from '#base/errors.ts'
import { isJsonObject, type JsonObject } from '#base/json.ts'

/** A file that goes into a bundle. */
export interface SourceFile {
  /** As the person named it: what errors point at. */
  readonly path: string
  /** Where it stands in the bundle. */
  readonly member: string
}

/** The Rego and data under some folders. */
export interface Sources {
  readonly rego: readonly SourceFile[]
  /** JSON or YAML by member, each merged from every folder that has one of this name. */
  readonly data: ReadonlyMap<string, readonly SourceFile[]>
  readonly manifest?: SourceFile
}

const isData = /^data\.(json|ya?ml)$/

/**
 * Finds what belongs into a bundle, as `opa build --bundle` does: every `.rego`, files called `data.json` or `data.yaml`
 * and one `.manifest`. Tests (`*_test.rego`) and hidden folders stay out. Data is placed by its folder; Rego of several
 * folders is kept apart by their names, which mean nothing to OPA.
 *
 * @throws SluiceError for a path that cannot be read, and where there is no Rego at all.
 */
export function findSources(paths: readonly string[], ignore: readonly string[] = []): Sources {
  const rego: SourceFile[] = []
  const data = new Map<string, SourceFile[]>()
  let manifest: SourceFile | undefined
  const labels = new Set<string>()
  for (const root of paths) {
    const label = paths.length === 1 ? '' : free(basename(root.replace(/[/\\]+$/, '')) || 'policy', labels)
    for (const path of filesUnder(root, ignore)) {
      const inside = isFile(root) ? basename(path) : relative(root, path).split(sep).join('/')
      const name = basename(path)
      if (name.endsWith('_test.rego')) continue
      if (name.endsWith('.rego')) rego.push({ path, member: label === '' ? inside : `${label}/${inside}` })
      else if (isData.test(name)) data.set(inside, [...(data.get(inside) ?? []), { path, member: inside }])
      else if (inside === '.manifest') {
        if (manifest !== undefined)
          throw refused(path, 'a second manifest', `one only: ${manifest.path} is there`)
        manifest = { path, member: inside }
      }
    }
  }
  if (rego.length === 0) throw refused(paths.join(', '), 'no Rego', 'files that end in .rego')
  return { rego, data, ...(manifest && { manifest }) }
}

/** One JSON document of several; a value that stands in two of them is refused. */
export function mergeData(files: readonly SourceFile[]): JsonObject {
  const merged: Record<string, unknown> = {}
  for (const { path } of files) {
    let value: unknown
    try {
      value = JSON.parse(readFileSync(path, 'utf8'))
    } catch (cause) {
      throw refused(path, messageOf(cause), 'JSON', cause)
    }
    if (!isJsonObject(value)) throw refused(path, 'JSON that is no object', 'a JSON object')
    mergeInto(merged, value, path, [])
  }
  return merged as JsonObject
}

function mergeInto(
  target: Record<string, unknown>,
  from: JsonObject,
  path: string,
  at: readonly string[],
): void {
  for (const [key, item] of Object.entries(from)) {
    const known = Object.hasOwn(target, key) ? target[key] : undefined
    if (known === undefined)
      Object.defineProperty(target, key, {
        value: item,
        enumerable: true,
        writable: true,
        configurable: true,
      })
    else if (isJsonObject(known) && isJsonObject(item)) {
      const copy = { ...known }
      target[key] = copy
      mergeInto(copy, item, path, [...at, key])
    } else throw refused(path, `${[...at, key].join('.')} a second time`, 'each value in one file only')
  }
}

function filesUnder(path: string, ignore: readonly string[]): string[] {
  try {
    if (isFile(path)) return [path]
    return readdirSync(path)
      .sort()
      .filter(
        (name) =>
          (name === '.manifest' || !name.startsWith('.')) && !ignore.some((glob) => matchesGlob(name, glob)),
      )
      .flatMap((name) => filesUnder(join(path, name), ignore))
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw refused(path, messageOf(cause), 'a readable file or folder', cause)
  }
}

function isFile(path: string): boolean {
  return statSync(path).isFile()
}

function free(label: string, taken: Set<string>): string {
  let name = label
  for (let count = 2; taken.has(name); count++) name = `${label}-${count}`
  taken.add(name)
  return name
}

function refused(place: string, found: string, expected: string, cause?: unknown): SluiceError {
  return new SluiceError({ code: 'policy_sources_refused', place, found, expected, cause })
}
