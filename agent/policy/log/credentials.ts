import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { copyRules, secretsOf } from './copies.ts'
import type { MaskRule } from './mask.ts'

/** Headers that hold what a caller proves itself with. Never logged unless a mask policy puts something there. */
export const credentialHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'dpop',
  'cookie',
  'set-cookie',
  'x-api-key',
])

/** Builtins whose recorded operands are tokens and keys. */
const credentialBuiltins = ['io.jwt.decode_verify', 'io.jwt.encode_sign', 'io.jwt.encode_sign_raw']

/** Where headers stand in an event: by name, or as a list of pairs. */
const places: readonly { readonly part: 'input' | 'result'; readonly path: readonly string[] }[] = [
  { part: 'input', path: ['attributes', 'request', 'http', 'headers'] },
  { part: 'input', path: ['attributes', 'request', 'http', 'headerMap', 'headers'] },
  { part: 'input', path: ['attributes', 'response', 'http', 'headers'] },
  { part: 'input', path: ['attributes', 'response', 'http', 'headerMap', 'headers'] },
  { part: 'input', path: ['serving', 'response', 'headers'] },
  { part: 'input', path: ['serving', 'response', 'headerMap', 'headers'] },
  { part: 'result', path: ['headers'] },
  { part: 'result', path: ['response_headers_to_add'] },
]

/** The mask that every event gets, whatever policy says: rules for the credentials that are there, and for copies of them. */
export function credentialRules(event: {
  readonly input?: JsonValue | undefined
  readonly result?: JsonValue | undefined
  readonly nd_builtin_cache?: JsonValue | undefined
}): readonly MaskRule[] {
  const rules: MaskRule[] = []
  const secrets = new Set<string>()
  for (const { part, path } of places) {
    const headers = valueAt(event[part], path)
    if (Array.isArray(headers)) listed(rules, part, path, headers)
    else if (isJsonObject(headers)) named(rules, part, path, headers)
    if (part === 'input') for (const secret of secretsAmong(headers)) secrets.add(secret)
  }
  const recorded = event.nd_builtin_cache
  for (const name of credentialBuiltins) {
    if (isJsonObject(recorded) && Object.hasOwn(recorded, name))
      rules.push({ part: 'nd_builtin_cache', keys: [name], pointer: `/nd_builtin_cache/${name}` })
  }
  const copies = (['result', 'nd_builtin_cache'] as const).flatMap((part) =>
    copyRules(part, event[part], secrets),
  )
  // What is gone already needs no rule, and one would bring it back.
  const isGone = ({ pointer }: MaskRule) =>
    rules.some((rule) => pointer === rule.pointer || pointer.startsWith(`${rule.pointer}/`))
  return [...rules, ...copies.filter((rule) => !isGone(rule))]
}

/** Of headers by name, or pairs of `key` and `value` or `rawValue`. */
function secretsAmong(headers: JsonValue | undefined): readonly string[] {
  const pairs: readonly (readonly [string, JsonValue | undefined])[] = Array.isArray(headers)
    ? headers.filter(isJsonObject).map(({ key, value, rawValue }) => {
        const decoded = typeof rawValue === 'string' ? Buffer.from(rawValue, 'base64').toString() : value
        return [typeof key === 'string' ? key : '', decoded] as const
      })
    : isJsonObject(headers)
      ? Object.entries(headers)
      : []
  return pairs.flatMap(([key, value]) => {
    const name = key.toLowerCase()
    return credentialHeaders.has(name) && typeof value === 'string' ? secretsOf(name, value) : []
  })
}

function named(
  rules: MaskRule[],
  part: MaskRule['part'],
  path: readonly string[],
  headers: JsonObject,
): void {
  for (const name in headers) {
    if (credentialHeaders.has(name.toLowerCase())) rules.push(removal(part, [...path, name]))
  }
}

/** Pairs of `key` and `value` or `rawValue`, as Envoy's header map, or objects of headers by name, as a result has them. */
function listed(
  rules: MaskRule[],
  part: MaskRule['part'],
  path: readonly string[],
  headers: readonly JsonValue[],
): void {
  for (const [index, pair] of headers.entries()) {
    if (!isJsonObject(pair)) continue
    const { key } = pair
    if (typeof key !== 'string' || part === 'result') named(rules, part, [...path, String(index)], pair)
    else if (credentialHeaders.has(key.toLowerCase()))
      for (const field of ['value', 'rawValue'])
        if (Object.hasOwn(pair, field)) rules.push(removal(part, [...path, String(index), field]))
  }
}

function removal(part: MaskRule['part'], keys: readonly string[]): MaskRule {
  return { part, keys, pointer: `/${part}/${keys.join('/')}` }
}

function valueAt(value: JsonValue | undefined, path: readonly string[]): JsonValue | undefined {
  let at = value
  for (const key of path) {
    if (!isJsonObject(at) || !Object.hasOwn(at, key)) return undefined
    at = at[key]
  }
  return at
}
