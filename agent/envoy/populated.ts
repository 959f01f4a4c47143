import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'

/** Leaves out what proto3 would: zero, false, empty text, empty maps. */
export function populated(fields: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  return populate({}, fields)
}

/** Adds what {@link populated} keeps to an object, which it gives back. */
export function populate(
  kept: Record<string, JsonValue>,
  fields: Readonly<Record<string, JsonValue | undefined>>,
): JsonObject {
  for (const name in fields) {
    const value = fields[name]
    if (value === undefined || value === '' || value === 0 || value === false) continue
    if (isJsonObject(value) && isEmpty(value)) continue
    kept[name] = value
  }
  return kept
}

function isEmpty(object: JsonObject): boolean {
  for (const _ in object) return false
  return true
}
