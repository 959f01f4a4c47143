import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { createDevCa } from '../../../agent/identity/dev-ca/dev-ca.ts'
import { openRedisStore } from '../../../agent/limits/redis/store.ts'
import { freePorts } from '../../harness/ports.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { startTlsFront } from '../../harness/tls-front.ts'
import { startValkey } from '../../harness/valkey.ts'
import { charge, openAt, remainingOf, timeoutMs, ttlMs } from './rules.ts'

t.test('a store that is not there yet is unavailable, and is used once it is', async (t) => {
  const [port] = (await freePorts(1)) as [number]
  await using store = await openAt(port)
  t.match(store.health.problem(), /ECONNREFUSED/)
  const failed = { kind: 'failed', fault: 'unavailable', index: 0 }
  t.same(await store.reserve('a', [charge('c')], ttlMs), failed)
  t.same(await store.topUp('a', 1, [charge('c')], ttlMs), failed)
  t.equal(await store.settle('a', [1]), 'queued')
  t.equal(await store.peek([charge('c')]), 'unavailable')
  t.equal(await store.adjust('b', charge('c'), 'reset'), 'unavailable')
  await using _valkey = await startValkey({ port })
  await eventually('connected', () => store.health.problem() === undefined)
  t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'granted', states: [{ remaining: 9 }] })
})

t.test(
  'a server that stands still fails what waits for it, and what it was sent does not charge twice',
  async (t) => {
    await using valkey = await startValkey()
    await using store = await openAt(valkey.port, { timeoutMs: 200 })
    // Of the same counters, for what is not about waiting.
    await using patient = await openAt(valkey.port)
    t.match(await patient.reserve('before', [charge('c')], ttlMs), { kind: 'granted' })
    await eventually('connected', () => store.health.problem() === undefined)
    valkey.kill('SIGSTOP')
    try {
      const waiting = Array.from({ length: 3 }, (_, i) => store.reserve(`late-${i}`, [charge('c')], ttlMs))
      for (const answer of await Promise.all(waiting))
        t.match(answer, { kind: 'failed', fault: 'unavailable' })
      t.match(store.health.problem(), /no answer within 200 ms|ETIMEDOUT|no connection/)
      t.ok(store.health.counts.timeouts >= 1)
    } finally {
      valkey.kill('SIGCONT')
    }
    for (const id of ['late-0', 'late-1', 'late-2'])
      await eventually('used again', async () => (await store.settle(id, [0])) !== 'queued')
    // Whether the server did what it had been sent or not: cancelled is cancelled, in either order.
    await eventually(
      'what was late is cancelled',
      async () => (await remainingOf(patient, charge('c'))) === 9,
    )
    t.match(await patient.reserve('late-0', [charge('c')], ttlMs), { kind: 'refused' })
    t.equal(await remainingOf(patient, charge('c')), 9)
  },
)

t.test('a burst waits for its turn, and only so many wait at once', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port, { maxInFlight: 4 })
  const ask = (name: string, count: number) =>
    Promise.all(
      Array.from({ length: count }, (_, i) =>
        store.reserve(`${name}${i}`, [{ ...charge('c'), cost: 0 }], ttlMs),
      ),
    )
  // The server learns the script.
  await ask('first', 1)
  const few = await ask('few', 20)
  t.same(
    few.map(({ kind }) => kind),
    few.map(() => 'granted'),
  )
  const many = await ask('many', 60)
  const granted = many.filter(({ kind }) => kind === 'granted').length
  t.ok(granted >= 4 && granted <= 20, `${granted} were granted`)
  t.equal(many.filter(({ kind }) => kind === 'failed').length, 60 - granted)
})

t.test('scripts that the server has forgotten are sent again', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port)
  await store.reserve('a', [charge('c')], ttlMs)
  await valkey.client.script('FLUSH')
  t.match(await store.topUp('a', 1, [charge('c')], ttlMs), { kind: 'granted', states: [{ remaining: 8 }] })
  await valkey.client.script('FLUSH')
  t.equal(await store.settle('a', [1]), 'settled')
  t.equal(await remainingOf(store, charge('c')), 9)
})

