import { staticTable } from './static-table.ts'

const pairs = new Map(staticTable.map(([name, value], index) => [`${name}\0${value}`, index + 1]))
const names = new Map(staticTable.map(([name], index) => [name, index + 1]))

/** "My table is empty from here on": for a peer that wants to hear of it after it changed its bound (§4.2). */
export const emptyTable = 0x20

/**
 * A header block that uses the static table and never the dynamic one: it can be made once and sent on every connection.
 * Names in lower case; both as Latin-1.
 *
 * @see RFC 7541, §6
 */
export function encodeHeaders(headers: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of headers) {
    const pair = value === '' ? undefined : pairs.get(`${name}\0${value}`)
    if (pair !== undefined) {
      parts.push(integer(0x80, 7, pair))
      continue
    }
    const index = names.get(name)
    // Literal without indexing, §6.2.2.
    if (index === undefined) parts.push(Buffer.from([0]), text(name))
    else parts.push(integer(0, 4, index))
    parts.push(text(value))
  }
  return Buffer.concat(parts)
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  return Buffer.concat([integer(0, 7, bytes.length), bytes])
}

function integer(pattern: number, prefixBits: number, value: number): Buffer {
  const mask = 2 ** prefixBits - 1
  if (value < mask) return Buffer.from([pattern | value])
  const octets = [pattern | mask]
  let rest = value - mask
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 128)
  octets.push(rest)
  return Buffer.from(octets)
}
