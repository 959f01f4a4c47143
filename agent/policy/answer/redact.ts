import type { JsonValue } from '#base/json.ts'

/** The segments of a JSON pointer, or `undefined` where it is none. @see RFC 6901 */
export function parsePointer(text: string): readonly string[] | undefined {
  if (text === '' || !text.startsWith('/') || /~(?![01])/.test(text)) return undefined
  return text
    .slice(1)
    .split('/')
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/**
 * The document without what the pointers name: a member of an object is gone, an element of an array is null, so that the
 * others keep their places. A pointer to nothing changes nothing. The document itself is left as it is.
 */
export function redacted(document: JsonValue, pointers: readonly (readonly string[])[]): JsonValue {
  return pointers.reduce(without, document)
}

function without(document: JsonValue, pointer: readonly string[]): JsonValue {
  const [segment, ...rest] = pointer
  if (segment === undefined || typeof document !== 'object' || document === null) return document
  if (Array.isArray(document)) {
    const index = /^(0|[1-9]\d*)$/.test(segment) ? Number(segment) : -1
    if (!(index in document)) return document
    return document.with(index, rest.length === 0 ? null : without(document[index] as JsonValue, rest))
  }
  if (!Object.hasOwn(document, segment)) return document
  // Entries, not a spread with an assignment: a member called `__proto__` must stay one.
  return Object.fromEntries(
    Object.entries(document).flatMap(([key, value]): (readonly [string, JsonValue | undefined])[] => {
      if (key !== segment) return [[key, value]]
      return rest.length === 0 ? [] : [[key, without(value as JsonValue, rest)]]
    }),
  ) as JsonValue
}
