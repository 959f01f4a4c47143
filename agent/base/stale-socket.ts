import { rmSync, statSync } from 'node:fs'
import { createConnection } from 'node:net'
import { SluiceError } from './errors.ts'

/**
 * Removes a Unix socket that a dead process left behind.
 *
 * @param setting which part of the configuration names it
 * @throws SluiceError when the path is something else, or somebody listens on it.
 */
export async function removeStaleSocket(path: string, setting: string): Promise<void> {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  const refuse = (found: string, expected: string) =>
    new SluiceError({ code: 'listen_failed', place: `${setting} ${path}`, found, expected })
  if (!stats.isSocket()) throw refuse('a file that is no socket', 'a free path')
  const isLive = await new Promise<boolean>((resolve) => {
    const socket = createConnection({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Anything else, such as a full backlog or a missing permission, is the sign of a living owner.
    socket.once('error', (cause: NodeJS.ErrnoException) => resolve(cause.code !== 'ECONNREFUSED'))
  })
  if (isLive) throw refuse('a process that listens on it', 'a socket of its own for each agent')
  rmSync(path)
}