t.test('what is wrong with a server is told apart', async (t) => {
  await t.test('a wrong password, and none', async (t) => {
    await using valkey = await startValkey({ password: 'right' })
    const url = `127.0.0.1:${valkey.port}`
    await using wrong = await openRedisStore({ url: `redis://:SECRET@${url}`, timeoutMs })
    t.match(wrong.health.problem(), /the user or the password is wrong/)
    t.notMatch(wrong.health.problem(), /SECRET/)
    await using none = await openRedisStore({ url: `redis://${url}`, timeoutMs })
    t.match(none.health.problem(), /the server wants a password/)
    await using right = await openRedisStore({ url: `redis://:right@${url}`, timeoutMs })
    t.equal(right.health.problem(), undefined)
  })

  await t.test('a replica', async (t) => {
    await using primary = await startValkey()
    await using replica = await startValkey({ settings: ['--replicaof', `127.0.0.1 ${primary.port}`] })
    await using store = await openAt(replica.port)
    t.match(store.health.problem(), /a replica that only reads|loading/)
    await replica.client.replicaof('NO', 'ONE')
    await eventually('promoted', () => store.health.problem() === undefined)
    t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'granted' })
    await replica.client.replicaof('127.0.0.1', primary.port)
    t.match(await store.reserve('b', [charge('c')], ttlMs), { kind: 'failed', fault: 'unavailable' })
    await eventually('noticed', () => /only reads/.test(store.health.problem() ?? ''))
  })

  await t.test('memory that is full', async (t) => {
    await using valkey = await startValkey()
    await using store = await openAt(valkey.port)
    await valkey.client.config('SET', 'maxmemory', '1')
    t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'failed', fault: 'unavailable' })
    t.match(store.health.problem(), /the memory of the server is full/)
    await valkey.client.config('SET', 'maxmemory', '0')
    t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'granted', states: [{ remaining: 9 }] })
    t.equal(store.health.problem(), undefined)
  })

  await t.test('a server that may forget', async (t) => {
    await using valkey = await startValkey({ settings: ['--maxmemory-policy', 'allkeys-lru'] })
    await using store = await openAt(valkey.port)
    t.match(store.health.problem(), /maxmemory-policy is allkeys-lru.*noeviction/)
    t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'failed', fault: 'unavailable' })
    await valkey.client.config('SET', 'maxmemory-policy', 'noeviction')
    await eventually('mended', () => store.health.problem() === undefined)
  })

  await t.test('answers of the wrong form', async (t) => {
    const replies = [
      '$5\r\nhello\r\n',
      ':1\r\n',
      '$-1\r\n',
      '*0\r\n',
      '*5\r\n+G\r\n:1\r\n+abc\r\n:1\r\n:0\r\n',
      '*5\r\n+G\r\n+now\r\n+abc\r\n:1\r\n:0\r\n',
      '*5\r\n+X\r\n:1\r\n+abc\r\n:1\r\n:0\r\n',
      '*5\r\n+G\r\n:1\r\n+no epoch\r\n:1\r\n:0\r\n',
      '*8\r\n+G\r\n:1\r\n+abc\r\n:1\r\n:0\r\n:9\r\n:0\r\n:-5\r\n',
    ]
    for (const reply of replies) {
      await using server = await startLiar(reply)
      await using store = await openAt(server.port)
      t.equal(store.health.problem(), undefined)
      t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'failed', fault: 'unavailable' }, reply)
      t.match(store.health.problem(), /of the wrong form/)
      t.equal(await store.settle('a', [1]), 'queued')
      t.equal(await store.peek([charge('c')]), 'unavailable')
    }
  })
})

