import { MalformedError } from '#base/malformed.ts'

type Alphabet = 'standard' | 'url'
type Padding = 'padded' | 'raw'

/** Without a group that repeats: long texts would fill the stack of the regular expression. */
const characters: Readonly<Record<Alphabet, Readonly<Record<Padding, RegExp>>>> = {
  standard: { padded: /^[A-Za-z0-9+/]*={0,2}$/, raw: /^[A-Za-z0-9+/]*$/ },
  url: { padded: /^[A-Za-z0-9_-]*={0,2}$/, raw: /^[A-Za-z0-9_-]*$/ },
}

/**
 * As Go's `encoding/base64`: line ends may stand anywhere, everything else must be in its place; the unused bits of the
 * last character are not looked at. Node's own decoder takes anything.
 *
 * @throws MalformedError
 */
export function decodeBase64(text: string, alphabet: Alphabet, padding: Padding): Buffer {
  const plain = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, '') : text
  const over = plain.length % 4
  const isWhole = padding === 'padded' ? over === 0 : over !== 1
  if (!isWhole || !characters[alphabet][padding].test(plain)) throw new MalformedError('not base64')
  return Buffer.from(plain, 'base64')
}
