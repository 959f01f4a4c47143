import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import {
  Client,
  type ClientDuplexStream,
  status as Code,
  credentials,
  type ServiceError,
} from '@grpc/grpc-js'
import t from 'tap'
import { startGrpcServer } from '#grpc/grpc.ts'
import type { Method, Status } from '#grpc/service.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'

const same = (bytes: Buffer) => bytes

/** What the server saw of its streams. */
const seen = { opened: 0, ended: 0 }

const methods: readonly Method[] = [
  { kind: 'unary', path: '/test.Echo/Now', handle: (message) => message },
  { kind: 'unary', path: '/test.Echo/Later', handle: async (message) => message },
  {
    kind: 'unary',
    path: '/test.Echo/Refuse',
    handle: (): Status => ({ code: Code.NOT_FOUND, message: 'nothing: 100 % ü' }),
  },
  {
    kind: 'stream',
    path: '/test.Echo/All',
    open: (writer) => {
      seen.opened++
      return {
        message: (message) => {
          if (Buffer.from(message).toString() === 'stop')
            writer.close({ code: Code.ABORTED, message: 'stopped' })
          else writer.send(message)
        },
        halfClosed: () => {
          writer.close()
        },
        ended: () => {
          seen.ended++
        },
      }
    },
  },
]

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
let sockets = 0
const socketPath = () => join(folder.path, `${sockets++}.sock`)

function connect(address: string): Client & Disposable {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 })
  return Object.assign(client, { [Symbol.dispose]: () => client.close() })
}

function call(client: Client, path: string, message: Uint8Array): Promise<Buffer | ServiceError> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, Buffer.from(message), (error, answer) =>
      resolve(error ?? (answer as Buffer)),
    )
  })
}

/** Everything a stream gave and how it ended. */
async function outcome(
  stream: ClientDuplexStream<Buffer, Buffer>,
): Promise<{ code: number; messages: string[] }> {
  const messages: string[] = []
  stream.on('data', (message: Buffer) => messages.push(message.toString()))
  stream.on('error', () => {})
  const code = await new Promise<number>((resolve) => stream.once('status', (status) => resolve(status.code)))
  return { code, messages }
}

