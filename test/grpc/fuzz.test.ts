import { join } from 'node:path'
import t from 'tap'
import { type EchoServer, echo, isServed, startEcho, wholeCall } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import {
  continuation,
  data,
  frame,
  headers,
  message,
  ping,
  preface,
  priority,
  rst,
  setting,
  settings,
  settingsAck,
  windowUpdate,
} from '../harness/h2-frames.ts'
import { call, indexed, remembered, tableSize } from '../harness/h2-hpack.ts'
import { Random } from '../harness/random.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'

const seed = 20_261_124
const conversations = 4000
const atOnce = 8

/** Conversations that mean well, frame by frame. */
const good: readonly (readonly Buffer[])[] = [
  [settings(), settingsAck, wholeCall(1, echo.now, 'a'), wholeCall(3, echo.later, 'b'), ping()],
  [
    settings([setting.window, 1 << 20], [setting.table, 0]),
    windowUpdate(0, 1 << 20),
    headers(1, call(echo.all)),
    data(1, message('one')),
    windowUpdate(1, 100),
    data(1, message('two'), { padding: 9 }),
    data(1, message('three'), { end: true }),
    rst(1),
  ],
  [
    settings([setting.window, 3]),
    headers(1, call(echo.long).subarray(0, 20), { whole: false }),
    continuation(1, call(echo.long).subarray(20, 21), false),
    continuation(1, call(echo.long).subarray(21)),
    data(1, message('5000'), { end: true }),
    windowUpdate(1, 9000),
    settings([setting.window, 70_000]),
    windowUpdate(1, 1),
  ],
  [
    settings(),
    headers(1, Buffer.concat([tableSize(4096), call(echo.now), remembered('x-tenant', 'acme')])),
    data(1, message('a'), { end: true }),
    headers(3, Buffer.concat([call(echo.now), indexed(62)]), { dependsOn: 1, padding: 5 }),
    data(3, message('half').subarray(0, 6)),
    priority(3, 1),
    data(3, message('half').subarray(6), { end: true }),
    frame(0xbb, 0, Buffer.from('?')),
    frame(7, 0, Buffer.alloc(8)),
  ],
  [
    settings(),
    headers(1, call(echo.never)),
    data(1, message('x'), { end: true }),
    headers(3, call(echo.all, { 'grpc-timeout': '5m' })),
    data(3, message('x', { compressed: 1 })),
    headers(5, call('/nowhere'), { end: true }),
    rst(1),
  ],
]

/** Octets that are at the edge of something. */
const edges = [0, 1, 2, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xbe, 0xfe, 0xff]

type Mutation = (frames: Buffer[], random: Random) => void
const at = (frames: readonly Buffer[], random: Random) => random.below(frames.length)
const onFrame =
  (change: (bytes: Buffer, random: Random) => Buffer): Mutation =>
  (frames, random) => {
    const index = at(frames, random)
    frames[index] = change(Buffer.from(frames[index] as Buffer), random)
  }
const set =
  (offset: (bytes: Buffer, random: Random) => number, value: (random: Random) => number) =>
  (bytes: Buffer, random: Random) => {
    if (bytes.length > 0) bytes[offset(bytes, random)] = value(random)
    return bytes
  }
const anywhere = (bytes: Buffer, random: Random) => random.below(bytes.length)

const mutations: readonly Mutation[] = [
  onFrame(set(anywhere, (random) => random.below(256))),
  onFrame(set(anywhere, (random) => random.pick(edges))),
  // Type, flags, the last octet of the identifier, the last of the length.
  onFrame(
    set(
      () => 3,
      (random) => random.below(11),
    ),
  ),
  onFrame(
    set(
      () => 4,
      (random) => random.below(256),
    ),
  ),
  onFrame(
    set(
      () => 8,
      (random) => random.below(9),
    ),
  ),
  onFrame(
    set(
      () => 2,
      (random) => random.below(256),
    ),
  ),
  onFrame((bytes, random) => bytes.subarray(0, random.below(bytes.length + 1))),
  onFrame((bytes, random) => Buffer.concat([bytes, random.bytes(random.below(20))])),
  (frames, random) => frames.splice(at(frames, random), 1),
  (frames, random) => frames.splice(at(frames, random), 0, Buffer.from(random.pick(random.pick(good)))),
  (frames, random) => frames.push(frames.splice(at(frames, random), 1)[0] as Buffer),
  (frames, random) => {
    const payload = random.bytes(random.below(40))
    frames.splice(
      at(frames, random),
      0,
      frame(random.below(11), random.below(8), payload, { flags: random.below(256) }),
    )
  },
]

function mutated(random: Random): Buffer {
  const frames = random.pick(good).map((each) => Buffer.from(each))
  for (let times = 1 + random.below(4); times > 0 && frames.length > 0; times--)
    random.pick(mutations)(frames, random)
  return Buffer.concat([preface, ...frames])
}

/** Sends a conversation in pieces, and goes at any moment. */
async function converse(path: string, bytes: Buffer, random: Random): Promise<void> {
  await using client = await H2Client.silent({ path })
  for (let sent = 0; sent < bytes.length && !client.isClosed; ) {
    const next = Math.min(bytes.length, sent + 1 + random.below(random.pick([3, 50, 2000])))
    await client.push(bytes.subarray(sent, next))
    sent = next
  }
  // Most wait for whatever comes, some go at once.
  if (random.below(10) > 0)
    await client.until('something', () => client.frames.length > 1 || client.raw.length > 100).catch(() => {})
  // Whatever was answered can be read.
  for (const id of new Set(client.frames.map((each) => each.id))) if (id > 0) client.soFar(id)
}

t.test(`${conversations} damaged conversations leave a server that works, seed ${seed}`, async (t) => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'fuzz.sock')
  const server: EchoServer = await startEcho({ listen: `unix:${path}` })
  t.teardown(() => server[Symbol.asyncDispose]())
  for (let count = 0; count < conversations; count += atOnce) {
    const batch = Array.from({ length: atOnce }, (_, index) => {
      const random = new Random(seed + count + index)
      return { random, bytes: mutated(random) }
    })
    await Promise.all(batch.map(({ bytes, random }) => converse(path, bytes, random)))
    server.release()
    const broken = server.counters.protocolErrors.has('INTERNAL_ERROR') || server.seen.faults.length > 0
    if (!broken) continue
    for (const { bytes } of batch) t.comment(bytes.toString('hex'))
    t.strictSame(server.seen.faults, [], 'something broke inside')
    t.fail(`something broke at ${count}`)
    break
  }
  t.ok(await isServed({ path }), 'a good client is served')
  await eventually('all closed', () => server.counters.openConnections === 0)
  t.equal(server.counters.openStreams, 0)
  t.equal(server.seen.ended, server.seen.opened)
  t.comment(JSON.stringify([...server.counters.protocolErrors]))
  for (const code of ['PROTOCOL_ERROR', 'FRAME_SIZE_ERROR', 'COMPRESSION_ERROR', 'STREAM_CLOSED'])
    t.ok(server.counters.protocolErrors.has(code), `the conversations reach ${code}`)
})
