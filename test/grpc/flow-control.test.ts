import t from 'tap'
import fc from '../fast-check.ts'
import { type EchoServer, echo, isServed, startEcho, wholeCall } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import { data, flag, headers, message, setting, settings, type, windowUpdate } from '../harness/h2-frames.ts'
import { call } from '../harness/h2-hpack.ts'
import { eventually } from '../harness/temp.ts'

let server: EchoServer
t.before(async () => {
  server = await startEcho({ maxConcurrentStreams: 20 })
})
t.teardown(() => server[Symbol.asyncDispose]())

const open = (initialWindow: number) => H2Client.open({ port: server.port }, [setting.window, initialWindow])
const longest = 2 ** 31 - 1 - 65_535

/** Octets of DATA that have come on a stream. */
function received(client: H2Client, id: number): number {
  return client.frames
    .filter((each) => each.type === type.data && each.id === id)
    .reduce((sum, { payload }) => sum + payload.length, 0)
}

t.test('an answer waits for a window of zero, and comes when it opens', async (t) => {
  await using client = await open(0)
  const stalls = server.counters.flowControlStalls
  client.send(wholeCall(1, echo.now, 'hello'))
  await client.roundTrip()
  t.strictSame([received(client, 1), client.soFar(1).isEnded], [0, false])
  t.equal(server.counters.flowControlStalls, stalls + 1)
  client.send(windowUpdate(1, 5))
  await client.until('the prefix', () => received(client, 1) === 5)
  await client.roundTrip()
  t.strictSame([received(client, 1), client.soFar(1).isEnded], [5, false])
  client.send(windowUpdate(1, 100))
  t.strictSame((await client.answer(1)).messages, ['hello'])
})

t.test('an answer that waits comes when the setting changes, for every stream', async (t) => {
  await using client = await open(0)
  client.send(wholeCall(1, echo.now, 'a'), wholeCall(3, echo.now, 'b'))
  await client.roundTrip()
  client.send(settings([setting.window, 100]))
  t.strictSame((await client.answer(1)).messages, ['a'])
  t.strictSame((await client.answer(3)).messages, ['b'])
})

t.test('a smaller setting makes windows negative, and they have to be filled first', async (t) => {
  await using client = await open(10)
  client.send(wholeCall(1, echo.long, '100'))
  await client.until('ten octets', () => received(client, 1) === 10)
  // 10 are used: now the window stands at -10.
  client.send(settings([setting.window, 0]), windowUpdate(1, 10))
  await client.roundTrip()
  t.equal(received(client, 1), 10)
  client.send(windowUpdate(1, 1))
  await client.until('one more', () => received(client, 1) === 11)
  client.send(windowUpdate(1, 1000))
  t.strictSame((await client.answer(1)).messages, ['x'.repeat(100)])
})

t.test('windows of one octet give an answer of one octet each', async (t) => {
  await using client = await open(1)
  client.send(wholeCall(1, echo.long, '200'))
  for (let octets = 1; octets < 205; octets++) {
    await client.until(`${octets} octets`, () => received(client, 1) === octets)
    client.send(windowUpdate(1, 1))
  }
  t.strictSame((await client.answer(1)).messages, ['x'.repeat(200)])
})

t.test('the window of the connection is shared: what is free goes on, what is shut waits', async (t) => {
  await using client = await open(longest)
  client.send(wholeCall(1, echo.long, '100000'), wholeCall(3, echo.long, '100000'))
  const both = () => received(client, 1) + received(client, 3)
  await client.until('all that the connection takes', () => both() === 65_535)
  await client.roundTrip()
  t.equal(both(), 65_535)
  // Answers without messages need no window.
  client.send(wholeCall(5, '/test.Echo/What', 'x'))
  t.equal((await client.answer(5)).fields.get('grpc-status'), '12')
  client.send(windowUpdate(0, 1 << 20))
  for (const id of [1, 3]) t.equal((await client.answer(id)).messages[0]?.length, 100_000)
})

t.test('one stream whose window is shut holds nobody up', async (t) => {
  await using client = await open(0)
  client.send(wholeCall(1, echo.long, '100000'))
  client.send(wholeCall(3, echo.now, 'x'), windowUpdate(3, 100))
  t.strictSame((await client.answer(3)).messages, ['x'])
  client.send(windowUpdate(1, longest), windowUpdate(0, longest))
  t.equal((await client.answer(1)).messages[0]?.length, 100_000)
})

t.test('no frame is longer than the client takes, and larger ones are used by nobody', async (t) => {
  for (const size of [16_384, 2 ** 24 - 1]) {
    await using client = await H2Client.open(
      { port: server.port },
      [setting.window, longest],
      [setting.frame, size],
    )
    client.send(windowUpdate(0, longest), wholeCall(1, echo.long, '1000000'))
    t.equal((await client.answer(1)).messages[0]?.length, 1_000_000)
    t.notOk(client.frames.some(({ payload }) => payload.length > size))
  }
})

