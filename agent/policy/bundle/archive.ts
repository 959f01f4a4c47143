import { promisify } from 'node:util'
import { gunzip, gunzipSync } from 'node:zlib'
import { messageOf, SluiceError } from '#base/errors.ts'
import { readTar } from './tar.ts'

/** What a bundle has, by path without a leading `/`; nothing of it is read yet. */
export type Members = ReadonlyMap<string, Buffer>

/** Unpacked. Data takes about nineteen times its JSON size in the runtime's memory. */
export const maxBundleBytes = 64 << 20

const unzip = promisify(gunzip)

/** The members of a packed bundle. @throws SluiceError when it is no archive. */
export async function readArchive(bytes: Buffer, place: string, maxBytes = maxBundleBytes): Promise<Members> {
  let archive: Buffer
  try {
    archive = await unzip(bytes, { maxOutputLength: maxBytes })
  } catch (cause) {
    throw noArchive(place, maxBytes, cause)
  }
  return membersOf(archive, place)
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
