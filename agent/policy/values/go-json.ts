import { compareStrings, entriesOf } from '../values/compare.ts'
import { numberText } from '../values/number.ts'
import { regoText } from '../values/rego-text.ts'
import { Decimal, type RegoMap, RegoSet, type RegoValue } from '../values/value.ts'

/**
 * A value as Go's `json.Marshal` writes it: keys in the order of their bytes, sets as arrays, keys of other types as their
 * own text, and `<`, `>`, `&` and the two line separators escaped, for it might be read in a page.
 */
export function goJson(value: RegoValue): string {
  if (typeof value === 'string') return jsonString(value)
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal)
    return numberText(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return `[${value.map(goJson).join(',')}]`
  if (value instanceof RegoSet) return `[${value.members.map(goJson).join(',')}]`
  const members = entriesOf(value as RegoMap).map(
    ([key, item]) => [typeof key === 'string' ? key : regoText(key), item] as const,
  )
  members.sort(([a], [b]) => compareStrings(a, b))
  return `{${members.map(([key, item]) => `${jsonString(key)}:${goJson(item)}`).join(',')}}`
}

function jsonString(value: string): string {
  return JSON.stringify(value.toWellFormed()).replace(
    /[<>&\u2028\u2029]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
