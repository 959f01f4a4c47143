import { createGunzip, gunzipSync } from 'node:zlib'
import { messageOf, SluiceError } from '#base/errors.ts'
import { readTar } from './tar.ts'

/** What a bundle has, by path without a leading `/`; nothing of it is read yet. */
export type Members = ReadonlyMap<string, Buffer>

/** Unpacked. Data takes about nineteen times its JSON size in the runtime's memory. */
export const maxBundleBytes = 64 << 20

/** The members of a packed bundle. @throws SluiceError when it is no archive. */
export async function readArchive(bytes: Buffer, place: string, maxBytes = maxBundleBytes): Promise<Members> {
  let archive: Buffer
  try {
    archive = await inflated(bytes, maxBytes)
  } catch (cause) {
    throw noArchive(place, maxBytes, cause)
  }
  return membersOf(archive, place)
}

/** From this size on the content lies in memory that threads share: to copy it for one would stall the other. */
const sharedFromBytes = 256 << 10
const pieceBytes = 256 << 10

/** Unpacks piece by piece, so that no single step takes long. @throws Error for what is no gzip, or more than `maxBytes`. */
function inflated(bytes: Buffer, maxBytes: number): Promise<Buffer> {
  // The last four bytes say how long it is, if they say the truth.
  const told = bytes.length < 4 ? 0 : bytes.readUInt32LE(bytes.length - 4)
  let target = room(Math.min(told, maxBytes))
  let length = 0
  return new Promise((resolve, reject) => {
    const gunzip = createGunzip({ chunkSize: pieceBytes })
    gunzip.on('data', (piece: Buffer) => {
      const next = length + piece.length
      if (next > maxBytes) return gunzip.destroy(new Error(`it unpacks to more than ${maxBytes} bytes`))
      if (next > target.length) {
        const larger = room(Math.min(Math.max(next, 2 * target.length), maxBytes))
        target.copy(larger, 0, 0, length)
        target = larger
      }
      piece.copy(target, length)
      length = next
    })
    gunzip.on('error', reject)
    gunzip.on('end', () => resolve(target.subarray(0, length)))
    gunzip.end(bytes)
  })
}

function room(bytes: number): Buffer {
  return bytes < sharedFromBytes ? Buffer.alloc(bytes) : Buffer.from(new SharedArrayBuffer(bytes))
}

/** The same before it returns, for tools. */
export function unpackBundle(bytes: Buffer, place: string): Map<string, Buffer> {
  let archive: Buffer
  try {
    archive = gunzipSync(bytes, { maxOutputLength: maxBundleBytes })
  } catch (cause) {
    throw noArchive(place, maxBundleBytes, cause)
  }
  return membersOf(archive, place)
}

function membersOf(archive: Buffer, place: string): Map<string, Buffer> {
  try {
    return new Map(readTar(archive).map(({ path, content }) => [path, content]))
  } catch (cause) {
    const found = messageOf(cause)
    throw new SluiceError({ code: 'bundle_refused', place, found, expected: 'an OPA bundle (tar.gz)', cause })
  }
}

function noArchive(place: string, maxBytes: number, cause: unknown): SluiceError {
  const limit = maxBytes >= 1 << 20 ? `${Math.floor(maxBytes / (1 << 20))} MiB` : `${maxBytes} bytes`
  return new SluiceError({
    code: 'bundle_refused',
    place,
    found: messageOf(cause),
    expected: `a gzip archive of at most ${limit}`,
    cause,
  })
}
