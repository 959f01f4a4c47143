import { isJsonObject, type JsonObject } from '#base/json.ts'
import { parseStrictJson } from '#base/strict-json.ts'
import { parsePublicJwk, type VerifyingKey } from './jwk.ts'

export interface JwkSet {
  /** In the set's order. Empty where the set is, which means that nothing is to be trusted. Several may have one kid. */
  readonly keys: readonly VerifyingKey[]
  /** Why each of the others was passed over, with its place in the set. */
  readonly skipped: readonly string[]
}

export type ParsedJwkSet =
  | { readonly ok: true; readonly set: JwkSet; readonly document: JsonObject }
  | { readonly ok: false; readonly why: string }

export const maxJwkSetBytes = 1 << 20
const maxKeys = 64

/**
 * Reads a JWK set. A key that cannot be used is passed over, for a set may hold keys for other things and of kinds yet to
 * come; the set as a whole must be in order.
 *
 * @see RFC 7517, 5
 */
export function parseJwkSet(
  text: string,
  { use = 'sig' }: { readonly use?: NonNullable<VerifyingKey['use']> } = {},
): ParsedJwkSet {
  const no = (why: string): ParsedJwkSet => ({ ok: false, why })
  // A character is a byte at least.
  if (text.length > maxJwkSetBytes) return no(`larger than ${maxJwkSetBytes} bytes`)
  const parsed = parseStrictJson(text)
  if (!parsed.ok) return no(`not JSON that has one meaning: ${parsed.why}`)
  const document = parsed.value
  if (!isJsonObject(document) || !Array.isArray(document['keys'])) return no('not a JWK set')
  const list: readonly unknown[] = document['keys']
  if (list.length > maxKeys) return no(`${list.length} keys, more than ${maxKeys}`)
  const keys: VerifyingKey[] = []
  const skipped: string[] = []
  for (const [index, each] of list.entries()) {
    const found = parsePublicJwk(each)
    if (!found.ok) skipped.push(`keys[${index}] ${found.why}`)
    else if (found.key.use !== undefined && found.key.use !== use)
      skipped.push(`keys[${index}] is for ${found.key.use}`)
    else keys.push(found.key)
  }
  return { ok: true, set: { keys, skipped }, document }
}

/** Whether two lists hold the same keys in the same order, for the same algorithms under the same names. */
export function isSameKeys(one: readonly VerifyingKey[], other: readonly VerifyingKey[]): boolean {
  return (
    one.length === other.length &&
    one.every((key, index) => {
      const { thumbprint, kid, alg } = other[index] as VerifyingKey
      return key.thumbprint === thumbprint && key.kid === kid && key.alg === alg
    })
  )
}