t.test('trailers come behind the last octet, however the windows are opened', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 300 }),
      fc.array(fc.tuple(fc.constantFrom(0, 1, 3), fc.integer({ min: 1, max: 200 })), { maxLength: 20 }),
      async (initialWindow, updates) => {
        await using client = await open(initialWindow)
        client.send(wholeCall(1, echo.long, '400'), wholeCall(3, echo.long, '500'))
        client.send(...updates.map(([id, increment]) => windowUpdate(id, increment)))
        client.send(windowUpdate(1, 10_000), windowUpdate(3, 10_000))
        const answers = [await client.answer(1), await client.answer(3)]
        return (
          answers.every(({ fields }) => fields.get('grpc-status') === '0') &&
          answers[0]?.messages[0]?.length === 400 &&
          answers[1]?.messages[0]?.length === 500 &&
          client.goaway === undefined
        )
      },
    ),
    { numRuns: 50 },
  )
})

t.test('who sends more than the window of a stream loses that stream', async (t) => {
  await using client = await open(0)
  client.send(headers(1, call(echo.all)), headers(3, call(echo.all)))
  // Nobody reads the answers: at some point there is no more credit, and 1 MB is the window.
  const chunk = message(Buffer.alloc(16_000))
  for (let sent = 0; sent < 3 << 20; sent += chunk.length) await client.push(data(1, chunk))
  t.equal((await client.answer(1)).reset, 'FLOW_CONTROL_ERROR')
  client.send(data(3, message('x'), { end: true }), windowUpdate(3, 100))
  t.strictSame((await client.answer(3)).messages, ['x'])
})

t.test('who keeps to the windows may send without end', async (t) => {
  await using client = await open(longest)
  await client.roundTrip()
  client.send(windowUpdate(0, longest), headers(1, call(echo.all)))
  const chunk = data(1, message(Buffer.alloc(16_000)))
  const credit = (id: number) =>
    client.frames
      .filter((each) => each.type === type.window && each.id === id)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0)
  const initial = 1 << 20
  let sent = 0
  for (let count = 0; count < 400; count++) {
    sent += chunk.length - 9
    await client.until('credit for the stream', () => initial + credit(1) >= sent)
    await client.until('credit for the connection', () => 65_535 + credit(0) >= sent)
    await client.push(chunk)
  }
  client.send(data(1, Buffer.alloc(0), { end: true }))
  t.equal((await client.answer(1)).messages.length, 400)
})

t.test('the stream above the bound is refused, and when others end there is room again', async (t) => {
  await using client = await open(65_535)
  const ids = Array.from({ length: 20 }, (_, index) => 2 * index + 1)
  client.send(...ids.map((id) => headers(id, call(echo.all))), headers(41, call(echo.all)))
  t.equal((await client.answer(41)).reset, 'REFUSED_STREAM')
  t.ok(await isServed({ port: server.port }), 'other connections have bounds of their own')
  client.send(data(1, message('a'), { end: true }))
  await client.answer(1)
  client.send(wholeCall(43, echo.now, 'room'))
  t.strictSame((await client.answer(43)).messages, ['room'])
  client.send(...ids.slice(1).map((id) => data(id, message('z'), { end: true })))
  for (const id of ids.slice(1)) t.strictSame((await client.answer(id)).messages, ['z'])
})

t.test('work that goes on after its stream was reset still takes its place', async (t) => {
  const before = server.seen.begun
  await using client = await open(65_535)
  for (let id = 1; id < 200; id += 2) {
    client.send(wholeCall(id, echo.never, 'x'), windowUpdate(id, 0))
  }
  await client.roundTrip()
  t.equal(server.seen.begun - before, 20, 'no more work than the bound')
  t.equal(client.soFar(199).reset, 'REFUSED_STREAM')
  server.release()
  await eventually('the places are free', async () => {
    await using next = await open(65_535)
    next.send(wholeCall(1, echo.now, 'x'))
    return (await next.answer(1)).reset === undefined
  })
  client.send(wholeCall(201, echo.now, 'x'))
  t.strictSame((await client.answer(201)).messages, ['x'])
})

t.test('head and trailers carry the flags of an answer in order', async (t) => {
  await using client = await open(65_535)
  client.send(wholeCall(1, echo.now, 'x'))
  await client.answer(1)
  const own = client.frames.filter(({ id }) => id === 1)
  t.strictSame(
    own.map(({ type: kind, flags }) => [kind, flags]),
    [
      [type.headers, flag.endHeaders],
      [type.data, 0],
      [type.headers, flag.endHeaders | flag.end],
    ],
  )
})

t.test('nobody is left when all have gone', async (t) => {
  await eventually('all closed', () => server.counters.openConnections === 0)
  t.equal(server.counters.openStreams, 0)
  t.strictSame(server.seen.faults, [])
  t.notOk(server.counters.protocolErrors.has('INTERNAL_ERROR'))
})
