/** HPACK as far as a client needs that wants to see every octet it sends. @see RFC 7541 */

export type Fields = readonly (readonly [string, string])[]

/** An integer behind the bits of `pattern`. */
export function integer(pattern: number, prefixBits: number, value: number): Buffer {
  const mask = 2 ** prefixBits - 1
  if (value < mask) return Buffer.of(pattern | value)
  const octets = [pattern | mask]
  let rest = value - mask
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 128)
  return Buffer.from([...octets, rest])
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  return Buffer.concat([integer(0, 7, bytes.length), bytes])
}

/** Fields as literals with literal names, none of them for the table. */
export function literals(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]))
}

/** A literal that goes into the dynamic table. */
export function remembered(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0x40), text(name), text(value)])
}

export function indexed(index: number): Buffer {
  return integer(0x80, 7, index)
}

export function tableSize(bytes: number): Buffer {
  return integer(0x20, 5, bytes)
}

/** The head of a call, with fields put in place of those of the same name, or left out where the value is `undefined`. */
export function callFields(path: string, changes: Readonly<Record<string, string | undefined>> = {}): Fields {
  const plain = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'test',
    te: 'trailers',
    'content-type': 'application/grpc',
  }
  return Object.entries<string | undefined>({ ...plain, ...changes }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
}

export function call(path: string, changes: Readonly<Record<string, string | undefined>> = {}): Buffer {
  return literals(callFields(path, changes))
}

/** Names of the static table that an answer may refer to, and the values of `:status`. */
const names = new Map([
  [8, ':status'],
  [28, 'content-length'],
  [31, 'content-type'],
])
const statuses = ['200', '204', '206', '304', '400', '404', '500']

/**
 * The fields of an answer that was encoded without a dynamic table and without Huffman codes.
 *
 * @throws Error for anything else.
 */
export function answerFields(block: Buffer): Map<string, string> {
  const fields = new Map<string, string>()
  let at = 0
  const number = (prefixBits: number): number => {
    const mask = 2 ** prefixBits - 1
    let value = (block[at++] ?? 0) & mask
    if (value < mask) return value
    for (let scale = 1; ; scale *= 128) {
      const octet = block[at++] ?? 0
      value += (octet & 127) * scale
      if (octet < 128) return value
    }
  }
  const string = (): string => {
    if (((block[at] ?? 0) & 0x80) !== 0) throw new Error('Huffman in an answer')
    const length = number(7)
    at += length
    return block.toString('latin1', at - length, at)
  }
  const nameOf = (index: number): string => {
    const name = index >= 8 && index <= 14 ? ':status' : names.get(index)
    if (name === undefined) throw new Error(`an answer with index ${index}`)
    return name
  }
  while (at < block.length) {
    const first = block[at] as number
    if (first >= 0x80) {
      const index = number(7)
      fields.set(nameOf(index), statuses[index - 8] ?? '')
    } else if (first >= 0x20 && first < 0x40) number(5)
    else if (first < 0x20) {
      const index = number(4)
      const name = index === 0 ? string() : nameOf(index)
      fields.set(name, string())
    } else throw new Error('an answer that fills our table')
  }
  return fields
}
