import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startTcpProxy, type TcpProxy } from '../harness/tcp-proxy.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'
import { startValkey, type Valkey } from '../harness/valkey.ts'
import { aQuota, type Pod, type QuotaWorld, startQuotaWorld } from './quota-world.ts'

t.setTimeout(600_000)
/** For one step; a busy machine serves few streams a second. */
const patienceMs = 120_000

const tenants = ['one', 'two']
const limit = 700
/** What a call reserves, and what it takes. */
const [maxTokens, answerTokens] = [16, 10]

/** Tokens that a client read of a stream. */
const tokensIn = (text: string) => text.split('"content"').length - 1

/** What a client saw of one call. */
interface Seen {
  readonly tenant: string
  readonly pod: number
  readonly status: number
  readonly tokens: number
  readonly isWhole: boolean
  /** What of the life of its agent had passed: how often that was killed. */
  readonly life: number
}

interface World extends AsyncDisposable {
  readonly quotas: QuotaWorld
  readonly valkey: Valkey
  readonly ways: readonly TcpProxy[]
  readonly seen: readonly Seen[]
  /** Ends the agent of a pod at once, and starts it anew. */
  kill(pod: number): Promise<void>
  /** Has every tenant read streams through every pod until it is ended. */
  begin(): { end(): Promise<void> }
  /** What Valkey counts for a tenant. */
  counted(tenant: string): Promise<number>
}

