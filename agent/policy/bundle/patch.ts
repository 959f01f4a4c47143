import { z } from 'zod'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { readJson } from './data-file.ts'
import { refuse } from './refuse.ts'
import { isUnder, plainPath } from './roots.ts'

/** One change of data, its path in segments. */
export interface PatchOperation {
  readonly op: 'upsert' | 'remove' | 'replace'
  readonly path: readonly string[]
  readonly value: JsonValue
}

const patchSchema = z.looseObject({
  data: z
    .array(
      z.strictObject({
        op: z.enum(['upsert', 'remove', 'replace']),
        path: z.string(),
        value: z.json().optional(),
      }),
    )
    .min(1),
})

/** Reads `patch.json`. @throws SluiceError also where a path leaves the roots. */
export function readPatch(content: Buffer, place: string, roots: readonly string[]): PatchOperation[] {
  const parsed = patchSchema.safeParse(readJson(content, place, 'patch.json'))
  // Without an operation OPA takes it for a snapshot without data, and forgets all that it had.
  if (!parsed.success)
    return refuse(place, 'patch.json', z.prettifyError(parsed.error), 'data with upsert, remove or replace')
  return parsed.data.data.map(({ op, path, value = null }) => {
    const segments = plainPath(path).split('/').map(unescaped)
    const isWhole = segments.length === 1 && segments[0] === ''
    if (isWhole || segments.includes('__proto__') || !isUnder(roots, escaped(segments)))
      refuse(
        place,
        'patch.json',
        `the path ${path}`,
        `one under the roots ${roots.join(', ') || 'of the bundle'}`,
      )
    return { op, path: segments, value: value as JsonValue }
  })
}

/** A slash within a segment separates nothing. */
function escaped(segments: readonly string[]): string {
  return segments.map((segment) => segment.replaceAll('/', '~1')).join('/')
}

/** RFC 6901, §4. */
function unescaped(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~')
}

/**
 * The data after a patch; the data before it stays as it was.
 *
 * @throws SluiceError for an operation that does not fit, as OPA's store has it: nothing to remove or replace, an index
 *   that is none, a value in the way.
 */
export function patched(data: JsonObject, patch: readonly PatchOperation[], place: string): JsonObject {
  const own = new Set<object>()
  const ownCopy = <T extends object>(value: T): T => {
    if (own.has(value)) return value
    const copy = (Array.isArray(value) ? [...value] : { ...value }) as T
    own.add(copy)
    return copy
  }
  const root = ownCopy(data) as Record<string, JsonValue>
  for (const operation of patch) {
    const misfit = (found: string): never =>
      refuse(
        place,
        'patch.json',
        `${operation.op} ${operation.path.join('/')}: ${found}`,
        'a path that fits the data',
      )
    let node: Record<string, JsonValue> | JsonValue[] = root
    for (const segment of operation.path.slice(0, -1)) {
      const index: string | number = Array.isArray(node) ? indexIn(node, segment, misfit) : segment
      let next = Object.hasOwn(node, index) ? (node as Record<string | number, JsonValue>)[index] : undefined
      if (next === undefined) {
        if (operation.op !== 'upsert') return misfit('nothing there')
        next = {}
      }
      if (typeof next !== 'object' || next === null) return misfit(`${segment} is neither object nor array`)
      const copy = ownCopy(next)
      ;(node as Record<string | number, JsonValue>)[index] = copy as JsonValue
      node = copy as Record<string, JsonValue> | JsonValue[]
    }
    const last = operation.path.at(-1) ?? ''
    if (Array.isArray(node)) changeArray(node, last, operation, misfit)
    else changeObject(node, last, operation, misfit)
  }
  return root
}

type Misfit = (found: string) => never

function changeObject(
  node: Record<string, JsonValue>,
  key: string,
  { op, value }: PatchOperation,
  misfit: Misfit,
): void {
  if (op !== 'upsert' && !Object.hasOwn(node, key)) misfit('nothing there')
  if (op === 'remove') delete node[key]
  else node[key] = value
}

/** An upsert inserts, and `-` is behind the last (RFC 6902, §4.1). */
function changeArray(node: JsonValue[], key: string, { op, value }: PatchOperation, misfit: Misfit): void {
  if (op === 'upsert') {
    if (key === '-') node.push(value)
    else node.splice(indexIn(node, key, misfit), 0, value)
    return
  }
  const index = indexIn(node, key, misfit)
  if (op === 'remove') node.splice(index, 1)
  else node[index] = value
}

function indexIn(node: readonly JsonValue[], key: string, misfit: Misfit): number {
  const index = /^(0|[1-9][0-9]*)$/.test(key) ? Number(key) : node.length
  return index < node.length ? index : misfit(`${key} is no index there`)
}
