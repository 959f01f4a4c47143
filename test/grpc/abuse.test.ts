import t from 'tap'
import { echo, isServed, startEcho, wholeCall } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import { data, headers, message, rst, setting, windowUpdate } from '../harness/h2-frames.ts'
import { call, literals } from '../harness/h2-hpack.ts'
import { eventually } from '../harness/temp.ts'

const atOnce = 500

t.test('streams that have read a long message, and stay open, leave room for others', async (t) => {
  const longest = 2 ** 31 - 1 - 65_535
  await using server = await startEcho()
  await using client = await H2Client.open({ port: server.port }, [setting.window, longest])
  client.send(windowUpdate(0, longest))
  const whole = message(Buffer.alloc(3 << 20))
  for (let id = 1; id < 80; id += 2) {
    await client.push(headers(id, call(echo.all)))
    for (let at = 0; at < whole.length; at += 16_384) {
      await client.push(data(id, whole.subarray(at, at + 16_384)))
      if (at % (512 << 10) === 0) await client.roundTrip()
    }
    await client.until('an answer', () => client.frames.some((each) => each.id === id && each.type === 1))
    t.equal(client.soFar(id).isEnded, false, `stream ${id} goes on`)
    client.frames.length = 0
  }
})

t.test(
  'a client that reads nothing of 1,000 long answers is hung up on before they fill the memory',
  async (t) => {
    const longest = 2 ** 31 - 1 - 65_535
    await using server = await startEcho()
    await using client = await H2Client.open({ port: server.port }, [setting.window, longest])
    client.send(windowUpdate(0, longest))
    await client.roundTrip()
    client.deafen()
    const before = process.memoryUsage().arrayBuffers
    const calls = Array.from({ length: 1000 }, (_, index) => wholeCall(2 * index + 1, echo.long, '1000000'))
    await client.push(...calls)
    await eventually('they were read', () => server.counters.streams > 50)
    const mb = (process.memoryUsage().arrayBuffers - before) / (1 << 20)
    t.ok(mb < 300, `${mb} MB`)
  },
)

t.test('4,000 resets that crossed the answers cost nothing', async (t) => {
  await using server = await startEcho()
  await using client = await H2Client.open({ port: server.port }, [setting.window, 1 << 20])
  client.send(windowUpdate(0, 1 << 24))
  const ids = Array.from({ length: 4000 }, (_, index) => 2 * index + 1)
  await client.push(...ids.map((id) => wholeCall(id, echo.now, 'x')))
  await client.answer(ids.at(-1) as number)
  await client.push(...ids.map((id) => rst(id)))
  await client.roundTrip()
  t.equal(client.goaway, undefined)
})

for (const [name, bytes] of [
  ['WINDOW_UPDATE', windowUpdate(2, 1)],
  ['RST_STREAM', rst(2)],
  ['DATA', data(2, message('x'))],
] as const) {
  t.test(`§5.1.1 ${name} on a stream that only the server could open ends the connection`, async (t) => {
    await using server = await startEcho()
    await using client = await H2Client.open({ port: server.port })
    client.send(wholeCall(7, echo.now, 'x'), bytes)
    t.equal(await client.farewell(), 'PROTOCOL_ERROR')
  })
}

t.test('trailers that were on their way to 1,000 refused requests end nothing', async (t) => {
  await using server = await startEcho()
  await using client = await H2Client.open({ port: server.port })
  const ids = Array.from({ length: 1000 }, (_, index) => 2 * index + 1)
  const head = call('/test.Echo/What')
  const trailers = literals([['x', 'y']])
  client.send(...ids.map((id) => headers(id, head)))
  client.send(...ids.map((id) => headers(id, trailers, { end: true })))
  await client.roundTrip()
  t.equal(client.goaway, undefined)
})

for (const [name, fault] of [
  ['WINDOW_UPDATE of 0', (id: number) => windowUpdate(id, 0)],
  ['DATA behind the end', (id: number) => data(id, Buffer.of(1))],
  ['a window above 2^31-1', (id: number) => windowUpdate(id, 2 ** 31 - 1)],
] as const) {
  t.test(`CVE-2025-8671 who has every stream reset by ${name} is told to calm down`, async (t) => {
    await using server = await startEcho()
    await using client = await H2Client.open({ port: server.port })
    const block = call(echo.later)
    for (let id = 1; id < 200_000 && !client.isClosed; id += 2 * atOnce) {
      const some = Array.from({ length: atOnce }, (_, index) => id + 2 * index)
      await client.push(
        ...some.flatMap((each) => [
          headers(each, block),
          data(each, message('x'), { end: true }),
          fault(each),
        ]),
      )
    }
    t.equal(await client.farewell(), 'ENHANCE_YOUR_CALM')
    t.ok(await isServed({ port: server.port }))
  })
}

t.test('malformed requests without end are a flood', async (t) => {
  await using server = await startEcho()
  await using client = await H2Client.open({ port: server.port })
  const block = call(echo.now, { connection: 'close' })
  for (let id = 1; id < 200_000 && !client.isClosed; id += 2 * atOnce) {
    const some = Array.from({ length: atOnce }, (_, index) => id + 2 * index)
    await client.push(...some.map((each) => headers(each, block)))
  }
  t.equal(await client.farewell(), 'ENHANCE_YOUR_CALM')
})

t.test('DATA that holds nothing but padding is empty', async (t) => {
  await using server = await startEcho()
  await using client = await H2Client.open({ port: server.port })
  client.send(headers(1, call(echo.all)))
  const some = Buffer.concat(Array.from({ length: atOnce }, () => data(1, Buffer.alloc(0), { padding: 0 })))
  for (let sent = 0; sent < 100_000 && !client.isClosed; sent += atOnce) await client.push(some)
  t.equal(await client.farewell(), 'ENHANCE_YOUR_CALM')
})

t.test('an update of the window costs no more with 9,000 streams that wait for it', async (t) => {
  await using server = await startEcho()
  await using client = await H2Client.open({ port: server.port })
  const ids = Array.from({ length: 9000 }, (_, index) => 2 * index + 1)
  await client.push(...ids.map((id) => wholeCall(id, echo.long, '1000')))
  await client.roundTrip()
  const before = server.counters.flowControlStalls
  await client.push(...Array.from({ length: 1000 }, () => windowUpdate(0, 1)))
  await client.roundTrip()
  // Every update lets one stream send, and that one waits again.
  const stalls = server.counters.flowControlStalls - before
  t.ok(stalls < 10_000, `${stalls} stalls`)
})
