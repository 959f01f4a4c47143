import t from 'tap'
import { reasons } from '#decision/reasons.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, allowWith } from '#decision/verdict.ts'
import { createGate } from '../harness/gate.ts'
import { streamCall } from '../harness/grpc.ts'
import { startGrpcStream } from '../harness/grpc-stream-server.ts'
import { type OpenAiServer, startOpenAiServer } from '../harness/openai-server.ts'
import { openStream } from '../harness/stream-client.ts'
import { eventually } from '../harness/temp.ts'
import { inferFrame, type Kit, kit } from './kit.ts'
import { startMeteringWorld } from './metering-world.ts'
import { type MeterScript, meterScript } from './scripted-meter.ts'

const path = '/v1/chat/completions'
const protocols = ['http/1.1', 'h2'] as const
const ask = (more: object = {}) =>
  JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'a b c' }], ...more })
const stream = ask({ stream: true })
const json = { 'content-type': 'application/json' }

/** A pipeline whose calls are measured by scripts that a test sets. */
function scripted(more: Pick<Stage, 'response' | 'end'> = {}) {
  const now: { script: MeterScript; request?: () => ReturnType<NonNullable<Stage['request']>> } = {
    script: meterScript(),
  }
  const bench = kit({
    ...more,
    request: (x) => {
      x.meter = now.script.meter
      x.hold = now.script.hold
      return now.request?.() ?? ALLOW
    },
  })
  return { bench, now }
}

const ended = (bench: Kit, count: number) =>
  eventually('every exchange is ended', () => {
    const ends = [...bench.ends.values()]
    return ends.length === count && ends.every((times) => times === 1)
  })

t.test('answers are measured whole, and reach the client as the meter gives them', async (t) => {
  await using server = await startOpenAiServer({ answerTokens: 5 })
  const { bench, now } = scripted()
  await using world = await startMeteringWorld({ kit: bench, httpPort: server.port })
  const { port, told } = world
  const withUsage = ask({ stream: true, stream_options: { include_usage: true } })
  let calls = 0
  for (const protocol of protocols) {
    // Byte by byte another, and as many.
    now.script = meterScript({
      change: (piece) => Buffer.from(Buffer.from(piece).toString().replaceAll('usage', 'USAGE')),
    })
    const answer = await openStream({ port, protocol, path, body: withUsage, headers: json })
    t.equal(await answer.ended, 'complete')
    await ended(bench, ++calls)
    const fed = now.script.fed().toString()
    t.match(fed, /"completion_tokens":5.*\[DONE\]/s)
    t.equal(answer.text(), fed.replaceAll('usage', 'USAGE'))
    t.equal(now.script.meter.metered().isComplete, true)
    t.match(now.script.told[0], /^begin 200 text\/event-stream/)

    told.length = 0
    now.script = meterScript()
    const whole = await openStream({ port, protocol, path, body: ask(), headers: json })
    t.equal(await whole.ended, 'complete')
    await ended(bench, ++calls)
    t.equal(whole.text(), now.script.fed().toString())
    t.equal(whole.headers['content-length'], String(whole.text().length), 'the length stays')
    t.equal(now.script.meter.metered().isComplete, true)
    t.equal(told.filter((kind) => kind === 'response_body').length, 1)

    told.length = 0
    now.script = meterScript({ isMetered: false })
    for (const body of [ask(), stream]) {
      const free = await openStream({ port, protocol, path, body, headers: json })
      t.equal(await free.ended, 'complete')
      await ended(bench, ++calls)
    }
    t.notOk(told.includes('response_body'), 'what is not measured is not shown')
    t.same(now.script.told, [])
  }
})