t.test('a user with the rights that the documentation names can do everything', async (t) => {
  await using valkey = await startValkey()
  using folder = temporaryFolder()
  const passwordFile = join(folder.path, 'password')
  writeFileSync(passwordFile, 'first\n')
  await valkey.client.call('ACL', [
    ...['SETUSER', 'sluice', 'on', '>first', 'resetkeys', '~sluice:*', 'resetchannels', '-@all'],
    ...[
      '+evalsha',
      '+eval',
      '+info',
      '+hmget',
      '+hget',
      '+hset',
      '+hincrby',
      '+hdel',
      '+hgetall',
      '+get',
      '+set',
    ],
    ...['+del', '+pttl', '+pexpire', '+zadd', '+zrem', '+zrangebyscore', '+time'],
  ])
  const warnings: string[] = []
  const settings = { url: `redis://sluice@127.0.0.1:${valkey.port}`, passwordFile, timeoutMs }
  await using store = await openRedisStore({ ...settings, warn: (text) => warnings.push(text) })
  t.equal(store.health.problem(), undefined)
  const charges = [
    charge('a'),
    charge('b', { rule: { kind: 'concurrency', limit: 3 } }),
    charge('s', { rule: { kind: 'sliding', limit: 3, sliceUs: 1_000_000, sliceCount: 60 } }),
  ]
  t.match(await store.reserve('a', charges, ttlMs), { kind: 'granted' })
  t.match(await store.topUp('a', 1, charges, ttlMs), { kind: 'granted' })
  t.equal(await store.settle('a', [1, 1, 1]), 'settled')
  t.match(await store.adjust('x', charges[0] as (typeof charges)[0], 'reset'), { remaining: 10 })
  t.match(await store.peek(charges), [{ remaining: 10 }, { remaining: 3 }, { remaining: 2 }])
  t.same(warnings, [])

  // The password is changed while the agent runs.
  await valkey.client.call('ACL', 'SETUSER', 'sluice', 'resetpass', '>second')
  await valkey.client.call('CLIENT', 'KILL', 'USER', 'sluice')
  await eventually('refused', () => /password is wrong/.test(store.health.problem() ?? ''))
  writeFileSync(passwordFile, 'second\n')
  await eventually('let in', () => store.health.problem() === undefined)

  // Without INFO and CONFIG nobody can tell whether the server forgets.
  await valkey.client.call('ACL', 'SETUSER', 'sluice', '-info')
  await using blind = await openRedisStore({ ...settings, warn: (text) => warnings.push(text) })
  t.equal(blind.health.problem(), undefined)
  t.match(warnings, [/maxmemory-policy/])
})

t.test('it speaks over a Unix socket', async (t) => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'valkey.sock')
  await using _valkey = await startValkey({ settings: ['--unixsocket', path] })
  await using store = await openRedisStore({ url: `unix:${path}`, timeoutMs })
  t.equal(store.health.problem(), undefined)
  t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'granted' })
})

t.test('it speaks TLS, and shows who it is', async (t) => {
  await using valkey = await startValkey()
  using folder = temporaryFolder()
  const ca = createDevCa({ trustDomain: 'example.org' })
  const server = ca.issue({ spiffeId: 'spiffe://example.org/valkey', dnsNames: ['localhost'] })
  const client = ca.issue({ spiffeId: 'spiffe://example.org/agent' })
  await using front = await startTlsFront(valkey.port, {
    cert: server.certificatePem,
    key: server.privateKeyPem,
    ca: ca.bundlePem,
    requestCert: true,
    rejectUnauthorized: true,
  })
  const file = (name: string, text: string) => {
    const path = join(folder.path, name)
    writeFileSync(path, text)
    return path
  }
  const caFile = file('ca.pem', ca.bundlePem)
  const certificate = file('cert.pem', client.certificatePem)
  const privateKey = file('key.pem', client.privateKeyPem)
  const url = `rediss://localhost:${front.port}`
  await using store = await openRedisStore({ url, caFile, certificate, privateKey, timeoutMs })
  t.equal(store.health.problem(), undefined)
  t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'granted' })
  await using unnamed = await openRedisStore({ url, caFile, timeoutMs })
  t.type(unnamed.health.problem(), 'string')
  await using stranger = await openRedisStore({ url, certificate, privateKey, timeoutMs })
  t.match(stranger.health.problem(), /certificate/)
})

t.test('a file that is not there is told at the start', async (t) => {
  await t.rejects(openRedisStore({ url: 'redis://127.0.0.1', passwordFile: '/nowhere/password' }), {
    code: 'ENOENT',
  })
})

/** A server that looks like Redis until it is asked for a script. */
async function startLiar(reply: string): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      const text = chunk.toString()
      if (/info/i.test(text)) {
        const info = 'loading:0\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n'
        socket.write(`$${info.length}\r\n${info}\r\n`)
      }
      for (const _ of text.matchAll(/EVALSHA/gi)) socket.write(reply)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}
