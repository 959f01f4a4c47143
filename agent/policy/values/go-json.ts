import { compareStrings, entriesOf } from './compare.ts'
import { numberText } from './number.ts'
import { Decimal, type RegoMap, RegoSet, type RegoValue } from './value.ts'

/**
 * A value as Go's `json.Marshal` writes it: keys in the order of their bytes, sets as arrays, keys of other types as the JSON
 * of them, and what HTML would read as markup escaped, for it might be read in a page.
 */
export function goJson(value: RegoValue): string {
  if (typeof value === 'string') return goJsonString(value)
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal)
    return numberText(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return `[${value.map(goJson).join(',')}]`
  if (value instanceof RegoSet) return `[${value.members.map(goJson).join(',')}]`
  const members = entriesOf(value as RegoMap).map(([key, item]) => [goJsonKey(key), item] as const)
  members.sort(([a], [b]) => compareStrings(a, b))
  return `{${members.map(([key, item]) => `${goJsonString(key)}:${goJson(item)}`).join(',')}}`
}

/** What stands for a key in JSON. */
export function goJsonKey(key: RegoValue): string {
  return typeof key === 'string' ? key : goJson(key)
}

export function goJsonString(value: string): string {
  return JSON.stringify(value.toWellFormed()).replace(
    /[<>&\u2028\u2029]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
