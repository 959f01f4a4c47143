import { isJsonObject, type JsonObject } from '#base/json.ts'

const maxKeys = 256
const knownTypes: ReadonlySet<unknown> = new Set(['RSA', 'EC', 'OKP'])

/** The JWKs of a set; or what is wrong with it. */
export function jwksOf(value: unknown): readonly JsonObject[] | string {
  const keys = isJsonObject(value) ? value['keys'] : undefined
  if (!Array.isArray(keys)) return 'no keys'
  if (keys.length > maxKeys) return `${keys.length} keys, more than ${maxKeys}`
  const wrong = keys.findIndex((key) => !isJsonObject(key))
  return wrong === -1 ? keys : `key ${wrong} is no object`
}

export type ReadJwk<T> =
  | { readonly kind: 'read'; readonly value: T }
  | { readonly kind: 'passed over' }
  | { readonly kind: 'wrong'; readonly why: string }

/** Reads the JWKs of some use. Those of a type that is not known here are passed over; one that is wrong spoils all. */
export function readJwks<T>(
  keys: readonly JsonObject[],
  isMeant: (use: unknown) => boolean,
  read: (jwk: JsonObject) => ReadJwk<T>,
): readonly T[] | string {
  const found: T[] = []
  for (const [index, jwk] of keys.entries()) {
    if (!knownTypes.has(jwk['kty']) || !isMeant(jwk['use'])) continue
    const one = read(jwk)
    if (one.kind === 'wrong') return `key ${index} ${one.why}`
    if (one.kind === 'read') found.push(one.value)
  }
  return found
}
