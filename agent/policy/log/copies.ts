import { isJsonObject, type JsonValue } from '#base/json.ts'
import type { MaskRule } from './mask.ts'

/** Shorter ones are hidden only where they are all of a text: every other text would have them by chance. */
const partLength = 8
const hidden = '***'
/** A client may send thousands of cookies; each of the others is hidden only where it is all of a text. */
const mostParts = 100

/**
 * What of a header proves who calls: the value, the token behind its scheme, the password in it, the values of cookies.
 *
 * @param name in lower case.
 */
export function secretsOf(name: string, value: string): readonly string[] {
  const found = [value]
  const [, scheme, token] = /^(\S+)[ \t]+(.*)$/s.exec(value) ?? []
  if (name.endsWith('authorization') && token !== undefined) {
    found.push(token.trim())
    if (scheme?.toLowerCase() === 'basic') found.push(...passwordIn(token))
  }
  if (name === 'cookie')
    for (const pair of value.split(';')) found.push(pair.slice(pair.indexOf('=') + 1).trim())
  return found.filter((secret) => secret !== '')
}

function passwordIn(token: string): readonly string[] {
  const text = Buffer.from(token, 'base64').toString()
  const colon = text.indexOf(':')
  return colon === -1 ? [] : [text, text.slice(colon + 1)]
}

/**
 * Rules that hide secrets wherever a policy copied them to: `***` in their place. Where one is the name of a member the whole
 * object goes, for its pointer must not tell it either.
 */
export function copyRules(
  part: MaskRule['part'],
  value: JsonValue | undefined,
  secrets: ReadonlySet<string>,
): readonly MaskRule[] {
  if (secrets.size === 0 || value === undefined) return []
  // A token is hidden before what it is a part of would be looked for in vain.
  const longestFirst = [...secrets]
    .filter((secret) => secret.length >= partLength)
    .sort((a, b) => b.length - a.length)
    .slice(0, mostParts)
  const rules: MaskRule[] = []
  const without = (text: string) =>
    secrets.has(text) ? hidden : longestFirst.reduce((rest, secret) => rest.replaceAll(secret, hidden), text)
  const walk = (at: JsonValue, keys: readonly string[]): void => {
    const pointer = `/${[part, ...keys].join('/')}`
    if (typeof at === 'string') {
      const shown = without(at)
      if (shown !== at) rules.push({ part, keys, pointer, upsert: { value: shown } })
    } else if (Array.isArray(at)) at.forEach((item, index) => void walk(item, [...keys, String(index)]))
    else if (isJsonObject(at)) {
      const names = Object.keys(at)
      if (names.some((name) => without(name) !== name)) rules.push({ part, keys, pointer })
      else for (const name of names) walk(at[name] as JsonValue, [...keys, name])
    }
  }
  walk(value, [])
  return rules
}