/** The same table on both hosts behaves the same. */
for (const transport of ['sluice', 'grpc-js'] as const) {
  t.test(`${transport}: a method table is served on a Unix socket and on loopback`, async (t) => {
    for (const listen of [`unix:${socketPath()}`, '127.0.0.1:0']) {
      await using server = await startGrpcServer({ listen, methods, maxMessageBytes: 1000, transport })
      using client = connect(listen.startsWith('unix:') ? listen : `127.0.0.1:${server.port}`)
      for (const path of ['/test.Echo/Now', '/test.Echo/Later']) {
        t.strictSame(await call(client, path, Buffer.from('hello')), Buffer.from('hello'))
      }
      t.match(await call(client, '/test.Echo/Refuse', Buffer.from('')), {
        code: Code.NOT_FOUND,
        details: 'nothing: 100 % ü',
      })
      t.match(await call(client, '/test.Echo/Missing', Buffer.from('')), { code: Code.UNIMPLEMENTED })
      const stream = client.makeBidiStreamRequest('/test.Echo/All', same, same)
      const over = outcome(stream)
      for (const word of ['a', 'b', 'c']) stream.write(Buffer.from(word))
      stream.end()
      t.strictSame(await over, { code: 0, messages: ['a', 'b', 'c'] })
    }
  })

  t.test(`${transport}: a stream ends once for the handler, whoever ends it`, async (t) => {
    const listen = `unix:${socketPath()}`
    await using _ = await startGrpcServer({ listen, methods, maxMessageBytes: 1000, transport })
    using client = connect(listen)
    const begun = { ...seen }

    const stopped = client.makeBidiStreamRequest('/test.Echo/All', same, same)
    const status = outcome(stopped)
    stopped.write(Buffer.from('x'))
    stopped.write(Buffer.from('stop'))
    t.strictSame(await status, { code: Code.ABORTED, messages: ['x'] })

    const cancelled = client.makeBidiStreamRequest('/test.Echo/All', same, same)
    cancelled.on('error', () => {})
    cancelled.write(Buffer.from('y'))
    await once(cancelled, 'data')
    cancelled.cancel()
    await eventually('both ended', () => seen.ended - begun.ended === 2)
    t.equal(seen.opened - begun.opened, 2)
  })

  t.test(`${transport}: a message that is too long ends its call, and the connection goes on`, async (t) => {
    const listen = `unix:${socketPath()}`
    await using _ = await startGrpcServer({ listen, methods, maxMessageBytes: 4 << 20, transport })
    using client = connect(listen)
    const running = client.makeBidiStreamRequest('/test.Echo/All', same, same)
    const over = outcome(running)
    running.write(Buffer.from('before'))
    await once(running, 'data')
    t.match(await call(client, '/test.Echo/Now', Buffer.alloc(10_000_000)), { code: Code.RESOURCE_EXHAUSTED })
    t.strictSame(await call(client, '/test.Echo/Now', Buffer.from('hello')), Buffer.from('hello'))
    running.end(Buffer.from('after'))
    t.match(await over, { code: 0 })
  })

  t.test(`${transport}: a Unix socket is for its owner and group, and goes with the server`, async (t) => {
    const path = socketPath()
    const server = await startGrpcServer({
      listen: `unix:${path}`,
      methods,
      maxMessageBytes: 1000,
      transport,
    })
    t.equal(statSync(path).mode & 0o777, 0o660)
    await server[Symbol.asyncDispose]()
    t.notOk(existsSync(path))
  })

  t.test(
    `${transport}: the socket of a dead process is taken over, that of a living one is not`,
    async (t) => {
      const path = socketPath()
      const listen = `unix:${path}`
      const start = () => startGrpcServer({ listen, methods, maxMessageBytes: 1000, transport })
      {
        await using _ = await start()
        await t.rejects(start(), { code: 'listen_failed', found: 'a process that listens on it' })
      }
      // Only a process that is killed leaves its socket behind.
      spawnSync(process.execPath, [
        '-e',
        `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
      ])
      t.ok(existsSync(path))
      await (await start())[Symbol.asyncDispose]()
      writeFileSync(path, 'mine')
      await t.rejects(start(), { code: 'listen_failed', found: 'a file that is no socket' })
    },
  )

  t.test(
    `${transport}: a port that is taken, or a folder that is missing, is told with its place`,
    async (t) => {
      const taken = createServer().listen(0, '127.0.0.1')
      await once(taken, 'listening')
      const { port } = taken.address() as { port: number }
      const start = (listen: string) => startGrpcServer({ listen, methods, maxMessageBytes: 1000, transport })
      await t.rejects(start(`127.0.0.1:${port}`), {
        code: 'listen_failed',
        place: `listen.agent 127.0.0.1:${port}`,
      })
      taken.close()
      await t.rejects(start(`unix:${join(folder.path, 'missing', 'a.sock')}`), { code: 'listen_failed' })
    },
  )

  t.test(
    `${transport}: a server that stops lets running calls end, and ends those that do not`,
    async (t) => {
      for (const ends of [true, false]) {
        const listen = `unix:${socketPath()}`
        const server = await startGrpcServer({
          listen,
          methods,
          maxMessageBytes: 1000,
          transport,
          drainMs: ends ? 60_000 : 50,
        })
        using client = connect(listen)
        const stream = client.makeBidiStreamRequest('/test.Echo/All', same, same)
        const over = outcome(stream)
        stream.write(Buffer.from('a'))
        await once(stream, 'data')
        const stopped = server[Symbol.asyncDispose]()
        if (ends) stream.end(Buffer.from('b'))
        await stopped
        const { code, messages } = await over
        if (ends) t.strictSame({ code, messages }, { code: 0, messages: ['a', 'b'] })
        else t.not(code, 0)
      }
    },
  )

  t.test(`${transport}: each call that is cut off is told so before the server has stopped`, async (t) => {
    let ended = 0
    const silent: Method = {
      kind: 'stream',
      path: '/test.Echo/Silent',
      open: (writer) => ({
        message: (bytes) => writer.send(Buffer.from(bytes)),
        halfClosed: () => {},
        ended: () => void ended++,
      }),
    }
    const listen = `unix:${socketPath()}`
    const options = { listen, methods: [silent], maxMessageBytes: 1000, transport, drainMs: 50 }
    const server = await startGrpcServer(options)
    using client = connect(listen)
    const streams = Array.from({ length: 20 }, () =>
      client.makeBidiStreamRequest('/test.Echo/Silent', same, same),
    )
    const over = streams.map((stream) => outcome(stream))
    for (const stream of streams) stream.write(Buffer.from('a'))
    await Promise.all(streams.map((stream) => once(stream, 'data')))
    await server[Symbol.asyncDispose]()
    t.equal(ended, streams.length)
    await Promise.all(over)
  })
}
