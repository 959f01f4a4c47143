import { type DescMessage, type JsonValue, type Registry, ScalarType } from '@bufbuild/protobuf'

/**
 * JSON of a message with its 32-bit floats in as few digits as tell them apart, as Go writes them: 0.1 and not
 * 0.10000000149011612, which is what a policy compares with.
 */
export function withShortFloats(message: DescMessage, json: JsonValue, registry: Registry): JsonValue {
  if (message.typeName === 'google.protobuf.FloatValue') return short(json)
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json
  if (message.typeName === 'google.protobuf.Any') return ofAny(json, registry)
  for (const field of message.fields) {
    const { jsonName } = field
    const value = Object.hasOwn(json, jsonName) ? json[jsonName] : undefined
    if (value === undefined) continue
    const change =
      field.scalar === ScalarType.FLOAT
        ? short
        : field.message === undefined
          ? undefined
          : (each: JsonValue) => withShortFloats(field.message as DescMessage, each, registry)
    if (change !== undefined) json[jsonName] = mapped(field.fieldKind, value, change)
  }
  return json
}

function mapped(kind: string, value: JsonValue, change: (each: JsonValue) => JsonValue): JsonValue {
  if (kind === 'list' && Array.isArray(value)) return value.map(change)
  if (kind !== 'map' || typeof value !== 'object' || value === null || Array.isArray(value))
    return change(value)
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, change(each)]))
}

/** A message inside stands beside its type's name, or under `value` where its JSON is no object of fields. */
function ofAny(json: { [name: string]: JsonValue }, registry: Registry): JsonValue {
  const url = json['@type']
  const inner = typeof url === 'string' ? registry.getMessage(url.slice(url.lastIndexOf('/') + 1)) : undefined
  if (inner === undefined) return json
  // protobuf-es leaves it out; Go and C++ do not.
  if (inner.typeName === 'google.protobuf.Empty') return { ...json, value: {} }
  if (inner.typeName === 'google.protobuf.FloatValue') return { ...json, value: short(json['value'] ?? 0) }
  return withShortFloats(inner, json, registry)
}

function short(value: JsonValue): JsonValue {
  if (typeof value !== 'number') return value
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits))
    if (Math.fround(candidate) === value) return candidate
  }
  return Number.isFinite(value) ? Number(value.toPrecision(9)) : value
}
