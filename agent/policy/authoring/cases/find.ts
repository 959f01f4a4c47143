import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf, SluiceError } from '#base/errors.ts'

/** A file as it is named, whatever its name; of a folder every `*.case.yaml` below it. @throws SluiceError */
export function findCaseFiles(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path]
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.case\.ya?ml$/.test(name))
      .sort()
      .map((name) => join(path, name))
  } catch (cause) {
    throw new SluiceError({
      code: 'file_unreadable',
      place: path,
      found: messageOf(cause),
      expected: 'a case file, or a folder of them',
      cause,
    })
  }
}
