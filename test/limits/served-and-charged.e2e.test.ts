import t from 'tap'
import type { LimitReport } from '#limits/admin/admin.ts'
import { run } from '../harness/run.ts'
import { eventually } from '../harness/temp.ts'
import { startValkey } from '../harness/valkey.ts'
import { aQuota, type Pod, type QuotaWorld, type Reply, startQuotaWorld } from './quota-world.ts'

const tenants = Array.from({ length: 200 }, (_, index) => `tenant-${index}`)
const root = new URL('../..', import.meta.url).pathname
const answerTokens = 24
const promptWords = 3

/** Tokens that a client read of a stream. */
const tokensIn = (text: string) => text.split('"content"').length - 1

interface Used {
  readonly tenant: string
  readonly units: number
  readonly source: string
  readonly isComplete: boolean
}

const used = (pods: readonly Pod[]): Used[] =>
  pods
    .flatMap((pod) => pod.auditLines())
    .filter((line) => line['phase'] === 'usage')
    .map((line) => ({
      tenant: String(line['tenant']),
      units: (line['charged'] as Record<string, number>)['all/tokens'] ?? 0,
      source: String(line['source']),
      isComplete: line['complete'] === true,
    }))

const show = async ({ admin }: Pod): Promise<LimitReport[]> =>
  JSON.parse(
    (
      await run(process.execPath, ['agent/main.ts', 'quota', 'show', '--admin', admin, '--json'], {
        cwd: root,
      })
    ).toString(),
  )

/** What each tenant asks for: whole answers, streams, and streams whose client leaves in the middle. */
async function everybodyAsks(world: QuotaWorld, some: readonly string[]): Promise<Map<string, Reply[]>> {
  const replies = new Map<string, Reply[]>()
  const body = (more: object) => ({
    model: 'llama',
    max_tokens: 64,
    messages: [{ role: 'user', content: 'one two three' }],
    ...more,
  })
  await Promise.all(
    some.map(async (tenant, index) => {
      const pod = world.pods[index % world.pods.length] as Pod
      const other = world.pods[(index + 1) % world.pods.length] as Pod
      replies.set(
        tenant,
        await Promise.all([
          world.ask({ pod, tenant, body: body({ stream: true }) }),
          world.ask({ pod: other, tenant, body: body({ stream: true, max_tokens: 7 + (index % 9) }) }),
          world.ask({ pod, tenant, body: body({}) }),
        ]),
      )
    }),
  )
  return replies
}

const worlds = [
  { name: 'an agent with its own memory', pods: 1, count: 200 },
  { name: 'two agents that share a Valkey', pods: 2, count: 50, store: 'strict' },
  { name: 'two agents that draw from a Valkey beforehand', pods: 2, count: 50, store: 'leased' },
] as const

for (const { name, pods, count, ...shared } of worlds) {
  const some = tenants.slice(0, count)
  t.test(`what ${count} tenants are charged for is what they were served, by ${name}`, async (t) => {
    await using valkey = 'store' in shared ? await startValkey() : undefined
    const isShared = valkey !== undefined
    await using world = await startQuotaWorld({
      tenants: some,
      pods,
      quotas: [
        aQuota({
          limits: [{ unit: 'tokens', name: 'tokens', limit: 100_000, period: { unit: 'year' }, ...shared }],
        }),
      ],
      model: { answerTokens, promptTokens: promptWords },
      // A busy machine must not make the store one that is away.
      ...(isShared && {
        limits: { store: `redis://127.0.0.1:${valkey.port}`, redis: { timeoutMs: 5000, maxInFlight: 4096 } },
      }),
    })
    const replies = await everybodyAsks(world, some)
    const lines = await eventually('each call is settled', () => {
      const now = used(world.pods)
      return now.length === 3 * some.length && now
    })
    let served = 0
    for (const [index, tenant] of some.entries()) {
      const [whole, short, plain] = replies.get(tenant) as [Reply, Reply, Reply]
      t.same([whole.status, short.status, plain.status], [200, 200, 200], tenant)
      const received = [
        tokensIn(whole.text),
        tokensIn(short.text),
        JSON.parse(plain.text).usage.completion_tokens,
      ]
      t.same(received, [answerTokens, 7 + (index % 9), answerTokens], `${tenant}: the answers came whole`)
      const expected = received.reduce((sum, tokens) => sum + tokens + promptWords, 0)
      const charged = lines
        .filter((line) => line.tenant === tenant)
        .reduce((sum, { units }) => sum + units, 0)
      t.equal(charged, expected, `${tenant}: charged what was served`)
      served += expected
    }
    t.ok(lines.every(({ source, isComplete }) => source === 'reported' && isComplete))
    const computed = world.model.calls.reduce((sum, { sent }) => sum + sent + promptWords, 0)
    t.equal(computed, served, 'and what was computed')
    await eventually('the counters say the same', async () => {
      const asked = isShared ? world.pods.slice(0, 1) : world.pods
      let counted = 0
      for (const pod of asked) for (const { used: units } of await show(pod)) counted += units
      return counted === served
    })
  })
}

