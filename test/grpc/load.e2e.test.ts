import { join } from 'node:path'
import t from 'tap'
import { startGrpcServer } from '#grpc/grpc.ts'
import { goTool } from '../harness/go-tools.ts'
import { run } from '../harness/run.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'

const calls = 5000
const protos = join(import.meta.dirname, '..', '..', 'proto')

t.test('ghz has every one of many calls on many connections answered well', async (t) => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'load.sock')
  await using server = await startGrpcServer({
    listen: `unix:${path}`,
    maxMessageBytes: 1 << 20,
    methods: [
      {
        kind: 'unary',
        path: '/envoy.service.auth.v3.Authorization/Check',
        // Every other answer comes in another turn of the event loop.
        handle: (message) =>
          message.length % 2 === 0
            ? new Uint8Array()
            : new Promise((resolve) => setImmediate(resolve, new Uint8Array())),
      },
    ],
  })
  const report = JSON.parse(
    String(
      await run(await goTool('ghz'), [
        ...['--insecure', '--format', 'json', '--import-paths', protos],
        ...['--proto', join(protos, 'envoy/service/auth/v3/external_auth.proto')],
        ...['--call', 'envoy.service.auth.v3.Authorization/Check'],
        ...['--data', '{"attributes":{"request":{"http":{"path":"/{{.RequestNumber}}"}}}}'],
        ...['--total', String(calls), '--concurrency', '60', '--connections', '12'],
        `unix://${path}`,
      ]),
    ),
  ) as { count: number; statusCodeDistribution: Record<string, number> }
  t.equal(report.count, calls)
  t.same(report.statusCodeDistribution, { OK: calls })
  t.equal(server.counters.streams, calls)
  await eventually('all of them have gone', () => server.counters.openConnections === 0)
  t.equal(server.counters.openStreams, 0)
  t.same([...server.counters.protocolErrors], [])
})