t.test('a stream whose quota is used up says goodbye, and the model server is told to stop', async (t) => {
  for (const protocol of protocols) {
    const gate = createGate()
    await using server = await startOpenAiServer({ before: (_, index) => gate.pass(index) })
    const { bench, now } = scripted()
    await using world = await startMeteringWorld({ kit: bench, httpPort: server.port })
    gate.open(1)
    now.script = meterScript({ allowedBytes: 250, farewell: 'data: stopped\n\ndata: [DONE]\n\n: ' })
    const { port } = world
    const answer = await openStream({ port, protocol, path, body: stream, headers: json })
    await eventually('the first token is shown', () => answer.text().includes('t0'))
    const before = answer.text()
    gate.open(2)
    t.equal(await answer.ended, 'complete', protocol)
    const rest = answer.text().slice(before.length)
    t.ok(rest.endsWith(`data: stopped\n\ndata: [DONE]\n\n:  ${reasons.quota_exceeded.text}`), rest)
    t.match(rest, /t1/, 'what was measured is given')
    await eventually('the model server sees it', () => server.calls[0]?.state === 'cancelled')
    await ended(bench, 1)
    t.equal(now.script.meter.metered().isComplete, false)
    t.match(now.script.fed().toString(), /t1/, 'what was computed is counted')
  }
})

t.test('an answer that breaks off is measured as far as it was seen', async (t) => {
  const ways: [name: string, breakOff: (parts: Parts) => void | Promise<void>, end: string][] = [
    ['the client goes away', ({ answer }) => answer.cancel(), 'broken'],
    ['the model server breaks off', ({ gate }) => gate.open(3), 'broken'],
    ['the agent ends', ({ world }) => world.stopAgent(), 'broken'],
    ['Envoy dies', ({ world }) => void process.kill(world.envoy.pid, 'SIGKILL'), 'broken'],
  ]
  for (const protocol of protocols) {
    for (const [name, breakOff, end] of ways) {
      const gate = createGate()
      await using server = await startOpenAiServer({
        before: async (_, index) => {
          await gate.pass(index)
          return index === 2 ? 'break' : undefined
        },
      })
      const { bench, now } = scripted()
      await using world = await startMeteringWorld({ kit: bench, httpPort: server.port })
      gate.open(2)
      now.script = meterScript()
      const { port } = world
      const answer = await openStream({ port, protocol, path, body: stream, headers: json })
      await eventually('two tokens are shown', () => answer.text().includes('t1'))
      t.same([...bench.ends.values()], [0], `${name}: not before its end`)
      await breakOff({ answer, gate, world })
      t.equal(await answer.ended, end, `${name}, ${protocol}`)
      await ended(bench, 1)
      t.match(now.script.fed().toString(), /t0.*t1/s, name)
      t.equal(now.script.meter.metered().isComplete, false, name)
      await eventually('the model server is free', () => server.calls[0]?.state !== 'answering')
    }
  }
})

interface Parts {
  readonly answer: Awaited<ReturnType<typeof openStream>>
  readonly gate: ReturnType<typeof createGate>
  readonly world: Awaited<ReturnType<typeof startMeteringWorld>>
}

t.test('a stream is never kept back, also where policy judges whole answers', async (t) => {
  const gate = createGate()
  await using server = await startOpenAiServer({ before: (_, index) => gate.pass(index) })
  const judged: unknown[] = []
  const { bench, now } = scripted({
    response: ({ served }) => {
      judged.push(served?.body?.toString())
      return ALLOW
    },
  })
  const config = { policy: { bundle: 'policy.tar.gz', response: { body: 'json' } } }
  await using world = await startMeteringWorld({ kit: bench, httpPort: server.port, config })
  const { port, told } = world
  for (const isMetered of [true, false]) {
    now.script = meterScript({ isMetered })
    told.length = 0
    gate.open(1)
    const answer = await openStream({ port, protocol: 'http/1.1', path, body: stream, headers: json })
    await eventually('the first token comes before the second is made', () => answer.text().includes('t0'))
    gate.open(99)
    t.equal(await answer.ended, 'complete')
    t.equal(told.includes('response_body'), isMetered)
    gate.open(0)
  }
  now.script = meterScript()
  const whole = await openStream({ port, protocol: 'http/1.1', path, body: ask(), headers: json })
  t.equal(await whole.ended, 'complete')
  t.same(judged, [undefined, undefined, whole.text()], 'whole answers are judged whole')
  t.equal(now.script.fed().toString(), whole.text(), 'and fed once')
})

