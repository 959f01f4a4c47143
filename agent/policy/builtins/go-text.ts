/**
 * Text of bytes as Go shows it: each byte that is no part of a code point is one U+FFFD. Web decoders make one of several,
 * and Rego counts them.
 */
export function textOfBytes(bytes: Uint8Array): string {
  const quick = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = quick.toString('utf8')
  if (!text.includes('\ufffd')) return text
  let shown = ''
  let from = 0
  for (let at = 0; at < quick.length; ) {
    const length = runeLength(quick, at)
    if (length === 0) {
      shown += `${quick.toString('utf8', from, at)}\ufffd`
      from = at + 1
    }
    at += length || 1
  }
  return shown + quick.toString('utf8', from)
}

/** Bytes of the code point at `at`, 0 where none starts there. @see RFC 3629, section 4 */
function runeLength(bytes: Uint8Array, at: number): number {
  const [first = 0, second = 0] = [bytes[at], bytes[at + 1]]
  if (first < 0x80) return 1
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
  if (first < 0xc2 || first > 0xf4) return 0
  for (let i = 1; i < length; i++) {
    if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0
  }
  const isOverlong = (first === 0xe0 && second < 0xa0) || (first === 0xf0 && second < 0x90)
  const isBeyond = (first === 0xed && second > 0x9f) || (first === 0xf4 && second > 0x8f)
  return isOverlong || isBeyond ? 0 : length
}

/** The bytes of a text with `%41` for `A`. @throws RangeError where a percent sign is followed by something else. */
export function unescapePercent(escaped: string): Uint8Array {
  if (!escaped.includes('%')) return Buffer.from(escaped)
  if (/%(?![0-9a-fA-F]{2})/.test(escaped)) throw new RangeError('an invalid escape')
  const parts = escaped.split('%')
  return Buffer.concat(
    parts.map((part, index) =>
      index === 0
        ? Buffer.from(part)
        : Buffer.concat([Buffer.from(part.slice(0, 2), 'hex'), Buffer.from(part.slice(2))]),
    ),
  )
}

/** `%41` for each byte of `plain` that stands in no character of `kept`. */
export function escapePercent(plain: string | Uint8Array, kept: RegExp): string {
  let escaped = ''
  for (const byte of typeof plain === 'string' ? Buffer.from(plain) : plain) {
    const character = String.fromCharCode(byte)
    escaped += byte < 0x80 && kept.test(character) ? character : `%${hexOf(byte)}`
  }
  return escaped
}

function hexOf(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0')
}
