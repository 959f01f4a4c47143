import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import type { Report } from '../harness/echo-child.ts'
import { echo, isServed, wholeCall } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import { continuation, data, headers, message, rst, setting, windowUpdate } from '../harness/h2-frames.ts'
import { call, indexed, remembered } from '../harness/h2-hpack.ts'
import { eventually } from '../harness/temp.ts'

const child = fork(join(import.meta.dirname, '../harness/echo-child.ts'), {
  execArgv: ['--expose-gc'],
  env: { ...process.env, NODE_OPTIONS: '' },
})
t.teardown(() => child.kill())

async function ask(wish: 'report' | 'release'): Promise<Report> {
  const reply = once(child, 'message')
  child.send(wish)
  return ((await reply) as [Report])[0]
}

const [{ port }] = (await once(child, 'message')) as [{ port: number }]
const longest = 2 ** 31 - 1 - 65_535
const mb = 1 << 20

/** Megabytes that the server has more than before, while `attack` lasts and when it is over. */
async function growth(
  attack: (client: H2Client) => Promise<Report>,
): Promise<{ during: number; after: number }> {
  const sum = ({ heapBytes, bufferBytes }: Report) => (heapBytes + bufferBytes) / mb
  const before = sum(await ask('report'))
  let during: number
  {
    await using client = await H2Client.open({ port }, [setting.window, longest])
    during = sum(await attack(client)) - before
  }
  await eventually('all closed', async () => (await ask('release')).openConnections === 0)
  const left = await ask('report')
  return { during, after: sum(left) - before }
}

t.before(async () => {
  // What is made once, such as compiled code, is no growth.
  t.ok(await isServed({ port }))
  await eventually('all closed', async () => (await ask('report')).openConnections === 0)
})

/** Attacks, and how many megabytes the server may keep while they last. */
const attacks: readonly {
  readonly name: string
  readonly mostMb: number
  readonly attack: (client: H2Client) => Promise<Report>
}[] = [
  {
    name: 'an entry of 4,000 octets that is meant 60,000 times, in 20 requests',
    mostMb: 8,
    attack: async (client) => {
      const head = Buffer.concat([call(echo.all), remembered('a', 'b'.repeat(4000))])
      client.send(headers(1, head))
      const bomb = Buffer.alloc(15_000, indexed(62))
      for (let id = 3; id < 43; id += 2) {
        client.send(headers(id, bomb, { whole: false }))
        for (const isLast of [false, false, true]) client.send(continuation(id, bomb, isLast))
      }
      await client.roundTrip()
      return ask('report')
    },
  },
  {
    name: '5,000 heads of 8 KB that stay open',
    mostMb: 250,
    attack: async (client) => {
      const block = Buffer.concat([call(echo.all), remembered('a', 'b'.repeat(3900)), Buffer.of(0xbe, 0xbe)])
      for (let id = 1; id < 10_000; id += 2) await client.push(headers(id, block))
      await client.roundTrip()
      return ask('report')
    },
  },
  {
    name: 'messages of 4 MB that are announced on 200 streams, of which one octet comes',
    mostMb: 40,
    attack: async (client) => {
      const begin = message('x', { length: 4 << 20 })
      for (let id = 1; id < 400; id += 2) client.send(headers(id, call(echo.all)), data(id, begin))
      await client.roundTrip()
      return ask('report')
    },
  },
  {
    name: 'halves of messages on 200 streams, until the server will keep no more',
    mostMb: 250,
    attack: async (client) => {
      const chunk = Buffer.alloc(16_000)
      for (let id = 1; id < 400; id += 2) {
        const block = headers(id, call(echo.all))
        await client.push(block, data(id, message('', { length: 4 << 20 })))
        for (let sent = 0; sent < 1_000_000; sent += chunk.length) await client.push(data(id, chunk))
      }
      await client.roundTrip()
      t.equal(client.soFar(399).fields.get('grpc-status'), '8', 'RESOURCE_EXHAUSTED')
      t.equal(client.soFar(1).isEnded, false, 'the first is still kept')
      return ask('report')
    },
  },
  {
    name: 'a client that reads nothing while it is answered, with its windows open',
    mostMb: 250,
    attack: async (client) => {
      client.send(windowUpdate(0, longest))
      await client.roundTrip()
      client.deafen()
      const requests: Buffer[] = []
      for (let id = 1; id < 20_000; id += 2) requests.push(wholeCall(id, echo.long, '50000'))
      client.send(...requests)
      return eventually('the server stops to read, or hangs up', async () => {
        const one = await ask('report')
        const two = await ask('report')
        return one.bufferBytes > mb && Math.abs(two.bufferBytes - one.bufferBytes) < mb ? two : undefined
      })
    },
  },
  {
    name: 'a client that keeps its windows shut while it is answered',
    mostMb: 250,
    attack: async (client) => {
      for (let id = 1; id < 2000; id += 2) await client.push(wholeCall(id, echo.long, '1000000'))
      t.equal(await client.farewell(), 'ENHANCE_YOUR_CALM')
      return ask('report')
    },
  },
  {
    name: '100,000 streams that are reset at once',
    mostMb: 40,
    attack: async (client) => {
      const block = call(echo.never)
      for (let id = 1; id < 200_000 && !client.isClosed; id += 200) {
        const rush: Buffer[] = []
        for (let own = id; own < id + 200; own += 2)
          rush.push(headers(own, block), data(own, message('x'), { end: true }), rst(own))
        await client.push(...rush)
      }
      t.equal(await client.farewell(), 'ENHANCE_YOUR_CALM')
      const report = await ask('report')
      t.ok(report.begun <= 10_000, `${report.begun} calls were begun`)
      return report
    },
  },
]

for (const { name, mostMb, attack } of attacks) {
  t.test(`${name}: memory is bounded, and comes back`, async (t) => {
    const { during, after } = await growth(attack)
    t.comment(`${during.toFixed(1)} MB during, ${after.toFixed(1)} MB after`)
    t.ok(during < mostMb, `${during.toFixed(1)} MB during`)
    t.ok(after < 10, `${after.toFixed(1)} MB after`)
    const left = await ask('report')
    t.equal(left.openStreams, 0)
    t.ok(await isServed({ port }), 'others are served')
  })
}