t.test('a changed request reaches the model server whole, and a large one is seen in part', async (t) => {
  await using server: OpenAiServer = await startOpenAiServer()
  const { bench, now } = scripted()
  await using world = await startMeteringWorld({ kit: bench, httpPort: server.port })
  const { port } = world
  const changed = ask({ stream: false, max_tokens: 3, padding: 'longer' })
  now.request = () => allowWith({ requestBody: Buffer.from(changed) })
  const rows = [
    ['http/1.1', false],
    ['http/1.1', true],
    ['h2', false],
  ] as const
  for (const [protocol, isChunked] of rows) {
    const answer = await openStream({ port, protocol, path, body: ask(), headers: json, isChunked })
    t.equal(await answer.ended, 'complete')
    t.equal(answer.status, 200)
    t.equal(server.calls.at(-1)?.body.toString(), changed, `${protocol}, in chunks: ${isChunked}`)
    t.match(answer.text(), /"completion_tokens":3/)
  }

  const seen: unknown[] = []
  const watching = kit({
    request: ({ request }) => {
      seen.push(request.isBodyComplete, (request.body?.length ?? 0) > 500_000)
      return ALLOW
    },
  })
  await using other = await startMeteringWorld({ kit: watching, httpPort: server.port })
  const large = ask({ padding: 'x'.repeat(9 << 20) })
  for (const protocol of protocols) {
    // A model in the body has to be seen; that of the path need not be.
    const answer = await openStream({
      port: other.port,
      protocol,
      path: '/v2/models/chat/infer',
      body: large,
    })
    await answer.ended
    t.equal(server.calls.at(-1)?.body.length, large.length, `${protocol}: it arrives whole`)
  }
  t.same(seen, [false, true, false, true], 'never more than an agent takes in one message')
})

t.test(
  'answers over gRPC are measured to their trailers, and reset where their quota is used up',
  async (t) => {
    const method = '/inference.GRPCInferenceService/ModelStreamInfer'
    const message = inferFrame().subarray(5)
    const gate = createGate()
    await using server = await startGrpcStream({ before: (index) => gate.pass(index) })
    const { bench, now } = scripted()
    await using world = await startMeteringWorld({ kit: bench, grpcPort: server.port })
    const { port } = world
    gate.open(3)
    for (const name of ['ModelStreamInfer', 'ModelInfer']) {
      now.script = meterScript()
      const whole = streamCall({ port, method: `/inference.GRPCInferenceService/${name}`, message })
      t.equal(await whole.status, 0, name)
      t.same(whole.got, ['m0', 'm1', 'm2'])
      await eventually('it is measured', () => now.script.meter.metered().isComplete)
      t.equal(now.script.fed().length, 3 * 7, 'every frame')
    }
    await ended(bench, 2)
    gate.open(1)
    const frameHead = `\0\0\0\0${String.fromCharCode(`bye ${reasons.quota_exceeded.text}`.length)}`
    now.script = meterScript({ allowedBytes: 7, farewell: `${frameHead}bye` })
    const stopped = streamCall({ port, method, message })
    await eventually('the first message is shown', () => stopped.got.length === 1)
    gate.open(2)
    t.equal(await stopped.status, 13, 'a client is told that it broke off')
    t.same(stopped.got, ['m0', 'm1', `bye ${reasons.quota_exceeded.text}`], 'after a message that says why')
    await eventually('the model server sees it', () => server.cancelled() === 1)
    await ended(bench, 3)
    t.equal(now.script.meter.metered().isComplete, false)
  },
)
