import { isUtf8 } from 'node:buffer'

const replacement = [0xef, 0xbf, 0xbd] as const

/**
 * Octets as Go reads them as text: each one that is no part of UTF-8 becomes one U+FFFD. JavaScript's decoders make one of
 * several, and policy would see another text than under OPA.
 *
 * @see https://go.dev/ref/spec#For_range
 */
export function goText(octets: Uint8Array): string {
  if (isUtf8(octets)) return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString()
  const text = Buffer.allocUnsafe(octets.length * 3)
  let length = 0
  for (let at = 0; at < octets.length; ) {
    const size = sequenceAt(octets, at)
    if (size === 0) {
      for (const octet of replacement) text[length++] = octet
      at++
    } else for (const end = at + size; at < end; at++) text[length++] = octets[at] as number
  }
  return text.toString('utf8', 0, length)
}

/** How many octets the character at `at` has; 0 where there is none. */
function sequenceAt(octets: Uint8Array, at: number): 0 | 1 | 2 | 3 | 4 {
  const first = octets[at] as number
  if (first < 0x80) return 1
  const second = octets[at + 1] ?? 0
  if (first >= 0xc2 && first <= 0xdf) return isContinuation(second) ? 2 : 0
  // What would be too long a form, a surrogate or beyond U+10FFFF is told by the second octet.
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (first < 0xe0 || first > 0xf4 || second < low || second > high) return 0
  if (!isContinuation(octets[at + 2])) return 0
  if (first < 0xf0) return 3
  return isContinuation(octets[at + 3]) ? 4 : 0
}

function isContinuation(octet: number | undefined): boolean {
  return octet !== undefined && octet >= 0x80 && octet <= 0xbf
}
