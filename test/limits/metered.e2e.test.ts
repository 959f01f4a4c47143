import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import { createPipeline } from '#decision/pipeline.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { createLogger } from '#telemetry/telemetry.ts'
import { createLimitsStage } from '../../agent/limits/limits.ts'
import { createMemoryStore } from '../../agent/limits/store/memory.ts'
import { manualClock, someResources, strictForm } from '../decision/an-exchange.ts'
import { startMeteringWorld } from '../envoy/metering-world.ts'
import { http } from '../harness/http.ts'
import { startOpenAiServer } from '../harness/openai-server.ts'
import { openStream } from '../harness/stream-client.ts'
import { eventually } from '../harness/temp.ts'
import { aPolicy } from './a-quota.ts'

async function world(policy: Parameters<typeof aPolicy>[0], tokensOfAnswer: number) {
  const clock = manualClock()
  const settled: NonNullable<Exchange['settled']>[] = []
  const pipeline = createPipeline({
    stages: [
      strictForm,
      createInferenceStage(),
      createLimitsStage({
        store: createMemoryStore({ clock }),
        clock,
        observer: { onSettled: (_x, each) => void settled.push(each) },
      }),
    ],
    resources: () =>
      someResources({ quotas: [aPolicy({ tenants: ['*'], scope: [], ...policy })], routes: new Map() }),
    deadlineMs: 10_000,
  })
  const logged: string[] = []
  const log = createLogger('debug', { write: (line: string) => void logged.push(line) })
  // No token is sent before the client has seen those that came well before it.
  let seen = () => Number.POSITIVE_INFINITY
  const model = await startOpenAiServer({
    answerTokens: tokensOfAnswer,
    promptTokens: 5,
    before: async (call, index) => {
      await eventually('the client has read', () => call.state !== 'answering' || seen() >= index - 10)
      return undefined
    },
  })
  const envoy = await startMeteringWorld({
    kit: { pipeline, log, logged, ends: new Map() },
    httpPort: model.port,
  })
  return {
    port: envoy.port,
    model,
    settled,
    logged,
    /** Has the server wait for what a client reads. */
    follow: (text: () => string) => {
      seen = () => text().split('"content"').length - 1
    },
    [Symbol.asyncDispose]: async () => {
      await envoy[Symbol.asyncDispose]()
      await model[Symbol.asyncDispose]()
    },
  }
}

const path = '/v1/chat/completions'
const headers = { 'content-type': 'application/json' }
const ask = (more: object) =>
  JSON.stringify({ model: 'fraud', messages: [{ role: 'user', content: 'hello there' }], ...more })
const tokens = { unit: 'tokens', kind: 'sliding', limit: 1000, window: '1h' }
const leftOf = (answer: { readonly headers: Readonly<Record<string, unknown>> }) =>
  Number(/;r=([0-9]+)/.exec(String(answer.headers['ratelimit']))?.[1])

t.test(
  'a call through a real Envoy is reserved at its bound and settled at what the server reports',
  async (t) => {
    await using it = await world({ limits: [tokens] }, 40)
    const first = await http({ port: it.port, path, headers, body: ask({ max_tokens: 100 }) })
    t.equal(first.status, 200, first.body)
    await eventually('a settlement', () => it.settled.length === 1)
    t.match(it.settled[0], {
      source: 'reported',
      isComplete: true,
      usage: { inputTokens: 5, outputTokens: 40 },
    })
    t.match(it.settled[0]?.charges, [{ limit: 'q/tokens-1h', units: 45 }])
    const second = await http({ port: it.port, path, headers, body: ask({ max_tokens: 100 }) })
    t.equal(leftOf(first) - leftOf(second), 45)
    t.equal(it.model.calls[0]?.headers['accept-encoding'], 'identity')
  },
)

t.test('a stream is asked to report, and its client does not see the report', async (t) => {
  await using it = await world({ limits: [tokens] }, 30)
  const stream = await openStream({
    port: it.port,
    protocol: 'http/1.1',
    path,
    headers,
    body: ask({ stream: true, max_tokens: 50 }),
  })
  t.equal(await stream.ended, 'complete')
  await eventually('a settlement', () => it.settled.length === 1)
  t.match(it.settled[0], { source: 'reported', usage: { inputTokens: 5, outputTokens: 30 } })
  t.match(it.model.calls[0]?.body.toString(), /"include_usage": ?true/)
  t.notMatch(stream.text(), /"usage":\{/)
})

t.test('a stream whose quota is used up is ended, and charged what was sent of it', async (t) => {
  const policy = { limits: [{ ...tokens, unit: 'outputTokens', limit: 60 }], reserve: { slice: 20 } }
  for (const protocol of ['http/1.1', 'h2'] as const) {
    await using it = await world(policy, 500)
    it.follow(() => '')
    const opened = openStream({ port: it.port, protocol, path, headers, body: ask({ stream: true }) })
    const stream = await opened
    it.follow(stream.text)
    t.equal(stream.status, 200)
    await stream.ended
    await eventually('a settlement', () => it.settled.length === 1)
    const units = it.settled[0]?.charges[0]?.units ?? 0
    t.ok(units >= 60 && units <= 60 + 20, `${protocol}: ${units}`)
    const again = await http({ port: it.port, path, headers, body: ask({ stream: true }) })
    t.equal(again.status, 429)
    t.match(JSON.parse(again.body), { error: { code: 'rate_limit_exceeded' } })
  }
})

t.test('as many limits as somebody writes break no answer, granted or refused', async (t) => {
  for (const mode of ['enforce', 'soft'] as const) {
    const limits = Array.from({ length: 1000 }, (_, index) => ({
      ...{ unit: 'tokens', kind: 'sliding', limit: 150, window: '1h', mode },
      name: `a-limit-with-a-long-name-${index}`,
    }))
    await using it = await world({ limits }, 100)
    const call = () => http({ port: it.port, path, headers, body: ask({ max_tokens: 10 }) })
    const statuses: number[] = []
    for (let i = 0; i < 14; i++) statuses.push((await call()).status)
    t.equal(statuses[0], 200)
    t.equal(statuses.at(-1), mode === 'enforce' ? 429 : 200, statuses.join(' '))
  }
})
