/** A file in an archive. */
export interface TarEntry {
  /** Without a leading `/` or `./`. */
  readonly path: string
  readonly content: Buffer
}

const blockBytes = 512

/**
 * Reads a whole POSIX ustar archive. Only plain files and folders are allowed: a link or a device has no place in a
 * bundle, and a path that leaves the archive is refused.
 *
 * @throws Error that says what is wrong and at which byte.
 */
export function readTar(bytes: Buffer): TarEntry[] {
  const entries: TarEntry[] = []
  const seen = new Set<string>()
  let at = 0
  while (at + blockBytes <= bytes.length) {
    const header = bytes.subarray(at, at + blockBytes)
    if (header.every((byte) => byte === 0)) return entries
    if (octal(header, 148, 8) !== checksum(header))
      throw new Error(`not a tar archive: bad checksum at byte ${at}`)
    const prefix = header.toString('latin1', 257, 262) === 'ustar' ? cString(header, 345, 155) : ''
    const name = cString(header, 0, 100)
    const path = (prefix === '' ? name : `${prefix}/${name}`).replace(/^(\.?\/)+/, '')
    const size = octal(header, 124, 12)
    const type = String.fromCharCode(header[156] ?? 0)
    const from = at + blockBytes
    if (from + size > bytes.length) throw new Error(`truncated: ${path} ends after the archive`)
    at = from + Math.ceil(size / blockBytes) * blockBytes
    if (type === '5') continue
    if (type !== '0' && type !== '\0')
      throw new Error(`${path}: entry type ${JSON.stringify(type)} is not allowed`)
    if (path.split('/').includes('..')) throw new Error(`${path}: leaves the archive`)
    if (seen.has(path)) throw new Error(`${path}: stands twice`)
    seen.add(path)
    entries.push({ path, content: bytes.subarray(from, from + size) })
  }
  throw new Error('truncated: no end-of-archive block')
}

/** Writes an archive; the same entries always give the same bytes. */
export function writeTar(entries: readonly TarEntry[]): Buffer {
  const blocks: Buffer[] = []
  for (const { path, content } of entries) {
    const header = Buffer.alloc(blockBytes)
    if (Buffer.byteLength(path) > 100) throw new Error(`${path}: longer than 100 bytes`)
    header.write(path, 0)
    header.write('0000644\0', 100)
    header.write('0000000\0', 108)
    header.write('0000000\0', 116)
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124)
    header.write('00000000000\0', 136)
    header.write('0', 156)
    header.write('ustar\x0000', 257, 'latin1')
    header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148)
    blocks.push(header, content, Buffer.alloc((blockBytes - (content.length % blockBytes)) % blockBytes))
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)])
}

/** The sum of all header bytes, the checksum field itself counted as spaces. */
function checksum(header: Buffer): number {
  let sum = 0
  for (let i = 0; i < blockBytes; i++) sum += i >= 148 && i < 156 ? 32 : (header[i] as number)
  return sum
}

function cString(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length)
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end === -1 ? length : end)
}

function octal(header: Buffer, from: number, length: number): number {
  const text = cString(header, from, length).trim()
  if (!/^[0-7]+$/.test(text)) throw new Error('not a tar archive: a number that is not octal')
  return Number.parseInt(text, 8)
}
