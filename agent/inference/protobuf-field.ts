export interface Field {
  readonly number: number
  readonly wireType: number
  /** Where the value begins: of a length-delimited field its content. */
  readonly start: number
  readonly end: number
}

/** Reads one tag and finds the field's end without needing its content. @see protobuf.dev/programming-guides/encoding */
export function readField(bytes: Uint8Array, at: number, limit: number): Field | 'short' | 'malformed' {
  const tag = readVarint(bytes, at, limit)
  if (typeof tag === 'string') return tag
  const number = Math.floor(tag.value / 8)
  const wireType = tag.value % 8
  if (number === 0 || tag.value > 0xffff_ffff) return 'malformed'
  const ending = (end: number): Field | 'malformed' =>
    end > limit ? 'malformed' : { number, wireType, start: tag.end, end }
  if (wireType === 1) return ending(tag.end + 8)
  if (wireType === 5) return ending(tag.end + 4)
  if (wireType !== 0 && wireType !== 2) return 'malformed'
  const value = readVarint(bytes, tag.end, limit)
  if (typeof value === 'string') return value
  if (wireType === 0) return { number, wireType, start: tag.end, end: value.end }
  const end = value.end + value.value
  return end > limit ? 'malformed' : { number, wireType, start: value.end, end }
}

function readVarint(
  bytes: Uint8Array,
  at: number,
  limit: number,
): { readonly value: number; readonly end: number } | 'short' | 'malformed' {
  let value = 0
  for (let i = 0; i < 10; i++) {
    if (at + i >= limit) return 'malformed'
    const byte = bytes[at + i]
    if (byte === undefined) return 'short'
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return { value, end: at + i + 1 }
  }
  return 'malformed'
}

/**
 * The whole numbers of a field, packed or a single one. A negative number, which is written modulo 2^64, is -1.
 *
 * @param most numbers; where there are more, or they cannot be read, there are none: `undefined`
 */
export function readNumbers(
  bytes: Uint8Array,
  { start, end }: Pick<Field, 'start' | 'end'>,
  most = Number.POSITIVE_INFINITY,
): number[] | undefined {
  const numbers: number[] = []
  for (let at = start; at < end; ) {
    const read = readVarint(bytes, at, end)
    if (typeof read === 'string' || numbers.length >= most) return undefined
    numbers.push(read.value < 2 ** 63 ? read.value : -1)
    at = read.end
  }
  return numbers
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text of octets; `undefined` where they are no UTF-8. */
export function strictText(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return undefined
  }
}
