import { goText } from './go-text.ts'

const percentSign = 0x25

/** Octets with `%41` for `A`, undone as Go undoes them. @returns `undefined` where a percent sign is followed by something else. */
export function unescapePercent(escaped: Buffer): Buffer | undefined {
  if (!escaped.includes(percentSign)) return escaped
  const plain = Buffer.allocUnsafe(escaped.length)
  let length = 0
  for (let at = 0; at < escaped.length; at++) {
    if (escaped[at] === percentSign) {
      const [high, low] = [hexDigit(escaped[at + 1]), hexDigit(escaped[at + 2])]
      if (high === undefined || low === undefined) return undefined
      plain[length++] = high * 16 + low
      at += 2
    } else plain[length++] = escaped[at] as number
  }
  return plain.subarray(0, length)
}

function hexDigit(octet = 0): number | undefined {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30
  const letter = octet | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : undefined
}

/** The same of a text, whose octets need not be UTF-8 behind the escapes. */
export function unescapedText(escaped: string): string | undefined {
  if (!escaped.includes('%')) return escaped
  const octets = unescapePercent(Buffer.from(escaped))
  return octets === undefined ? undefined : goText(octets)
}

/** `%41` for each octet that stands in no character of `kept`. */
export function escapePercent(plain: string | Uint8Array, kept: RegExp): string {
  let escaped = ''
  for (const octet of typeof plain === 'string' ? Buffer.from(plain) : plain) {
    const character = String.fromCharCode(octet)
    const isKept = octet < 0x80 && kept.test(character)
    escaped += isKept ? character : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return escaped
}
