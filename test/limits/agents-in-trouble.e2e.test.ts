import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type AgentProcess, startAgent } from '../harness/agent.ts'
import { rateLimitClient } from '../harness/rate-limit-client.ts'
import { startTcpProxy, type TcpProxy } from '../harness/tcp-proxy.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'
import { startValkey, type Valkey } from '../harness/valkey.ts'

t.setTimeout(240_000)

const limit = 600
const months = `
domain: chaos
descriptors:
  - {key: all, rate_limit: {unit: month, requests_per_unit: ${limit}}}
  - {key: ledger, rate_limit: {unit: month, requests_per_unit: 100000000}}
`

/** What the calls through one agent came to. */
interface Told {
  granted: number
  refused: number
  /** Calls of which nobody knows whether they were counted. */
  unknown: number
}

interface World extends AsyncDisposable {
  readonly valkey: Valkey
  readonly agents: readonly AgentProcess[]
  readonly ways: readonly TcpProxy[]
  readonly told: readonly Told[]
  /** Has everybody call through every agent until it is ended. */
  begin(): { end(): Promise<void> }
  /** What Valkey counts under a key of the limits. */
  counted(key: string): Promise<number>
}

async function startWorld(mode: 'strict' | 'leased'): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(temporaryFolder())
  const valkey = stack.use(await startValkey())
  const file = join(folder.path, 'limits.yaml')
  writeFileSync(file, months)
  const ways: TcpProxy[] = []
  const agents: AgentProcess[] = []
  const told: Told[] = []
  const addresses: string[] = []
  for (const name of ['a', 'b']) {
    const way = stack.use(await startTcpProxy(valkey.port))
    const home = join(folder.path, name)
    ways.push(way)
    addresses.push(`unix:${join(home, 'agent.sock')}`)
    told.push({ granted: 0, refused: 0, unknown: 0 })
    agents.push(
      stack.use(
        await startAgent({
          folder: home,
          config: {
            limits: {
              store: `redis://127.0.0.1:${way.port}`,
              redis: { timeoutMs: 300 },
              replica: name,
              stateDir: join(home, 'state'),
            },
            rateLimit: { config: [file], store: 'limits', mode },
          },
        }),
      ),
    )
  }
  const call = async (at: number, client: ReturnType<typeof rateLimitClient>) => {
    const entries = [{ key: 'all', value: '' }]
    const own = [{ key: 'ledger', value: `of-${at}` }]
    const answer = await client.ask({
      domain: 'chaos',
      hitsAddend: 1,
      descriptors: [{ entries }, { entries: own }],
    })
    const of = told[at] as Told
    if (answer.kind === 'status') of.unknown++
    else if (answer.response.overallCode === 1) of.granted++
    else of.refused++
    return answer.kind === 'answer'
  }
  const owned = stack.move()
  return {
    valkey,
    agents,
    ways,
    told,
    begin() {
      let isOver = false
      const callers = addresses.flatMap((address, at) =>
        [0, 1].map(async () => {
          using client = rateLimitClient(address)
          while (!isOver) {
            // Whoever cannot be asked is not asked all the time.
            if (!(await call(at, client))) await sleep(5)
          }
        }),
      )
      return {
        end: async () => {
          isOver = true
          await Promise.all(callers)
        },
      }
    },
    async counted(key) {
      const names = await valkey.client.keys(`sluice:q:*${key}*`)
      const counters = await Promise.all(names.map((name) => valkey.client.getBuffer(name)))
      // A span of a calendar: what was used in it stands first.
      return counters.reduce((sum, counter) => sum + (counter?.readDoubleLE(0) ?? 0), 0)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const sum = (told: readonly Told[], what: keyof Told) => told.reduce((all, each) => all + each[what], 0)

for (const mode of ['strict', 'leased'] as const) {
  t.test(`agents that are stopped, parted and killed grant no more than the limit, ${mode}`, async (t) => {
    await using world = await startWorld(mode)
    const { valkey, agents, ways, told } = world
    const [first, second] = agents as [AgentProcess, AgentProcess]
    const [way] = ways as [TcpProxy]
    const granted = async (more: number) => {
      const before = sum(told, 'granted') + sum(told, 'refused')
      await eventually(
        'calls are answered',
        () => sum(told, 'granted') + sum(told, 'refused') >= before + more,
      )
    }
    const calls = world.begin()
    await granted(50)
    await valkey.client.call('FUNCTION', 'FLUSH')
    await valkey.client.call('SCRIPT', 'FLUSH')
    await granted(20)
    way.isParted = true
    await granted(20)
    way.isParted = false
    for (const each of ways) each.cut()
    await granted(20)
    first.kill('SIGSTOP')
    await granted(20)
    first.kill('SIGCONT')
    valkey.kill('SIGSTOP')
    const unknown = sum(told, 'unknown')
    await eventually('nobody is let through', () => sum(told, 'unknown') > unknown)
    valkey.kill('SIGCONT')
    await granted(20)
    second.kill('SIGKILL')
    await second.restart()
    await eventually('the limit is reached', () => told.every(({ refused }) => refused > 0))
    await calls.end()

    const all = sum(told, 'granted')
    t.ok(all <= limit, `${all} of ${limit}`)
    // Drawn by the one that is killed, some of it is nobody's.
    if (mode === 'strict') t.ok(all + sum(told, 'unknown') >= limit, `${all} were let through`)
    // In good order: leases come back, and what waits is delivered.
    for (const agent of agents) await agent[Symbol.asyncDispose]()
    for (const [at, { granted, unknown }] of told.entries()) {
      const counted = await world.counted(`of-${at}`)
      const mayBeMore = at === 0 || mode === 'strict' ? unknown : limit
      t.ok(counted >= granted, `agent ${at}: ${granted} granted, ${counted} counted`)
      t.ok(counted <= granted + mayBeMore, `agent ${at}: and ${unknown} of which nobody knows`)
    }
    const counted = await world.counted('all')
    t.ok(counted >= all && counted <= limit, `${counted} counted`)
  })
}

t.test('after the store was emptied agents that knew it let nothing through', async (t) => {
  await using world = await startWorld('strict')
  const { valkey, told } = world
  const calls = world.begin()
  await eventually('calls are let through', () => told.every(({ granted }) => granted > 20))
  await calls.end()
  const before = sum(told, 'granted')
  await valkey.client.flushall()
  const later = world.begin()
  const unknown = told.map((each) => each.unknown)
  await eventually('they are refused', () => told.every((each, at) => each.unknown > (unknown[at] ?? 0) + 5))
  await later.end()
  t.equal(sum(told, 'granted'), before)
  t.equal(await world.counted('all'), 0)
})
