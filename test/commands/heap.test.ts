import { readFileSync } from 'node:fs'
import t from 'tap'
import { startAgent } from '../harness/agent.ts'
import { temporaryFolder } from '../harness/temp.ts'

t.test('the installed command is the agent itself, and gives new objects little room', async (t) => {
  using folder = temporaryFolder()
  await using agent = await startAgent({ folder: folder.path, config: {}, isInstalled: true })
  const line = readFileSync(`/proc/${agent.pid}/cmdline`, 'utf8').split('\0')
  t.match(line[1], /^--max-semi-space-size=\d+$/)
  t.match(line[2], /main\.ts$/)
})
