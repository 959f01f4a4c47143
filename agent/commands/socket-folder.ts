import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { SluiceError } from '#base/errors.ts'

const othersMayWrite = 0o002
/** In such a folder only the owner of an entry may take its place. */
const sticky = 0o1000

/** Why the folder of a socket does not keep others from putting their own there; `undefined` when it does. */
export function socketFolderFault(path: string): string | undefined {
  const folder = dirname(path)
  const stats = statSync(folder, { throwIfNoEntry: false })
  if (stats === undefined) return `there is no folder ${folder}`
  const isOpen = (stats.mode & othersMayWrite) !== 0 && (stats.mode & sticky) === 0
  return isOpen ? `every user may replace it: ${folder} is open to them; expected mode 0750` : undefined
}

/**
 * Private keys go out on this socket.
 *
 * @throws SluiceError when anybody could stand in its place.
 */
export function demandPrivateFolder(listen: string): void {
  const path = listen.slice('unix:'.length)
  const fault = socketFolderFault(path)
  if (fault === undefined) return
  throw new SluiceError({
    code: 'socket_folder_open',
    place: `listen.agent ${path}`,
    found: fault,
    expected: 'a folder of its own, for private keys are served there',
  })
}
