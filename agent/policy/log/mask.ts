import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { isRawJSON } from '#base/raw-json.ts'

/** The parts of an event that a mask may touch. */
export interface Maskable {
  readonly input?: JsonValue | undefined
  readonly result?: JsonValue | undefined
  readonly nd_builtin_cache?: JsonValue | undefined
}

/** What a mask made of them. */
export interface Masked extends Maskable {
  /** Pointers whose values are gone, in the order of the rules. */
  readonly erased: readonly string[]
  /** Pointers whose values were replaced. */
  readonly masked: readonly string[]
}

/** One rule of a mask; `keys` below the part are what OPA looks up: percent-encoded once, never decoded. */
export interface MaskRule {
  readonly part: keyof Maskable
  readonly keys: readonly string[]
  /** As it stands in `erased` or `masked`. */
  readonly pointer: string
  /** Absent for a removal. */
  readonly upsert?: { readonly value: JsonValue }
}

/** What was answered is no mask. */
export class MaskError extends Error {
  override readonly name = 'MaskError'
}

const parts: ReadonlySet<string> = new Set(['input', 'result', 'nd_builtin_cache'])

/**
 * Reads the answer of a mask policy: pointers to remove, and objects with `op`, `path` and `value`.
 *
 * @throws MaskError for anything else, as OPA refuses the whole answer then.
 * @see https://www.openpolicyagent.org/docs/management-decision-logs#masking-sensitive-data
 */
export function parseMask(answer: JsonValue): readonly MaskRule[] {
  if (!Array.isArray(answer)) throw new MaskError('the mask is no set')
  return answer.map((rule: JsonValue) => {
    if (typeof rule === 'string') return maskRule(rule)
    if (!isJsonObject(rule)) throw new MaskError('a mask rule is neither a pointer nor an object')
    const { op, path, value } = rule
    if (op !== 'remove' && op !== 'upsert') throw new MaskError('a mask rule has no op that is known')
    if (typeof path !== 'string') throw new MaskError('a mask rule has no path')
    return op === 'remove' ? maskRule(path) : { ...maskRule(path), upsert: { value: value ?? null } }
  })
}

function maskRule(path: string): MaskRule {
  if (!path.startsWith('/')) throw new MaskError('a mask path does not begin with /')
  const segments = path.slice(1).split('/')
  const [part = ''] = segments
  if (!parts.has(part)) throw new MaskError('a mask path leads outside of input, result and nd_builtin_cache')
  // OPA looks whether each segment can be decoded, and then encodes it once more.
  for (const segment of segments)
    if (/%(?![0-9a-fA-F]{2})/.test(segment)) throw new MaskError('a mask path has a bad escape')
  const keys = segments.map(pathEscape)
  return { part: part as keyof Maskable, keys: keys.slice(1), pointer: `/${keys.join('/')}` }
}

/** The characters that Go leaves as they are in a segment of a path. */
const kept = /[A-Za-z0-9\-_.~$&+:=@]/

function pathEscape(segment: string): string {
  let escaped = ''
  for (const character of segment) {
    if (kept.test(character)) escaped += character
    else
      for (const byte of Buffer.from(character))
        escaped += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return escaped
}

/** Applies rules one after the other. What they lead to is copied, never changed: it may be in use elsewhere. */
export function applyMask(event: Maskable, rules: readonly MaskRule[]): Masked {
  const values: { -readonly [part in keyof Maskable]: JsonValue | undefined } = {
    input: event.input,
    result: event.result,
    nd_builtin_cache: event.nd_builtin_cache,
  }
  const erased: string[] = []
  const masked: string[] = []
  for (const { part, keys, pointer, upsert } of rules) {
    const value = values[part]
    if (value === undefined) continue
    if (keys.length === 0) values[part] = upsert?.value
    else {
      const changed = upsert === undefined ? without(value, keys, 0) : withValue(value, keys, 0, upsert.value)
      if (changed === undefined) continue
      values[part] = changed
    }
    ;(upsert === undefined ? erased : masked).push(pointer)
  }
  return { ...values, erased, masked }
}

/** The value less what the keys lead to; `undefined` where they lead nowhere. */
function without(value: JsonValue, keys: readonly string[], depth: number): JsonValue | undefined {
  const key = keys[depth] as string
  const isLast = depth === keys.length - 1
  if (Array.isArray(value)) {
    const index = indexOf(key, value.length)
    if (index === undefined) return undefined
    if (isLast) return value.toSpliced(index, 1)
    const changed = without(value[index], keys, depth + 1)
    return changed === undefined ? undefined : value.with(index, changed)
  }
  if (!isContainer(value) || !Object.hasOwn(value, key)) return undefined
  if (isLast) {
    const { [key]: _, ...rest } = value
    return rest
  }
  const changed = without(value[key] as JsonValue, keys, depth + 1)
  return changed === undefined ? undefined : put(value, key, changed)
}

/** The value with another one where the keys lead, objects made on the way; `undefined` where they cannot lead. */
function withValue(
  value: JsonValue,
  keys: readonly string[],
  depth: number,
  last: JsonValue,
): JsonValue | undefined {
  const key = keys[depth] as string
  const isLast = depth === keys.length - 1
  if (Array.isArray(value)) {
    const index = indexOf(key, value.length)
    if (index === undefined) return undefined
    if (isLast) return value.with(index, last)
    const changed = withValue(value[index], keys, depth + 1, last)
    return changed === undefined ? undefined : value.with(index, changed)
  }
  if (!isContainer(value)) return undefined
  if (isLast) return put(value, key, last)
  const child = Object.hasOwn(value, key) ? (value[key] as JsonValue) : {}
  const changed = withValue(child, keys, depth + 1, last)
  return changed === undefined ? undefined : put(value, key, changed)
}

/** As an own property even where it is called `__proto__`. */
function put(value: JsonObject, key: string, item: JsonValue): JsonObject {
  const copy = { ...value }
  Object.defineProperty(copy, key, { value: item, enumerable: true, writable: true, configurable: true })
  return copy
}

/** A literal that `JSON.stringify` writes as it is looks like an object, and is a number. */
function isContainer(value: JsonValue): value is JsonObject {
  return isJsonObject(value) && !isRawJSON(value)
}

/** As Go's `strconv.Atoi` reads it. */
function indexOf(key: string, length: number): number | undefined {
  if (!/^[+-]?\d+$/.test(key)) return undefined
  const index = Number(key)
  return index >= 0 && index < length ? index : undefined
}
