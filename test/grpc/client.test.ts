import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openGrpcClient } from '#grpc/client.ts'
import { type GrpcServer, startGrpcServer } from '#grpc/grpc.ts'
import type { Method } from '#grpc/service.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'

const never = new AbortController().signal
const message = Buffer.from('hello')
const metadata = [['who', 'us']] as const
let isCancelled = false

const methods: readonly Method[] = [
  {
    kind: 'unary',
    path: '/t/echo',
    handle: (bytes, call) => Buffer.from(`${call.metadata('who')} ${bytes}`),
  },
  { kind: 'unary', path: '/t/no', handle: () => ({ code: 7, message: 'no, ü' }) },
  { kind: 'unary', path: '/t/never', handle: () => new Promise(() => {}) },
  {
    kind: 'stream',
    path: '/t/many',
    open: (writer) => ({
      message: () => {
        for (let i = 0; i < 1000; i++) writer.send(Buffer.from(String(i)))
        writer.close({ code: 7, message: 'enough' })
      },
      halfClosed: () => {},
      ended: () => {},
    }),
  },
  {
    kind: 'stream',
    path: '/t/one',
    open: (writer) => ({
      message: (bytes) => writer.send(bytes),
      halfClosed: () => {},
      ended: () => {
        isCancelled = true
      },
    }),
  },
]

async function scene(t: Test, maxMessageBytes = 1 << 20) {
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const listen = `unix:${join(folder.path, 'server.sock')}`
  const start = () => startGrpcServer({ listen, methods, maxMessageBytes: 1 << 20, drainMs: 50 })
  let server: GrpcServer | undefined = await start()
  const client = openGrpcClient({ target: listen, maxMessageBytes })
  t.teardown(async () => {
    client[Symbol.dispose]()
    await server?.[Symbol.asyncDispose]()
  })
  return {
    client,
    stop: async () => {
      await server?.[Symbol.asyncDispose]()
      server = undefined
    },
    start: async () => {
      server = await start()
    },
  }
}

t.test('a call has an answer, or the status in its place', async (t) => {
  const { client } = await scene(t)
  const call = { message, metadata, signal: never, timeoutMs: 5000 }
  t.same(await client.unary({ ...call, path: '/t/echo' }), { ok: true, message: Buffer.from('us hello') })
  t.same(await client.unary({ ...call, path: '/t/no' }), { ok: false, status: { code: 7, message: 'no, ü' } })
  t.match(await client.unary({ ...call, path: '/t/nothing' }), { ok: false, status: { code: 12 } })
  t.match(await client.unary({ ...call, path: '/t/never', timeoutMs: 50 }), {
    ok: false,
    status: { code: 4 },
  })
  const closing = new AbortController()
  const running = client.unary({ ...call, path: '/t/never', signal: closing.signal })
  closing.abort()
  t.match(await running, { ok: false, status: { code: 1 } })
})

t.test('the status of a stream comes behind all of its messages', async (t) => {
  const { client } = await scene(t)
  const got: string[] = []
  const status = await client.serverStream({ path: '/t/many', message, metadata, signal: never }, (each) => {
    got.push(each.toString())
  })
  t.same(status, { code: 7, message: 'enough' })
  t.same(
    got,
    Array.from({ length: 1000 }, (_, index) => String(index)),
  )
})

t.test('a stream ends for both sides when it is given up', async (t) => {
  const { client } = await scene(t)
  const closing = new AbortController()
  isCancelled = false
  const status = await client.serverStream(
    { path: '/t/one', message, metadata, signal: closing.signal },
    () => closing.abort(),
  )
  t.equal(status.code, 1)
  await eventually('the server knows', () => isCancelled)
  const late = client.serverStream({ path: '/t/one', message, metadata, signal: closing.signal }, () => {})
  t.equal((await late).code, 1, 'nor is one begun')
})

t.test('a message that is too large is none', async (t) => {
  const { client } = await scene(t, 4)
  const got: Buffer[] = []
  const status = await client.serverStream({ path: '/t/one', message, metadata, signal: never }, (each) => {
    got.push(each)
  })
  t.match(status, { code: 8, message: /larger/ })
  t.same(got, [])
})

t.test('a server that is gone is UNAVAILABLE, and found again when it is back', async (t) => {
  const { client, stop, start } = await scene(t)
  const call = { message, metadata, signal: never, timeoutMs: 5000, path: '/t/echo' }
  t.match(await client.unary(call), { ok: true })
  await stop()
  t.match(await client.unary(call), { ok: false, status: { code: 14 } })
  await start()
  await eventually('it is found', async () => (await client.unary(call)).ok)
})
