import { entriesOf } from '../values/compare.ts'
import { regoText } from '../values/rego-text.ts'
import { isAnyObject, isArray, RegoSet, type RegoValue } from '../values/value.ts'

const named: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\u0007', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
])

/** Go's `strconv.Quote`, or its ASCII form. */
export function quoted(value: string, isAscii: boolean): string {
  let shown = '"'
  for (const character of value) {
    const code = character.codePointAt(0) as number
    const isPlain = code >= 0x20 && code < 0x7f
    const name = named.get(character)
    if (name !== undefined) shown += name
    else if (isPlain || (!isAscii && code > 0xa0 && /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(character)))
      shown += character
    else if (code < 0x80) shown += `\\x${code.toString(16).padStart(2, '0')}`
    else if (code < 0x10000) shown += `\\u${code.toString(16).padStart(4, '0')}`
    else shown += `\\U${code.toString(16).padStart(8, '0')}`
  }
  return `${shown}"`
}

/** A value as OPA writes it in text: a string as it is; everything else as Rego, with the escapes of Go inside of it. */
export function shownAlone(value: RegoValue): string {
  return typeof value === 'string' ? value : shown(value)
}

function shown(value: RegoValue): string {
  if (typeof value === 'string') return quoted(value, false)
  if (isArray(value)) return `[${value.map(shown).join(', ')}]`
  if (value instanceof RegoSet && value.members.length > 0) return `{${value.members.map(shown).join(', ')}}`
  if (isAnyObject(value))
    return `{${entriesOf(value)
      .map(([key, item]) => `${shown(key)}: ${shown(item)}`)
      .join(', ')}}`
  return regoText(value)
}
