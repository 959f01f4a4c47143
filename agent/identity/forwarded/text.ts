import {
  digestOf,
  type ElementKey,
  isElementKey,
  maxElements,
  type ParsedXfcc,
  repeatedKeys,
  type XfccElement,
} from './element.ts'

/** What may stand behind a backslash in quotes: the quote, and what RFC 4514 escapes in a subject. */
const escapable = /[-"\\,+;<>=# /0-9A-Fa-f]/
/** What a value without quotes may not hold. */
const special = new Set([',', ';', '=', '"', '\\'])

/**
 * Reads `x-forwarded-client-cert` as text. Envoy does not quote URIs, whatever is in them, so nothing is forgiven: a
 * quote that is not closed, an escape that is none, a pair without `=`, a name that is not known or stands twice.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
 */
export function parseXfccText(text: string): ParsedXfcc {
  const elements: XfccElement[] = []
  let pairs: Pair[] = []
  let at = 0
  for (;;) {
    const read = readPair(text, at)
    if (typeof read === 'string') return { ok: false, why: `${read} at ${at}` }
    pairs.push(read.pair)
    at = read.next
    const end = text[at]
    at++
    if (end === ';') continue
    const element = elementOf(pairs)
    if (typeof element === 'string') return { ok: false, why: `element ${elements.length}: ${element}` }
    elements.push(element)
    if (end === undefined) return { ok: true, format: 'text', elements }
    if (end !== ',') return { ok: false, why: `neither ; nor , at ${at - 1}` }
    if (elements.length === maxElements) return { ok: false, why: `more than ${maxElements} elements` }
    pairs = []
  }
}

interface Pair {
  readonly key: ElementKey
  readonly value: string
}

/** @returns why it is none. */
function readPair(text: string, from: number): { readonly pair: Pair; readonly next: number } | string {
  const equals = text.indexOf('=', from)
  if (equals === -1) return 'a pair without ='
  const key = text.slice(from, equals).toLowerCase()
  if (!isElementKey(key)) return 'a name that is not known'
  let at = equals + 1
  if (text[at] !== '"') {
    while (at < text.length && !special.has(text[at] as string)) at++
    return { pair: { key, value: text.slice(equals + 1, at) }, next: at }
  }
  let value = ''
  for (at++; at < text.length; at++) {
    const character = text[at] as string
    if (character === '"') return { pair: { key, value }, next: at + 1 }
    if (character !== '\\') value += character
    else {
      at++
      if (!escapable.test(text[at] ?? '')) return 'an escape that is not known'
      value += text[at]
    }
  }
  return 'a quote that is not closed'
}

function elementOf(pairs: readonly Pair[]): XfccElement | string {
  const seen = new Set<ElementKey>()
  const uris: string[] = []
  let [hash, certificate]: (string | undefined)[] = []
  for (const { key, value } of pairs) {
    if (seen.has(key) && !repeatedKeys.has(key)) return `${key} stands twice`
    seen.add(key)
    if (key === 'uri' && value !== '') uris.push(value)
    if (key === 'hash') {
      hash = digestOf(value)
      if (hash === undefined) return 'a hash that is none'
    }
    if (key === 'cert') {
      certificate = decoded(value)
      if (certificate === undefined) return 'a certificate that is not URL-encoded'
    }
  }
  return { hash, certificate, uris, isUriLast: pairs.at(-1)?.key === 'uri' }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
