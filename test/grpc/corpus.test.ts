import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { type EchoServer, isServed, startEcho } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import { eventually } from '../harness/temp.ts'

/**
 * Conversations from the preface on, as hex. The first line says what they lead to: `goaway CODE`, `reset STREAM CODE`,
 * `status STREAM GRPC-STATUS`, `answer STREAM TEXT`.
 */
const folder = join(import.meta.dirname, 'corpus')
const files = globSync('*.hex', { cwd: folder }).sort()

let server: EchoServer
t.before(async () => {
  server = await startEcho()
})
t.teardown(() => server[Symbol.asyncDispose]())

async function outcome(client: H2Client, want: string): Promise<string> {
  const [kind = '', stream = ''] = want.split(' ')
  if (kind === 'goaway') return `goaway ${await client.farewell()}`
  const id = Number(stream)
  const { reset, messages, fields } = await client.answer(id)
  if (kind === 'reset') return `reset ${id} ${reset}`
  const status = fields.get('grpc-status')
  return kind === 'answer' && status === '0' ? `answer ${id} ${messages.join()}` : `status ${id} ${status}`
}

for (const file of files) {
  const [head = '', ...lines] = readFileSync(join(folder, file), 'utf8').split('\n')
  const wants = head.slice('# '.length).split(', ')
  const bytes = Buffer.from(lines.join('').replaceAll(' ', ''), 'hex')
  for (const step of [bytes.length, 1]) {
    t.test(`${basename(file, '.hex')}, ${step === 1 ? 'octet by octet' : 'in one piece'}`, async (t) => {
      await using client = await H2Client.silent({ port: server.port })
      for (let at = 0; at < bytes.length; at += step) await client.push(bytes.subarray(at, at + step))
      for (const want of wants) t.equal(await outcome(client, want), want)
      t.ok(await isServed({ port: server.port }))
    })
  }
}

t.test('nobody is left when all have gone', async (t) => {
  t.ok(files.length > 0)
  server.release()
  await eventually('all closed', () => server.counters.openConnections === 0)
  t.equal(server.counters.openStreams, 0)
  t.strictSame(server.seen.faults, [])
  t.notOk(server.counters.protocolErrors.has('INTERNAL_ERROR'))
})
