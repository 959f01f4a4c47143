import { gzipSync } from 'node:zlib'
import { writeTar } from '#policy/bundle/tar.ts'

/** A bundle of these files, packed; what is no text is written as JSON. */
export function archive(files: Readonly<Record<string, unknown>>): Buffer {
  const entries = Object.entries(files).map(([path, content]) => ({
    path,
    content: Buffer.isBuffer(content)
      ? content
      : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
  }))
  return gzipSync(writeTar(entries))
}
