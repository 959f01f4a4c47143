import t from 'tap'
import { type EchoServer, echo, startEcho, wholeCall } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import {
  data,
  type ErrorName,
  headers,
  message,
  priority,
  rst,
  type,
  windowUpdate,
} from '../harness/h2-frames.ts'
import { call, literals } from '../harness/h2-hpack.ts'
import { attacked, type Case, judge } from '../harness/h2-judge.ts'
import { eventually } from '../harness/temp.ts'

let server: EchoServer
t.before(async () => {
  server = await startEcho()
})
t.teardown(() => server[Symbol.asyncDispose]())

const late = data(attacked, message('late'))
const trailers = headers(attacked, literals([['x', 'y']]), { end: true })
/** The client has ended its side, the server has not: it is at work. */
const halfClosed = [wholeCall(attacked, echo.never, 'x')]

/** What may come on a stream that the client has ended, and what not. @see RFC 9113, §5.1 */
const afterEnd: readonly Case[] = [
  {
    rule: '§5.1',
    name: 'DATA behind the end',
    send: [...halfClosed, late],
    want: { reset: ['STREAM_CLOSED'] },
  },
  {
    rule: '§5.1',
    name: 'HEADERS behind the end',
    send: [...halfClosed, trailers],
    want: { reset: ['STREAM_CLOSED'] },
  },
  {
    rule: '§5.1',
    name: 'a second request on the same stream',
    send: [...halfClosed, headers(attacked, call(echo.now))],
    want: { reset: ['STREAM_CLOSED'] },
  },
]
for (const each of afterEnd) judge(t, () => server, each)

t.test('§5.1 WINDOW_UPDATE, PRIORITY and RST_STREAM are welcome on a half-closed stream', async (t) => {
  await using client = await H2Client.open({ port: server.port })
  client.send(...halfClosed, windowUpdate(attacked, 1), priority(attacked, 1))
  await eventually('it is at work', () => server.seen.waiting > 0)
  await client.roundTrip()
  server.release()
  t.strictSame((await client.answer(attacked)).messages, ['x'])
})

/** How a stream may have ended before the client sends something late, and what that may lead to. */
const ends: readonly {
  readonly how: string
  readonly send: readonly Uint8Array[]
  readonly isOver: (client: H2Client) => boolean
  readonly data: readonly (ErrorName | 'nothing')[]
  readonly headers: readonly (ErrorName | 'nothing')[]
}[] = [
  {
    how: 'both sides ended',
    send: [wholeCall(attacked, echo.now, 'x')],
    isOver: (client) => client.soFar(attacked).isEnded,
    data: ['STREAM_CLOSED'],
    headers: ['STREAM_CLOSED', 'PROTOCOL_ERROR'],
  },
  {
    how: 'the client reset it',
    send: [headers(attacked, call(echo.all)), rst(attacked)],
    isOver: () => true,
    data: ['STREAM_CLOSED'],
    headers: ['STREAM_CLOSED', 'PROTOCOL_ERROR'],
  },
  {
    how: 'the server answered before the end of the request, and reset it',
    send: [headers(attacked, call('/test.Echo/What'))],
    isOver: (client) => client.soFar(attacked).reset === 'NO_ERROR',
    data: ['nothing'],
    headers: ['nothing'],
  },
  {
    how: 'the server reset it for a fault',
    send: [headers(attacked, call(echo.all)), windowUpdate(attacked, 0)],
    isOver: (client) => client.soFar(attacked).reset === 'PROTOCOL_ERROR',
    data: ['nothing'],
    headers: ['nothing'],
  },
  {
    how: 'it was skipped',
    send: [headers(attacked + 2, call(echo.all))],
    isOver: () => true,
    data: ['STREAM_CLOSED', 'PROTOCOL_ERROR'],
    headers: ['STREAM_CLOSED', 'PROTOCOL_ERROR'],
  },
]

