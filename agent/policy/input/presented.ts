import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { CanonicalRequest } from '#decision/exchange.ts'

const none: readonly string[] = []

/**
 * The attributes as policy is to see them: the host in its one form, and none of the headers in which a client says what is
 * ours to say, or what nobody vouches for. Nearly always that is what they are.
 */
export function presented(
  attributes: JsonObject,
  canonical: CanonicalRequest,
  unvouched: readonly string[] = none,
): JsonObject {
  const { authority } = canonical
  const withheld =
    unvouched.length === 0 ? canonical.withheld : [...(canonical.withheld ?? none), ...unvouched]
  const request = attributes['request']
  const http = isJsonObject(request) ? request['http'] : undefined
  if (!isJsonObject(request) || !isJsonObject(http)) return attributes
  const isHostKept = http['host'] === undefined || http['host'] === authority
  if (isHostKept && (withheld === undefined || withheld.length === 0)) return attributes
  const headers = http['headers']
  const raw = http['headerMap']
  const changed: Record<string, JsonValue | undefined> = { ...http }
  if (!isHostKept) changed['host'] = authority
  if (isJsonObject(headers)) changed['headers'] = shownHeaders(headers, authority, withheld ?? [])
  if (isJsonObject(raw)) changed['headerMap'] = shownHeaderMap(raw, authority, withheld ?? [])
  return { ...attributes, request: { ...request, http: changed } }
}

const hostNames: readonly string[] = [':authority', 'host']

function shownHeaders(headers: JsonObject, authority: string, withheld: readonly string[]): JsonObject {
  const shown = Object.entries(headers).filter(([name]) => !withheld.includes(name.toLowerCase()))
  for (const entry of shown) if (hostNames.includes(entry[0])) entry[1] = authority
  return Object.fromEntries(shown)
}

/** Raw headers: `headers` is a list of key and value, the value in base64. */
function shownHeaderMap(map: JsonObject, authority: string, withheld: readonly string[]): JsonObject {
  const list = map['headers']
  if (!Array.isArray(list)) return map
  const shown = (list as readonly JsonObject[])
    .filter(({ key }) => !withheld.includes(String(key).toLowerCase()))
    .map((entry) => {
      if (!hostNames.includes(String(entry['key']))) return entry
      const { key, value } = entry
      return value === undefined
        ? { key, rawValue: Buffer.from(authority).toString('base64') }
        : { ...entry, value: authority }
    })
  return { ...map, headers: shown }
}