t.test('clients that go away in the middle are charged what they were sent', async (t) => {
  // No token is sent before the client has seen those that came well before it.
  const seen = new Map<string, number>()
  await using world = await startQuotaWorld({
    tenants: tenants.slice(0, 20),
    quotas: [
      aQuota({
        limits: [{ unit: 'outputTokens', name: 'tokens', limit: 100_000, period: { unit: 'year' } }],
      }),
    ],
    model: {
      answerTokens: 400,
      before: async (call, index) => {
        const { user } = JSON.parse(call.body.toString()) as { readonly user: string }
        await eventually(
          'the client has read',
          () => call.state !== 'answering' || (seen.get(user) ?? 0) >= index - 5,
        )
        return undefined
      },
    },
  })
  const [pod] = world.pods as [Pod]
  await Promise.all(
    tenants.slice(0, 20).map((tenant, index) =>
      world
        .ask({
          pod,
          tenant,
          body: {
            model: 'llama',
            user: tenant,
            stream: true,
            max_tokens: 400,
            messages: [{ role: 'user', content: 'hello' }],
          },
          leave: (text) => {
            seen.set(tenant, tokensIn(text))
            return tokensIn(text) >= 10 + index
          },
        })
        .catch(() => undefined),
    ),
  )
  const lines = await eventually('each call is settled', () => {
    const now = used([pod])
    return now.length === 20 && now
  })
  for (const [index, tenant] of tenants.slice(0, 20).entries()) {
    const line = lines.find((each) => each.tenant === tenant) as Used
    const sent = world.model.calls.find((call) => call.body.includes(`"${tenant}"`))?.sent ?? 0
    t.equal(line.isComplete, false, tenant)
    t.ok(line.units >= 10 + index, `${tenant}: ${line.units}, at least what it read`)
    t.ok(
      line.units <= Math.max(sent, 10 + index) + 40,
      `${tenant}: ${line.units}, no more than was sent (${sent})`,
    )
  }
})

t.test('a stream whose quota runs out is ended, and no tenant gets more than there is', async (t) => {
  const some = tenants.slice(0, 12)
  const limit = 100
  await using world = await startQuotaWorld({
    tenants: some,
    pods: 1,
    quotas: [
      aQuota({
        limits: [{ unit: 'outputTokens', name: 'tokens', limit, period: { unit: 'year' } }],
        reserve: { slice: 16 },
      }),
    ],
    model: { answerTokens: 60 },
  })
  const [pod] = world.pods as [Pod]
  const replies = await Promise.all(
    some.flatMap((tenant) =>
      Array.from({ length: 4 }, () =>
        world
          .ask({
            pod,
            tenant,
            body: { model: 'llama', stream: true, messages: [{ role: 'user', content: 'hello' }] },
          })
          .then((reply) => ({ tenant, reply })),
      ),
    ),
  )
  const admitted = replies.filter(({ reply }) => reply.status === 200).length
  const lines = await eventually('each call that was let in is settled', () => {
    const now = used([pod])
    return now.length === admitted && now
  })
  for (const tenant of some) {
    const served = replies
      .filter((each) => each.tenant === tenant)
      .reduce((sum, { reply }) => sum + (reply.status === 200 ? tokensIn(reply.text) : 0), 0)
    const charged = lines.filter((line) => line.tenant === tenant).reduce((sum, { units }) => sum + units, 0)
    t.equal(charged, served, `${tenant}: charged what was served`)
    t.ok(served <= limit, `${tenant}: ${served}`)
  }
})
