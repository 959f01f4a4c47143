import { OperandError } from '../operands.ts'

export type Alphabet = 'standard' | 'url'
export type Padding = 'padded' | 'raw'

const forms: Readonly<Record<Alphabet, Readonly<Record<Padding, RegExp>>>> = {
  standard: {
    padded: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
    raw: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3})?$/,
  },
  url: {
    padded: /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$/,
    raw: /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?$/,
  },
}

/**
 * As Go's `encoding/base64`: line ends may stand anywhere, everything else must be in its place; the unused bits of the
 * last character are not looked at. Node's own decoder takes anything.
 *
 * @throws OperandError
 */
export function decodeBase64(text: string, alphabet: Alphabet, padding: Padding): Buffer {
  const plain = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, '') : text
  if (!forms[alphabet][padding].test(plain)) throw new OperandError('not base64')
  return Buffer.from(plain, 'base64')
}
