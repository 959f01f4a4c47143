import { compareStrings, entriesOf } from '../values/compare.ts'
import { goText } from '../values/go-text.ts'
import { toJson } from '../values/json.ts'
import { escapePercent, unescapedText } from '../values/percent.ts'
import type { Family } from './builtin.ts'
import { anyObject, collection, OperandError, text } from './operands.ts'

/** `base64url.encode_no_pad`, `hex.*`, `urlquery.*`. */
export const encodingBuiltins: Family = {
  'base64url.encode_no_pad': (_, value) => Buffer.from(text(value)).toString('base64url'),
  'hex.encode': (_, value) => Buffer.from(text(value)).toString('hex'),
  'hex.decode': (_, value) => {
    if (!/^([0-9a-fA-F]{2})*$/.test(text(value))) throw new OperandError('not hexadecimal')
    return goText(Buffer.from(text(value), 'hex'))
  },
  'urlquery.encode': (_, value) => queryEscape(text(value)),
  'urlquery.decode': (_, value) => queryUnescape(text(value)),
  'urlquery.encode_object': (_, value) => {
    // A key that is no string is the JSON of it.
    const named = entriesOf(anyObject(value)).map(
      ([key, item]) => [typeof key === 'string' ? key : JSON.stringify(toJson(key)), item] as const,
    )
    return named
      .sort(([a], [b]) => compareStrings(a, b))
      .flatMap(([key, item]) =>
        (typeof item === 'string' ? [item] : collection(item)).map(
          (each) => `${queryEscape(key)}=${queryEscape(text(each))}`,
        ),
      )
      .join('&')
  },
  'urlquery.decode_object': (_, value) => {
    const found: Record<string, string[]> = Object.create(null)
    const parts = text(value).split('&')
    if (parts.length > maxParameters) throw new OperandError('too many parameters')
    for (const part of parts) {
      if (part === '') continue
      if (part.includes(';')) throw new OperandError('a semicolon separates nothing')
      const equals = part.indexOf('=')
      const key = queryUnescape(equals === -1 ? part : part.slice(0, equals))
      found[key] ??= []
      found[key].push(equals === -1 ? '' : queryUnescape(part.slice(equals + 1)))
    }
    return found
  },
}

/** As many as Go takes: more are there to exhaust memory. */
const maxParameters = 10_000

/** Go's `url.QueryEscape`: letters, digits and `-_.~` stay, a space becomes `+`. */
function queryEscape(plain: string): string {
  return escapePercent(plain, /[A-Za-z0-9\-_.~ ]/).replaceAll(' ', '+')
}

function queryUnescape(escaped: string): string {
  const plain = unescapedText(escaped.replaceAll('+', ' '))
  if (plain === undefined) throw new OperandError('an invalid escape')
  return plain
}
