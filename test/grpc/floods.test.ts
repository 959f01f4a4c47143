import t from 'tap'
import { type EchoServer, echo, isServed, startEcho, wholeCall } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import {
  continuation,
  data,
  flag,
  frame,
  headers,
  message,
  ping,
  priority,
  rst,
  setting,
  settings,
  settingsAck,
  type,
  windowUpdate,
} from '../harness/h2-frames.ts'
import { call } from '../harness/h2-hpack.ts'
import { eventually } from '../harness/temp.ts'

let server: EchoServer
t.before(async () => {
  server = await startEcho()
})
t.teardown(() => server[Symbol.asyncDispose]())

const nothing = Buffer.alloc(0)
const most = 100_000
const atOnce = 500
const open = headers(1, call(echo.all))

/** One frame again and again, behind something that comes once. @see RFC 9113, §10.5 */
const floods: readonly { readonly name: string; readonly once?: Uint8Array; readonly again: Uint8Array }[] = [
  { name: 'SETTINGS', again: settings() },
  {
    name: 'SETTINGS that move every window',
    once: open,
    again: settings([setting.window, 0], [setting.window, 9]),
  },
  { name: 'acknowledgements of SETTINGS', again: settingsAck },
  { name: 'PING', again: ping() },
  { name: 'answers to PING', again: frame(type.ping, 0, Buffer.alloc(8), { flags: flag.ack }) },
  { name: 'empty DATA', once: open, again: data(1, nothing) },
  { name: 'WINDOW_UPDATE of the connection', again: windowUpdate(0, 1) },
  { name: 'WINDOW_UPDATE of a stream', once: open, again: windowUpdate(1, 1) },
  {
    name: 'WINDOW_UPDATE of a stream that has ended',
    once: wholeCall(1, echo.now, 'x'),
    again: windowUpdate(1, 1),
  },
  { name: 'PRIORITY', again: priority(3, 1) },
  { name: 'RST_STREAM of one stream', once: open, again: rst(1) },
  { name: 'GOAWAY', again: frame(type.goaway, 0, Buffer.alloc(8)) },
  { name: 'an unknown type', again: frame(0xbb, 0) },
  {
    name: 'empty CONTINUATION',
    once: headers(1, nothing, { whole: false }),
    again: continuation(1, nothing, false),
  },
  {
    name: 'CONTINUATION of one octet',
    once: headers(1, nothing, { whole: false }),
    again: continuation(1, Buffer.of(0x82), false),
  },
]

for (const { name, once = nothing, again } of floods) {
  t.test(`§10.5 a flood of ${name} ends its connection, and nobody else's`, async (t) => {
    await using client = await H2Client.open({ port: server.port })
    await client.push(once)
    const some = Buffer.concat(Array.from({ length: atOnce }, () => again))
    for (let sent = 0; sent < most && !client.isClosed; sent += atOnce) await client.push(some)
    t.equal(await client.farewell(), 'ENHANCE_YOUR_CALM')
    t.ok(await isServed({ port: server.port }))
  })
}

t.test('CVE-2023-44487 streams that are reset before they are answered end the connection', async (t) => {
  const { opened } = server.seen
  await using client = await H2Client.open({ port: server.port })
  const block = call(echo.all)
  for (let id = 1; id < 2 * most && !client.isClosed; id += 2 * atOnce) {
    const some = Array.from({ length: atOnce }, (_, index) => id + 2 * index)
    await client.push(...some.flatMap((each) => [headers(each, block), rst(each)]))
  }
  t.equal(await client.farewell(), 'ENHANCE_YOUR_CALM')
  t.ok(server.seen.opened - opened < most / 2, `${server.seen.opened - opened} streams were opened`)
  t.ok(await isServed({ port: server.port }))
})

t.test('a flood keeps nobody else waiting for good', async (t) => {
  await using flooding = await H2Client.open({ port: server.port })
  const pings = Buffer.concat(Array.from({ length: atOnce }, () => ping()))
  const flood = (async () => {
    while (!flooding.isClosed) await flooding.push(pings)
  })()
  await using client = await H2Client.open({ port: server.port })
  for (let id = 1; id < 100; id += 2) {
    client.send(wholeCall(id, echo.later, `${id}`))
    t.strictSame((await client.answer(id)).messages, [`${id}`])
  }
  await flood
})

t.test('4,000 answered streams that a proxy resets cost it nothing', async (t) => {
  await using client = await H2Client.open({ port: server.port }, [setting.window, 1 << 20])
  client.send(windowUpdate(0, 1 << 24))
  const ids = Array.from({ length: 4000 }, (_, index) => 2 * index + 1)
  const block = call(echo.all)
  await client.push(...ids.flatMap((id) => [headers(id, block), data(id, message('x'))]))
  const last = ids.at(-1) as number
  await client.until('the last echo', () =>
    client.frames.some(({ type: kind, id }) => kind === type.data && id === last),
  )
  await client.push(...ids.map((id) => rst(id)))
  await client.roundTrip()
  t.equal(client.goaway, undefined)
  t.equal(server.counters.openStreams, 0)
})

t.test('20,000 calls as a proxy makes them, with its updates and pings between, are no flood', async (t) => {
  await using client = await H2Client.open({ port: server.port }, [setting.window, 1 << 20])
  const block = call(echo.all)
  const body = message('decide')
  for (let id = 1; id < 40_000; id += 2 * atOnce) {
    const ids = Array.from({ length: atOnce }, (_, index) => id + 2 * index)
    await client.push(
      ...ids.flatMap((each) => [headers(each, block), data(each, body), windowUpdate(each, 1000)]),
    )
    await client.roundTrip()
    await client.push(
      windowUpdate(0, 65_536),
      ...ids.flatMap((each) => [data(each, nothing, { end: true }), rst(each)]),
    )
    client.frames.length = 0
  }
  await client.roundTrip()
  t.equal(client.goaway, undefined)
  await eventually('all ended', () => server.counters.openStreams === 0)
})

t.test('nobody is left when all have gone', async (t) => {
  await eventually('all closed', () => server.counters.openConnections === 0)
  t.equal(server.counters.openStreams, 0)
  t.equal(server.seen.ended, server.seen.opened)
  t.strictSame(server.seen.faults, [])
  t.notOk(server.counters.protocolErrors.has('INTERNAL_ERROR'))
})