async function startWorld(store: 'strict' | 'leased'): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(temporaryFolder())
  const valkey = stack.use(await startValkey())
  const ways = [stack.use(await startTcpProxy(valkey.port)), stack.use(await startTcpProxy(valkey.port))]
  const quotas = stack.use(
    await startQuotaWorld({
      tenants,
      pods: ways.length,
      quotas: [
        aQuota({
          limits: [{ unit: 'outputTokens', name: 'tokens', limit, period: { unit: 'year' }, store }],
        }),
      ],
      // A token a turn of the loop: there are streams in the middle whenever something goes wrong.
      model: {
        answerTokens,
        before: async () => {
          await new Promise((resolve) => setImmediate(resolve))
          return undefined
        },
      },
      limits: (index) => ({
        store: `redis://127.0.0.1:${ways[index]?.port}`,
        redis: { timeoutMs: 300 },
        replica: `pod-${index}`,
        stateDir: join(folder.path, `state-${index}`),
      }),
    }),
  )
  const seen: Seen[] = []
  const lives = ways.map(() => 0)
  const body = {
    model: 'llama',
    stream: true,
    max_tokens: maxTokens,
    messages: [{ role: 'user', content: 'one two three' }],
  }
  const read = async (tenant: string, index: number): Promise<Seen> => {
    const of = { tenant, pod: index, life: lives[index] ?? 0 }
    try {
      const { status, text, isWhole } = await quotas.ask({ pod: quotas.pods[index] as Pod, tenant, body })
      return { ...of, status, tokens: tokensIn(text), isWhole }
    } catch {
      // The connection broke before there was an answer.
      return { ...of, status: 0, tokens: 0, isWhole: false }
    }
  }
  const owned = stack.move()
  return {
    quotas,
    valkey,
    ways,
    seen,
    async kill(index) {
      const { agent } = quotas.pods[index] as Pod
      lives[index] = (lives[index] ?? 0) + 1
      agent.kill('SIGKILL')
      await agent.restart()
    },
    begin() {
      let isOver = false
      const clients = tenants.flatMap((tenant) =>
        ways.map(async (_, index) => {
          while (!isOver) {
            const call = await read(tenant, index)
            seen.push(call)
            // Whoever is refused does not ask all the time.
            if (call.status !== 200) await sleep(10)
          }
        }),
      )
      return {
        end: async () => {
          isOver = true
          await Promise.all(clients)
        },
      }
    },
    async counted(tenant) {
      const names = (await valkey.client.keys('sluice:q:*')).filter((name) =>
        name.includes(`{tenant/${tenant}}`),
      )
      const counters = await Promise.all(names.map((name) => valkey.client.getBuffer(name)))
      // A span of a calendar: what was used in it stands first.
      return counters.reduce((sum, counter) => sum + (counter?.readDoubleLE(0) ?? 0), 0)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

for (const store of ['strict', 'leased'] as const) {
  t.test(
    `streams of agents in trouble are never served beyond the limit, nor for nothing, ${store}`,
    async (t) => {
      await using world = await startWorld(store)
      const { valkey, ways, seen, quotas } = world
      const [way, other] = ways as [TcpProxy, TcpProxy]
      const [first] = quotas.pods as [Pod]
      const answered = (pod?: number) =>
        seen.filter(
          (call) =>
            ((call.isWhole && call.status === 200) || call.status === 429) &&
            (pod === undefined || call.pod === pod),
        ).length
      const more = async (count: number, pod?: number) => {
        const before = answered(pod)
        await eventually('calls are answered', () => answered(pod) >= before + count, patienceMs)
      }
      const failures = () => seen.filter(({ status }) => status !== 200 && status !== 429).length
      const failed = async () => {
        const before = failures()
        await eventually('somebody is kept out', () => failures() > before, patienceMs)
      }
      const calls = world.begin()
      await more(4)
      await valkey.client.call('SCRIPT', 'FLUSH')
      await more(2)
      way.isParted = true
      await more(2, 1)
      way.isParted = false
      other.isMute = true
      await failed()
      other.cut()
      other.isMute = false
      await more(2, 1)
      const held = way.hold()
      await failed()
      await more(2, 1)
      held.letGo()
      await more(2, 0)
      first.agent.kill('SIGSTOP')
      await more(2, 1)
      first.agent.kill('SIGCONT')
      valkey.kill('SIGSTOP')
      await failed()
      valkey.kill('SIGCONT')
      await more(4)
      await world.kill(1)
      await more(2, 1)
      const isRefused = (tenant: string) => seen.some((call) => call.tenant === tenant && call.status === 429)
      await eventually('everybody comes to the limit', () => tenants.every(isRefused), patienceMs)
      await calls.end()
      // In good order: leases come back, and what waits is delivered.
      for (const { agent } of quotas.pods) await agent[Symbol.asyncDispose]()

      for (const tenant of tenants) {
        const own = seen.filter((call) => call.tenant === tenant)
        const served = own.reduce((sum, { tokens }) => sum + tokens, 0)
        const counted = await world.counted(tenant)
        t.ok(served <= limit, `${tenant}: ${served} of ${limit} served`)
        t.ok(served <= counted, `${tenant}: ${served} served, ${counted} counted`)
        t.ok(counted <= limit, `${tenant}: ${counted} of ${limit} counted`)
        // Of a call that was not whole, or whose agent was killed later, nobody knows more than what it reserved.
        const most = own.reduce((sum, call) => {
          const isKnown = (call.isWhole && !(call.pod === 1 && call.life === 0)) || call.status === 429
          return sum + (isKnown ? call.tokens : maxTokens)
        }, 0)
        if (store === 'strict')
          t.ok(counted <= most, `${tenant}: ${counted} counted, at most ${most} can have been taken`)
      }
      t.ok(
        seen.every(({ tokens, isWhole, status }) => !isWhole || status !== 200 || tokens === answerTokens),
        'what came whole was whole',
      )
      const computed = quotas.model.calls.reduce((sum, { sent }) => sum + sent, 0)
      t.ok(computed <= tenants.length * limit, `${computed} tokens were computed`)
    },
  )
}

t.test('after the store was emptied nobody is served by agents that knew it', async (t) => {
  await using world = await startWorld('leased')
  const { valkey, seen, quotas } = world
  const calls = world.begin()
  await eventually('everybody is served', () =>
    tenants.every((tenant) =>
      [0, 1].every((pod) => seen.some((call) => call.tenant === tenant && call.pod === pod && call.isWhole)),
    ),
  )
  await calls.end()
  const [computed, before] = [quotas.model.calls.length, seen.length]
  await valkey.client.flushall()
  const later = world.begin()
  await eventually('calls are answered', () => seen.length >= before + 20, patienceMs)
  await later.end()
  t.same([...new Set(seen.slice(before).map(({ status }) => status))], [503])
  t.equal(quotas.model.calls.length, computed)
})
