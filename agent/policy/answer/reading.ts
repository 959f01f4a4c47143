import { isUtf8 } from 'node:buffer'
import type { JsonValue } from '#base/json.ts'
import { isRawJSON } from '#base/raw-json.ts'
import { wellFormedEscapes } from '../values/json.ts'

/**
 * Whether all who read a JSON text read what `parsed` says. They do not where a member stands twice (some take the first,
 * policy sees the last), where octets are no UTF-8, and where half a surrogate is escaped.
 */
export function hasOneReading(bytes: Buffer, parsed: JsonValue): boolean {
  if (!isUtf8(bytes)) return false
  const text = bytes.toString()
  return wellFormedEscapes(text) === text && membersIn(text) === membersOf(parsed)
}

/** How often a string is followed by a colon, in text that is known to be JSON. */
function membersIn(text: string): number {
  let count = 0
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at)) {
    let end = text.indexOf('"', at + 1)
    while (isEscaped(text, end)) end = text.indexOf('"', end + 1)
    at = end + 1
    while (isBlank(text.charCodeAt(at))) at++
    if (text[at] === ':') count++
  }
  return count
}

function isEscaped(text: string, at: number): boolean {
  let first = at
  while (text[first - 1] === '\\') first--
  return (at - first) % 2 === 1
}

function isBlank(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d)
}

function membersOf(value: JsonValue): number {
  if (typeof value !== 'object' || value === null || isRawJSON(value)) return 0
  const values = Object.values(value) as JsonValue[]
  return values.reduce((sum: number, each) => sum + membersOf(each), Array.isArray(value) ? 0 : values.length)
}