for (const { how, send, isOver, ...wants } of ends) {
  for (const [what, bytes] of [
    ['data', late],
    ['headers', trailers],
  ] as const) {
    t.test(`§5.1 ${what} on a stream that is closed because ${how}`, async (t) => {
      await using client = await H2Client.open({ port: server.port })
      client.send(...send)
      await client.until('the end of the stream', () => isOver(client))
      await client.roundTrip()
      const before = client.frames.length
      client.send(bytes)
      const outcome = await reaction(client, before)
      t.ok((wants[what] as readonly string[]).includes(outcome), `${outcome} is one of ${wants[what].join()}`)
      if (client.goaway === undefined) {
        client.send(wholeCall(attacked + 4, echo.now, 'next'))
        t.strictSame((await client.answer(attacked + 4)).messages, ['next'])
      }
    })
  }
}

/** The code of the GOAWAY, or of a reset that came behind the first `before` frames, or `nothing`. */
async function reaction(client: H2Client, before: number): Promise<string> {
  try {
    await client.roundTrip()
  } catch {
    return client.farewell()
  }
  const ours = client.frames.slice(before).find(({ type: kind, id }) => kind === type.rst && id === attacked)
  return ours === undefined ? 'nothing' : (client.soFar(attacked).reset ?? 'nothing')
}

for (const [name, bytes] of [
  ['RST_STREAM', rst(attacked)],
  ['WINDOW_UPDATE', windowUpdate(attacked, 1)],
  ['PRIORITY', priority(attacked, 1)],
] as const) {
  t.test(`§5.1 ${name} on a stream that has ended is nothing to speak of`, async (t) => {
    await using client = await H2Client.open({ port: server.port })
    client.send(wholeCall(attacked, echo.now, 'x'))
    await client.answer(attacked)
    client.send(bytes, wholeCall(attacked + 2, echo.now, 'next'))
    t.strictSame((await client.answer(attacked + 2)).messages, ['next'])
    t.equal(client.goaway, undefined)
    t.equal(client.soFar(attacked).reset, undefined)
  })
}

t.test('§8.1 an answer before the end of the request resets the stream with NO_ERROR', async (t) => {
  await using client = await H2Client.open({ port: server.port })
  client.send(headers(attacked, call('/test.Echo/What')))
  const { fields, isEnded } = await client.answer(attacked)
  t.strictSame([isEnded, fields.get('grpc-status')], [true, '12'])
  await client.until('the reset', () => client.soFar(attacked).reset === 'NO_ERROR')
  // What was on its way does not matter: all of it is credited to the connection.
  client.send(late, late, data(attacked, message('the end'), { end: true }))
  client.send(wholeCall(attacked + 2, echo.now, 'next'))
  t.strictSame((await client.answer(attacked + 2)).messages, ['next'])
})

t.test('a stream that the client resets while its answer is made ends for the handler, once', async (t) => {
  const { opened, ended } = server.seen
  await using client = await H2Client.open({ port: server.port })
  for (let id = 1; id < 100; id += 2)
    client.send(headers(id, call(echo.all)), data(id, message('x')), rst(id))
  await client.roundTrip()
  t.strictSame([server.seen.opened - opened, server.seen.ended - ended], [50, 50])
  t.equal(server.counters.openStreams, 0)
})

t.test('a client that goes without a word leaves nothing behind', async (t) => {
  const { opened, ended } = server.seen
  for (const bytes of [
    headers(1, call(echo.all)),
    Buffer.concat([headers(1, call(echo.all)), data(1, message('half a message').subarray(0, 9))]),
    Buffer.concat([headers(1, call(echo.all)), data(1, message('x')).subarray(0, 4)]),
    headers(1, call(echo.all), { whole: false }),
    wholeCall(1, echo.never, 'x'),
  ]) {
    const client = await H2Client.open({ port: server.port })
    client.send(bytes)
    await client.until('settings', () => client.frames.length > 0)
    await client[Symbol.asyncDispose]()
  }
  server.release()
  await eventually('all closed', () => server.counters.openConnections === 0)
  t.equal(server.counters.openStreams, 0)
  t.equal(server.seen.ended - ended, server.seen.opened - opened)
  t.strictSame(server.seen.faults, [])
  t.notOk(server.counters.protocolErrors.has('INTERNAL_ERROR'))
})
