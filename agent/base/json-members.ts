import type { JsonValue } from './json.ts'
import { isRawJSON } from './raw-json.ts'

/**
 * Whether a member stands twice in an object of a JSON text, at whatever depth: some readers take the first, others the
 * last. `parsed` is what `JSON.parse` made of the text, which takes the last.
 */
export function hasRepeatedMember(text: string, parsed: JsonValue): boolean {
  return membersIn(text) !== membersOf(parsed)
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

/** Without recursion: a text may nest deeper than a stack. */
function membersOf(value: JsonValue): number {
  let count = 0
  const rest: JsonValue[] = [value]
  for (let each = rest.pop(); each !== undefined; each = rest.pop()) {
    if (typeof each !== 'object' || each === null || isRawJSON(each)) continue
    if (Array.isArray(each)) {
      for (const item of each) if (typeof item === 'object' && item !== null) rest.push(item)
      continue
    }
    const values = Object.values(each) as JsonValue[]
    count += values.length
    for (const item of values) if (typeof item === 'object' && item !== null) rest.push(item)
  }
  return count
}
