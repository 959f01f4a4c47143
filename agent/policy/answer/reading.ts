import { isUtf8 } from 'node:buffer'
import type { JsonValue } from '#base/json.ts'
import { hasRepeatedMember } from '#base/json-members.ts'
import { wellFormedEscapes } from '../values/json.ts'

/**
 * Whether all who read a JSON text read what `parsed` says. They do not where a member stands twice (some take the first,
 * policy sees the last), where octets are no UTF-8, and where half a surrogate is escaped.
 */
export function hasOneReading(bytes: Buffer, parsed: JsonValue): boolean {
  if (!isUtf8(bytes)) return false
  const text = bytes.toString()
  return wellFormedEscapes(text) === text && !hasRepeatedMember(text, parsed)
}
