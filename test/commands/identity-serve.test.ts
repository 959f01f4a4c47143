import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { openSpireSource } from '#identity/source/spire.ts'
import { startProcess } from '../harness/process.ts'
import { run } from '../harness/run.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')

t.test('identity serve gives whoever opens the socket the identities that were named', async (t) => {
  using folder = temporaryFolder()
  const socket = `unix://${join(folder.path, 'run', 'api.sock')}`
  const ids = ['spiffe://example.org/ns/a', 'spiffe://example.org/ns/b']
  await using server = await startProcess({
    name: 'identity serve',
    program: process.execPath,
    args: [
      ...[main, 'identity', 'serve', '--ca', join(folder.path, 'ca'), '--trust-domain', 'example.org'],
      ...ids.flatMap((id) => ['--spiffe-id', id]),
      ...['--socket', socket, '--ttl', '600'],
    ],
    isReady: async () => {
      const source = await openSpireSource({ socket, log: pino({ level: 'silent' }) })
      try {
        await eventually('an identity', () => source.current(), 1000)
        t.same(
          source.current()?.svids.map(({ id }) => id.text),
          ids,
        )
        return true
      } finally {
        await source[Symbol.asyncDispose]()
      }
    },
  })
  t.match(server.logs(), /DEVELOPMENT Workload API.*Never use it in production/)
  t.match(server.logs(), `SPIFFE_ENDPOINT_SOCKET=${socket}`)
  for (const id of ids) t.match(server.logs(), id)
  server.kill('SIGTERM')
  t.equal(await server.ended, 0)
})

t.test('identity serve refuses to pose as more than it is', async (t) => {
  using folder = temporaryFolder()
  const args = ['--ca', join(folder.path, 'ca'), '--socket', `unix://${join(folder.path, 'api.sock')}`]
  const rows: [name: string, more: readonly string[], why: RegExp][] = [
    [
      'production',
      ['--spiffe-id', 'spiffe://example.org/a', '--profile', 'production'],
      /--profile: "production"/,
    ],
    ['a foreign identity', ['--spiffe-id', 'spiffe://other.org/a'], /of another trust domain/],
    ['a life of a second', ['--spiffe-id', 'spiffe://example.org/a', '--ttl', '1'], /--ttl: "1"/],
    ['another mode', ['--spiffe-id', 'spiffe://example.org/a', '--mode', '0666'], /0600, 0660/],
    ['nobody', [], /--spiffe-id/],
  ]
  for (const [name, more, why] of rows) {
    const all = [main, 'identity', 'serve', ...args, '--trust-domain', 'example.org', ...more]
    await t.rejects(run(process.execPath, all), { message: why }, name)
  }
})
