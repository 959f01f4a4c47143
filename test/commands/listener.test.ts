import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import t from 'tap'
import { startGrpcServer } from '#grpc/grpc.ts'
import { listenerAt } from '../../agent/commands/listener.ts'

async function portOf(t: { teardown(then: () => void): void }, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

t.test('who listens is told by the first octets of the answer', async (t) => {
  await using grpc = await startGrpcServer({ listen: '127.0.0.1:0', methods: [], maxMessageBytes: 1000 })
  const http = await portOf(t, createHttpServer())
  const tls = await portOf(
    t,
    createServer((socket) => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 10]))),
  )
  const rubbish = await portOf(
    t,
    createServer((socket) => socket.end('220 mail.example ESMTP\r\n')),
  )
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port: closed } = free.address() as AddressInfo
  free.close()
  await once(free, 'close')
  for (const [port, listener] of [
    [grpc.port, 'http/2'],
    [http, 'http/1.1'],
    [tls, 'tls'],
    [rubbish, 'unknown'],
    [closed, 'nobody'],
  ] as const)
    t.equal(await listenerAt({ host: '127.0.0.1', port }), listener)
})
