import { isDeepStrictEqual } from 'node:util'
import { isJsonObject, type JsonValue } from '#base/json.ts'

/** The JSON pointer of the first place where two documents differ, or `undefined` where they are the same. */
export function firstDifference(
  a: JsonValue | undefined,
  b: JsonValue | undefined,
  at = '',
): string | undefined {
  if (isDeepStrictEqual(a, b)) return undefined
  if (Array.isArray(a) && Array.isArray(b)) {
    const index = a.findIndex((item, i) => i >= b.length || !isDeepStrictEqual(item, b[i]))
    return index === -1 ? `${at}/${a.length}` : firstDifference(a[index], b[index], `${at}/${index}`)
  }
  if (isJsonObject(a) && isJsonObject(b)) {
    const key = [...new Set([...Object.keys(a), ...Object.keys(b)])]
      .sort()
      .find(
        (each) => Object.hasOwn(a, each) !== Object.hasOwn(b, each) || !isDeepStrictEqual(a[each], b[each]),
      )
    if (key !== undefined)
      return firstDifference(a[key], b[key], `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)
  }
  return at
}
