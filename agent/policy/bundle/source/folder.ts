import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Reads the files below a folder, by their path in it with `/`. Names that begin with two dots are passed over:
 * Kubernetes keeps the versions of a ConfigMap under such. Links to files are followed, links to folders are not.
 *
 * @throws Error where it is more than `maxBytes`.
 */
export async function readFolder(
  folder: string,
  options: {
    readonly maxBytes: number
    isWanted(path: string): boolean
    /** By the bare name of a file or folder. */
    isIgnored?(name: string): boolean
  },
): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>()
  let size = 0
  const walk = async (at: string): Promise<void> => {
    const entries = await readdir(join(folder, at), { withFileTypes: true })
    entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const entry of entries) {
      if (entry.name.startsWith('..') || options.isIgnored?.(entry.name)) continue
      const path = at === '' ? entry.name : `${at}/${entry.name}`
      if (entry.isDirectory()) {
        await walk(path)
        continue
      }
      if (!options.isWanted(path)) continue
      const stats = await stat(join(folder, path))
      if (!stats.isFile()) continue
      size += stats.size
      if (size > options.maxBytes) throw new Error(`${folder}: more than ${options.maxBytes} bytes`)
      files.set(path, await readFile(join(folder, path)))
    }
  }
  await walk('')
  return files
}
