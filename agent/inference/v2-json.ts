import type { JsonObject } from '#base/json.ts'
import { hasRepeatedMember } from '#base/json-members.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { jsonOctets } from './binary-data.ts'

/** What stands in the body of a V2 request over HTTP. */
export type V2Json =
  | { readonly kind: 'read'; readonly value: JsonObject }
  /** It was not seen whole, or is no JSON object to us. */
  | { readonly kind: 'unread' }
  | { readonly kind: 'refused'; readonly detail: string }

const unread: V2Json = { kind: 'unread' }

/**
 * Reads the JSON of a request to compute, which ends where the header of the binary tensor data extension says. Of a member
 * that stands twice Triton takes the first, and everybody else the last; a byte order mark Triton passes over.
 *
 * @param mayHaveContents whether tensors may stand behind the JSON: with inference only, elsewhere Triton passes over the
 * header that says so
 * @see Triton's binary tensor data extension
 */
export function readV2Json(request: RequestFacts, mayHaveContents: boolean): V2Json {
  const { body, isBodyComplete } = request
  if (body === undefined) return unread
  const length = mayHaveContents ? jsonOctets(request) : undefined
  // The contents behind the JSON need not have come.
  if (!isBodyComplete && (length === undefined || length > body.length)) return unread
  const octets = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const text = octets.toString('utf8', 0, length ?? octets.length)
  if (text.charCodeAt(0) === 0xfeff) return { kind: 'refused', detail: 'a byte order mark before the JSON' }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return unread
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return unread
  return hasRepeatedMember(text, value as JsonObject)
    ? { kind: 'refused', detail: 'a member stands twice in the body' }
    : { kind: 'read', value: value as JsonObject }
}
