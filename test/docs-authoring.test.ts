import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import t from 'tap'
import { goTool } from './harness/go-tools.ts'
import { http } from './harness/http.ts'
import { freePorts } from './harness/ports.ts'
import { startProcess } from './harness/process.ts'
import { run } from './harness/run.ts'
import { temporaryFolder } from './harness/temp.ts'

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'docs', 'authoring.md'), 'utf8')

/** Files to write and commands to run, in the order of the page. */
type Step = { readonly file: string; readonly text: string } | { readonly commands: string }

const steps = [...page.matchAll(/(?:^`(\S+)`:\n\n)?^```(\w+)\n([\s\S]*?)^```$/gm)].map(
  ([whole, file, language, text = '']): Step => {
    if (language === 'sh') return { commands: text }
    if (file === undefined) throw new Error(`the page does not say which file this is:\n${whole}`)
    return { file, text }
  },
)

t.test('the commands of the tutorial lead from an empty folder to a signed bundle in force', async (t) => {
  using folder = temporaryFolder()
  const bin = join(folder.path, 'bin')
  const work = join(folder.path, 'work')
  for (const each of [bin, work]) mkdirSync(each)
  const sluice = join(bin, 'sluice')
  writeFileSync(sluice, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'agent', 'main.ts')}' "$@"\n`)
  chmodSync(sluice, 0o755)
  const path = [bin, dirname(await goTool('opa')), process.env['PATH']].join(delimiter)
  const env = { ...process.env, PATH: path, SLUICE: root }
  const [agentPort, probesPort] = (await freePorts(2)) as [number, number]

  const said: string[] = []
  for (const step of steps.slice(0, -1)) {
    if ('file' in step) {
      mkdirSync(dirname(join(work, step.file)), { recursive: true })
      const text = step.text.replace(':9191', `:${agentPort}`).replace(':15021', `:${probesPort}`)
      writeFileSync(join(work, step.file), text)
    } else said.push((await run('sh', ['-ec', step.commands], { cwd: work, env })).toString())
  }
  const all = said.join('')
  t.match(all, /^bundle\.tar\.gz: .* decides envoy\/authz\/allow$/m)
  t.match(all, /^a tenant may use its model: PASS/m)
  t.match(all, /^PASS: 3\/3$/m)
  t.match(all, /^1 asked, 0 decided differently$/m)
  t.match(all, /^differs +at \/allowed: false → true$/m)
  t.match(all, /^opa eval --explain=full:$/m)
  t.match(all, /^signed by +release$/m)

  const last = steps.at(-1)
  t.same(last, { commands: 'sluice agent --config sluice.yaml\n' })
  await using agent = await startProcess({
    name: 'the agent of the tutorial',
    program: sluice,
    args: ['agent', '--config', 'sluice.yaml'],
    cwd: work,
    isReady: async () => (await http({ port: probesPort, path: '/livez' })).status === 200,
  })
  const ready = await http({ port: probesPort, path: '/readyz?verbose' })
  t.equal(ready.status, 200, ready.body + agent.logs())
})
