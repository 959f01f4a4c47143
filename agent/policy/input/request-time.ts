import { isJsonObject, type JsonObject } from '#base/json.ts'

/** `attributes` with `request.time` as the text of RFC 3339, which plugins before protomap wrote. */
export function withTextTime(attributes: JsonObject): JsonObject {
  const request = attributes['request']
  const time = isJsonObject(request) ? request['time'] : undefined
  if (!isJsonObject(request) || !isJsonObject(time)) return attributes
  const text = rfc3339(Number(time['seconds'] ?? 0), Number(time['nanos'] ?? 0))
  return text === undefined ? attributes : { ...attributes, request: { ...request, time: text } }
}

/** With as many digits of a second as protojson writes: none, three, six or nine. */
function rfc3339(seconds: number, nanos: number): string | undefined {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() < 1 || date.getUTCFullYear() > 9999)
    return undefined
  const whole = date.toISOString().slice(0, 19)
  const fraction = String(nanos)
    .padStart(9, '0')
    .replace(/(000){1,3}$/, '')
  return fraction === '' ? `${whole}Z` : `${whole}.${fraction}Z`
}
