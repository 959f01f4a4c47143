import t from 'tap'
import { echo, startEcho } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import { data, headers, message, setting, windowUpdate } from '../harness/h2-frames.ts'
import { call } from '../harness/h2-hpack.ts'
import { Random } from '../harness/random.ts'

const streams = 200

/** Frames of many lists in one: in order within each list, at random between them. */
function shuffled(random: Random, lists: readonly (readonly Buffer[])[]): Buffer[] {
  const rest = lists.map((list) => [...list])
  const mixed: Buffer[] = []
  for (let open = rest; open.length > 0; open = open.filter((list) => list.length > 0))
    mixed.push(random.pick(open).shift() as Buffer)
  return mixed
}

/** A message in frames that are cut anywhere, also within its prefix. */
function cut(random: Random, id: number, bytes: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const next = Math.min(bytes.length, at + 1 + random.below(40))
    const padding = random.below(4) === 0 ? { padding: random.below(20) } : {}
    frames.push(data(id, bytes.subarray(at, next), { end: next === bytes.length, ...padding }))
    at = next
  }
  return frames
}

for (const seed of [1, 2, 3]) {
  t.test(
    `${streams} calls whose frames are mixed and cut anywhere get their own answers, seed ${seed}`,
    async (t) => {
      const random = new Random(seed)
      await using server = await startEcho()
      await using client = await H2Client.open({ port: server.port }, [setting.window, 1 << 20])
      client.send(windowUpdate(0, 1 << 24))
      const paths = [echo.now, echo.later, echo.all]
      const wanted = new Map<number, string>()
      const heads: Buffer[] = []
      const bodies: Buffer[][] = []
      for (let id = 1; id < 2 * streams; id += 2) {
        const text = `${id}:${random.bytes(random.below(300)).toString('hex')}`
        wanted.set(id, text)
        heads.push(headers(id, call(random.pick(paths))))
        bodies.push(cut(random, id, message(text)))
      }
      const bytes = Buffer.concat([...heads, ...shuffled(random, bodies)])
      for (let at = 0; at < bytes.length; ) {
        const next = Math.min(bytes.length, at + 1 + random.below(2000))
        await client.push(bytes.subarray(at, next))
        at = next
      }
      for (const [id, text] of wanted) {
        const { messages, fields } = await client.answer(id)
        t.strictSame([messages, fields.get('grpc-status')], [[text], '0'])
      }
      t.equal(client.goaway, undefined)
      t.equal(server.counters.openStreams, 0)
    },
  )
}
