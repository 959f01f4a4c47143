import type { Family } from './builtin.ts'
import { collection, OperandError, object, text } from './operands.ts'

/** `base64url.encode_no_pad`, `hex.*`, `urlquery.*`. */
export const encodingBuiltins: Family = {
  'base64url.encode_no_pad': (_, value) => Buffer.from(text(value)).toString('base64url'),
  'hex.encode': (_, value) => Buffer.from(text(value)).toString('hex'),
  'hex.decode': (_, value) => {
    if (!/^([0-9a-fA-F]{2})*$/.test(text(value))) throw new OperandError('not hexadecimal')
    return Buffer.from(text(value), 'hex').toString()
  },
  'urlquery.encode': (_, value) => queryEscape(text(value)),
  'urlquery.decode': (_, value) => queryUnescape(text(value)),
  'urlquery.encode_object': (_, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new OperandError('not an object')
    const pairs: string[] = []
    for (const key of Object.keys(value).sort()) {
      const item = object(value)[key]
      for (const each of typeof item === 'string' ? [item] : collection(item))
        pairs.push(`${queryEscape(key)}=${queryEscape(text(each))}`)
    }
    return pairs.join('&')
  },
  'urlquery.decode_object': (_, value) => {
    const found: Record<string, string[]> = Object.create(null)
    for (const part of text(value).split('&')) {
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

/** Go's `url.QueryEscape`: letters, digits and `-_.~` stay, a space becomes `+`. */
function queryEscape(plain: string): string {
  return encodeURIComponent(plain)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
}

function queryUnescape(escaped: string): string {
  return decodeURIComponent(escaped.replaceAll('+', ' '))
}
