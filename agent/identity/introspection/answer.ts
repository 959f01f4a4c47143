import { isUtf8 } from 'node:buffer'
import type { Answer } from '#base/http-exchange.ts'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import { parseStrictJson } from '#base/strict-json.ts'

/** What the server says about a token. Nothing in it is checked but its form. */
export type Introspected =
  | { readonly kind: 'inactive' }
  | { readonly kind: 'active'; readonly claims: JsonObject }
  | {
      readonly kind: 'failed'
      readonly why: string
      /** Whether the server is there, and what it was asked about may be at fault. */
      readonly isOfToken?: boolean
    }

/**
 * Reads an answer. Only a 200 with a JSON object in which `active` is true or false says anything about the token; all else
 * is a server that could not tell, never a token that is not active.
 *
 * @see RFC 7662, 2.2 and 2.3
 */
export function readAnswer({ status, headers, body }: Answer): Introspected {
  if (status !== 200)
    return { ...failed(`the server answered ${status}`), isOfToken: statusesOfToken.has(status) }
  if (mediaType(headers['content-type']) !== 'application/json')
    return failed('the answer is not application/json')
  if (!isUtf8(body)) return failed('the answer is not UTF-8')
  const parsed = parseStrictJson(body.toString())
  if (!parsed.ok) return failed(`the answer is not JSON that has one meaning: ${parsed.why}`)
  return isJsonObject(parsed.value) ? introspectedOf(parsed.value) : failed('the answer is not a JSON object')
}

/** Of a request that cannot be read, is too long, or is taken for an attack: whatever stands in it is the token. */
const statusesOfToken: ReadonlySet<number> = new Set([400, 413, 414, 422, 431])

export function introspectedOf(claims: JsonObject): Introspected {
  const { active } = claims
  if (active === false) return { kind: 'inactive' }
  return active === true ? { kind: 'active', claims } : failed('active is neither true nor false')
}

export function failed(why: string): Extract<Introspected, { kind: 'failed' }> {
  return { kind: 'failed', why }
}

/** Without its parameters, in lower case. */
export function mediaType(header: string | undefined): string {
  return (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}
