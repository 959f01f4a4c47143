import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

export type ClaimReader = (claims: JsonObject) => JsonValue | undefined

/**
 * Reads one claim, by its name or, where the text begins with a slash, by a JSON pointer through objects. Own members only.
 *
 * @see RFC 6901
 */
export function claimReader(path: string): ClaimReader {
  if (!path.startsWith('/')) return (claims) => member(claims, path)
  const steps = path
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  return (claims) => steps.reduce<JsonValue | undefined>(member, claims)
}

function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return value !== undefined && isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
}
