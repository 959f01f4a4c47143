import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { openReplayStore } from '#limits/redis/redis.ts'
import { freePorts } from '../../harness/ports.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { startTlsFront } from '../../harness/tls-front.ts'
import { startValkey } from '../../harness/valkey.ts'

/** Long enough for a busy machine; what must fail does so by a closed connection or a stopped server. */
const timeoutMs = 5000

t.test('a key is taken once, by whoever comes first, until its time is over', async (t) => {
  await using valkey = await startValkey()
  const url = `redis://127.0.0.1:${valkey.port}`
  await using one = await openReplayStore({ url, timeoutMs })
  await using two = await openReplayStore({ url, timeoutMs })
  t.equal(one.problem(), undefined)
  t.equal(await one.claim('a', 60_000), true)
  t.equal(await two.claim('a', 60_000), false, 'another replica')
  t.equal(await one.claim('a', 60_000), false)
  t.equal(await two.claim('b', 60_000), true)
  const all = await Promise.all(
    Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? one : two).claim('raced', 60_000)),
  )
  t.equal(all.filter((isFirst) => isFirst).length, 1, 'of many at once one is the first')
  t.equal(await one.claim('short', 0.5), true)
  t.ok(await eventually('the key has ended', () => two.claim('short', 60_000)))
})

t.test('a server that ends fails claims at once, and one that comes back is used again', async (t) => {
  const [port] = (await freePorts(1)) as [number]
  const url = `redis://127.0.0.1:${port}`
  await using store = await openReplayStore({ url, timeoutMs })
  t.match(store.problem(), /ECONNREFUSED/)
  await t.rejects(store.claim('a', 60_000), 'nothing waits for a connection')
  {
    await using _valkey = await startValkey({ port })
    await eventually('connected', () => store.problem() === undefined)
    t.equal(await store.claim('a', 60_000), true)
  }
  await eventually('noticed', () => store.problem() !== undefined)
  await t.rejects(store.claim('b', 60_000))
  {
    await using _valkey = await startValkey({ port })
    await eventually('connected again', () => store.problem() === undefined)
    t.equal(await store.claim('b', 60_000), true)
  }
})

t.test('a server that stops in the middle fails what waits for it, within the deadline', async (t) => {
  await using valkey = await startValkey()
  await using store = await openReplayStore({
    url: `redis://127.0.0.1:${valkey.port}`,
    timeoutMs: 200,
    maxInFlight: 8,
  })
  await eventually('connected', () => store.problem() === undefined)
  valkey.kill('SIGSTOP')
  try {
    // Those under way, and those that may wait for their turn.
    const waiting = Array.from({ length: 40 }, (_, i) => store.claim(`w${i}`, 60_000))
    await t.rejects(store.claim('too many', 60_000), { message: /8 commands wait/ })
    for (const outcome of await Promise.allSettled(waiting)) t.equal(outcome.status, 'rejected')
  } finally {
    valkey.kill('SIGCONT')
  }
  // Each time another key: one that was not answered in time may have been taken all the same.
  t.ok(await eventually('used again', () => store.claim(randomUUID(), 60_000)))
})

t.test('a killed server fails what waits for it', async (t) => {
  await using valkey = await startValkey()
  await using store = await openReplayStore({ url: `redis://127.0.0.1:${valkey.port}`, timeoutMs: 60_000 })
  valkey.kill('SIGSTOP')
  const waiting = store.claim('a', 60_000)
  valkey.kill('SIGKILL')
  await t.rejects(waiting)
})

t.test('an answer that is none of the two, and a server of another kind, let nothing pass', async (t) => {
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      const text = chunk.toString()
      if (/info/i.test(text)) socket.write('$15\r\nloading:0\r\nrole\r\n')
      else {
        resolve()
        socket.write('-OOM command not allowed when used memory > maxmemory\r\n')
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  {
    await using store = await openReplayStore({ url: `redis://127.0.0.1:${port}`, timeoutMs })
    await t.rejects(store.claim('a', 60_000), { message: /OOM/ })
    await asked
  }
  await new Promise((done) => server.close(done))
})

t.test('it speaks TLS, to a server that somebody vouches for', async (t) => {
  await using valkey = await startValkey()
  using folder = temporaryFolder()
  const ca = createDevCa({ trustDomain: 'example.org' })
  const issued = ca.issue({ spiffeId: 'spiffe://example.org/valkey', dnsNames: ['localhost'] })
  await using front = await startTlsFront(valkey.port, {
    cert: issued.certificatePem,
    key: issued.privateKeyPem,
  })
  const url = `rediss://localhost:${front.port}`
  const caFile = join(folder.path, 'ca.pem')
  writeFileSync(caFile, ca.bundlePem)
  await using store = await openReplayStore({ url, caFile, timeoutMs })
  t.equal(store.problem(), undefined)
  t.equal(await store.claim('over tls', 60_000), true)
  await using stranger = await openReplayStore({ url, timeoutMs })
  t.match(stranger.problem(), /certificate/)
  await t.rejects(stranger.claim('a', 60_000))
})
