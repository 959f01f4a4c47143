import t from 'tap'
import { type EchoServer, echo, isServed, startEcho } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import { headers, ping, preface, settings, settingsAck } from '../harness/h2-frames.ts'
import { call } from '../harness/h2-hpack.ts'
import { eventually } from '../harness/temp.ts'

let server: EchoServer
t.before(async () => {
  server = await startEcho()
})
t.teardown(() => server[Symbol.asyncDispose]())

const prefaces: readonly { name: string; bytes: Buffer; peer?: string; begins?: string; code?: string }[] = [
  { name: 'rubbish', bytes: Buffer.from('\x00\x01\x02rubbish'), peer: 'unknown', code: 'PROTOCOL_ERROR' },
  {
    name: 'a preface with a wrong last octet',
    bytes: Buffer.concat([preface.subarray(0, -1), Buffer.from('x'), settings()]),
  },
  {
    name: 'HTTP/1.1',
    bytes: Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
    peer: 'http/1.1',
    begins: 'HTTP/1.1 505 ',
  },
  {
    name: 'HTTP/1.1 that begins like the preface',
    bytes: Buffer.from('POST /v2/models HTTP/1.1\r\n\r\n'),
    peer: 'http/1.1',
    begins: 'HTTP/1.1 505 ',
  },
  {
    name: 'an upgrade to h2c, which RFC 9113 has no more',
    bytes: Buffer.from('GET / HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\n\r\n'),
    peer: 'http/1.1',
    begins: 'HTTP/1.1 505 ',
  },
  // Answered with an alert, which TLS clients can read.
  { name: 'TLS', bytes: Buffer.from('1603010200010001fc0303', 'hex'), peer: 'tls', begins: '\x15\x03' },
]

for (const { name, bytes, peer, begins, code } of prefaces) {
  for (const pieces of [1, bytes.length]) {
    t.test(`§3.4 ${name} instead of the preface, in ${pieces} pieces`, async (t) => {
      const { port, counters } = server
      const before = peer === undefined ? 0 : (counters.wrongPeers.get(peer) ?? 0)
      await using client = await H2Client.silent({ port })
      const step = Math.ceil(bytes.length / pieces)
      for (let at = 0; at < bytes.length; at += step) await client.push(bytes.subarray(at, at + step))
      await client.until('the end', () => client.isClosed)
      if (code !== undefined) t.equal(client.goaway, code)
      if (begins !== undefined) t.equal(client.raw.toString('latin1', 0, begins.length), begins)
      if (peer === 'http/1.1') t.match(client.raw.toString(), 'http2_protocol_options')
      if (peer !== undefined) t.equal(counters.wrongPeers.get(peer), before + 1)
      t.ok(await isServed({ port }))
    })
  }
}

t.test('§3.4 half a preface, or nothing at all, and then silence ends soon', async (t) => {
  await using impatient = await startEcho({ prefaceTimeoutMs: 100 })
  for (const bytes of [preface.subarray(0, 10), Buffer.alloc(0)]) {
    await using client = await H2Client.silent({ port: impatient.port })
    client.send(bytes)
    t.ok(await client.until('the end', () => client.isClosed))
  }
})

for (const [name, bytes] of [
  ['PING', ping()],
  ['an acknowledgement', settingsAck],
  ['HEADERS', headers(1, call(echo.now))],
] as const) {
  t.test(`§3.4 ${name} before SETTINGS ends the connection`, async (t) => {
    await using client = await H2Client.silent({ port: server.port })
    client.send(preface, bytes)
    t.equal(await client.farewell(), 'PROTOCOL_ERROR')
  })
}

t.test('nobody is left when all have gone', async (t) => {
  await eventually('all closed', () => server.counters.openConnections === 0)
  t.equal(server.counters.openStreams, 0)
})
