import { isJsonObject, type JsonValue } from '#base/json.ts'
import { parseStrictJson } from '#base/strict-json.ts'
import { digestOf, isElementKey, maxElements, type ParsedXfcc, type XfccElement } from './element.ts'

/** Reads `x-forwarded-client-cert` as JSON, as Envoy can write it: a list of objects with lower-case names. */
export function parseXfccJson(text: string): ParsedXfcc {
  const parsed = parseStrictJson(text, 4)
  if (!parsed.ok) return parsed
  if (!Array.isArray(parsed.value)) return { ok: false, why: 'not a list' }
  if (parsed.value.length > maxElements) return { ok: false, why: `more than ${maxElements} elements` }
  const elements: XfccElement[] = []
  for (const [index, item] of parsed.value.entries()) {
    const element = elementOf(item)
    if (typeof element === 'string') return { ok: false, why: `element ${index}: ${element}` }
    elements.push(element)
  }
  return { ok: true, format: 'json', elements }
}

function elementOf(item: JsonValue): XfccElement | string {
  if (!isJsonObject(item)) return 'not an object'
  const unknown = Object.keys(item).find((key) => !isElementKey(key))
  if (unknown !== undefined) return 'a name that is not known'
  const { hash: hashText, cert: certificate, uri: uris = [] } = item
  const hash = typeof hashText === 'string' ? digestOf(hashText) : undefined
  if (hashText !== undefined && hash === undefined) return 'a hash that is none'
  if (certificate !== undefined && typeof certificate !== 'string') return 'a certificate that is no text'
  if (!Array.isArray(uris) || !uris.every((uri) => typeof uri === 'string')) return 'a uri that is no list'
  return { hash, certificate, uris, isUriLast: true }
}
