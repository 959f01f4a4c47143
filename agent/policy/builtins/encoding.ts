import { isUtf8 } from 'node:buffer'
import { compareStrings } from '../values/compare.ts'
import { toJson } from '../values/json.ts'
import type { RegoObject } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { anyObject, list, OperandError, text } from './operands.ts'

/** `base64url.encode_no_pad`, `hex.*`, `urlquery.*`. */
export const encodingBuiltins: Family = {
  'base64url.encode_no_pad': (_, value) => Buffer.from(text(value)).toString('base64url'),
  'hex.encode': (_, value) => Buffer.from(text(value)).toString('hex'),
  'hex.decode': (_, value) => {
    if (!/^([0-9a-fA-F]{2})*$/.test(text(value))) throw new OperandError('not hexadecimal')
    return textOf(Buffer.from(text(value), 'hex'))
  },
  'urlquery.encode': (_, value) => queryEscape(text(value)),
  'urlquery.decode': (_, value) => queryUnescape(text(value)),
  'urlquery.encode_object': (_, value) => {
    // OPA takes the JSON of it: keys of any type, sets as arrays.
    const plain = toJson(anyObject(value)) as RegoObject
    const pairs: string[] = []
    for (const key of Object.keys(plain).sort(compareStrings)) {
      const item = plain[key]
      for (const each of typeof item === 'string' ? [item] : list(item))
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
  const bytes = Buffer.from(escaped.replaceAll('+', ' '))
  const plain: number[] = []
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== 0x25) {
      plain.push(bytes[at] as number)
      continue
    }
    const digits = bytes.toString('latin1', at + 1, at + 3)
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) throw new OperandError('a percent sign without two digits')
    plain.push(Number.parseInt(digits, 16))
    at += 2
  }
  return textOf(Buffer.from(plain))
}

/** UTF-8 as Go reads it: each byte that belongs to no character is U+FFFD, where others take several for one. */
function textOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString()
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at] as number
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    const one = bytes.subarray(at, at + length)
    const isCharacter = isUtf8(one)
    text += isCharacter ? one.toString() : '\ufffd'
    at += isCharacter ? length : 1
  }
  return text
}
