import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { demandPrivateFolder, socketFolderFault } from '#commands/socket-folder.ts'
import { temporaryFolder } from '../harness/temp.ts'

t.test('the folder of a socket is no place where others may put theirs', async (t) => {
  using folder = temporaryFolder()
  const rows: [mode: number, isGood: boolean][] = [
    [0o700, true],
    [0o750, true],
    [0o755, true],
    [0o770, true],
    [0o1777, true],
    [0o777, false],
    [0o757, false],
    [0o702, false],
  ]
  for (const [mode, isGood] of rows) {
    const path = join(folder.path, mode.toString(8))
    mkdirSync(path)
    chmodSync(path, mode)
    const socket = join(path, 'agent.sock')
    const name = `0${mode.toString(8)}`
    if (isGood) {
      t.equal(socketFolderFault(socket), undefined, name)
      t.doesNotThrow(() => demandPrivateFolder(`unix:${socket}`), name)
    } else {
      t.match(socketFolderFault(socket), /every user may replace it/, name)
      t.throws(() => demandPrivateFolder(`unix:${socket}`), { code: 'socket_folder_open' }, name)
    }
  }
  t.match(socketFolderFault(join(folder.path, 'nowhere', 'agent.sock')), /there is no folder/)
})
