import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'

/** A document while it is put together. */
export type Draft = Record<string, unknown>

/**
 * Puts a value at a path into a document. What is an object on both sides is merged; the value itself is never changed.
 *
 * @param conflict is told the path of what stands there already, or must not be there at all.
 */
export function mergeAt(
  target: Draft,
  path: readonly string[],
  value: JsonValue,
  conflict: (at: readonly string[]) => never,
): void {
  const [key, ...rest] = path
  if (key === undefined) {
    if (!isJsonObject(value)) return conflict([])
    for (const [each, item] of Object.entries(value))
      put(target, each, item as JsonValue, (at) => conflict(at))
    return
  }
  if (rest.length === 0) return put(target, key, value, conflict)
  mergeAt(below(target, key, conflict), rest, value, (at) => conflict([key, ...at]))
}

function put(target: Draft, key: string, value: JsonValue, conflict: (at: readonly string[]) => never): void {
  // Assigning to it would change every object of the program.
  if (key === '__proto__') conflict([key])
  if (!Object.hasOwn(target, key)) target[key] = value
  else if (isJsonObject(target[key]) && isJsonObject(value))
    mergeAt(below(target, key, conflict), [], value, (at) => conflict([key, ...at]))
  else conflict([key])
}

const drafts = new WeakSet<object>()

/** The object under a key, a copy of its own where somebody else's stands there. */
function below(target: Draft, key: string, conflict: (at: readonly string[]) => never): Draft {
  if (key === '__proto__') conflict([key])
  const found = Object.hasOwn(target, key) ? target[key] : {}
  if (!isJsonObject(found)) return conflict([key])
  if (drafts.has(found)) return found as Draft
  const draft: Draft = { ...(found as JsonObject) }
  drafts.add(draft)
  target[key] = draft
  return draft
}
