import { request } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createCanonicalStage } from '#canonical/canonical.ts'
import { overloadSchema } from '#config/overload-schema.ts'
import { createPipeline } from '#decision/pipeline.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW } from '#decision/verdict.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { typed } from '#envoy/bootstrap/types.ts'
import { startEnvoyServer } from '#envoy/envoy.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { openOverload } from '#limits/overload/overload.ts'
import { noResources } from '#resources/resources.ts'
import { createLogger } from '#telemetry/telemetry.ts'
import { acme } from '../../decision/an-exchange.ts'
import { startEnvoy } from '../../harness/envoy.ts'
import { type HeldServer, startHeldServer } from '../../harness/held-server.ts'
import { type HttpAnswer, http } from '../../harness/http.ts'
import { plainListener } from '../../harness/listener.ts'
import { freePorts } from '../../harness/ports.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'

const path = '/v2/models/fraud/infer'
const body = '{"inputs":[]}'

/** Who calls stands in a header, in place of an identity. */
const tenantStage: Stage = {
  name: 'tenant',
  failureReason: 'internal_error',
  request: (x) => {
    x.tenant = { ...acme, name: x.request.headers.single('x-test-tenant') ?? 'nobody' }
    return ALLOW
  },
}

interface Served {
  readonly model: HeldServer
  ask(tenant: string, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer>
  /** Sends a call whose client can go away. */
  askAndLeave(tenant: string): () => void
  load(): { readonly inFlight: number; readonly waiting: number }
}

/** A real Envoy between clients and a model server that answers when told, one call at a time let through. */
async function serve(t: Test, queue: object): Promise<Served> {
  const opening = new AsyncDisposableStack()
  t.teardown(() => opening.disposeAsync())
  const { path: folder } = opening.use(temporaryFolder())
  const model = opening.use(await startHeldServer())
  const settings = overloadSchema.parse({
    models: [{ models: ['*'], concurrency: { floor: 1, initial: 1, ceiling: 1 }, queue }],
    reportLoad: true,
  })
  const overload = opening.use(openOverload({ settings, onEvent: () => {} }))
  const pipeline = createPipeline({
    stages: [
      createCanonicalStage({ isStrict: false, tenantHeaders: [] }),
      tenantStage,
      createInferenceStage(),
      overload.stage,
    ],
    resources: () => noResources,
    deadlineMs: 60_000,
  })
  const address = `unix:${join(folder, 'agent.sock')}`
  opening.use(
    await startEnvoyServer({
      listen: address,
      pipeline,
      isReady: () => true,
      maxMessageBytes: 1 << 20,
      firstMessageTimeoutMs: 60_000,
      log: createLogger('error'),
    }),
  )
  const [port] = (await freePorts(1)) as [number]
  const filter = typed('envoy.filters.http.ext_proc', 'extProc', {
    grpc_service: { envoy_grpc: { cluster_name: 'sluice' }, timeout: '0s' },
    message_timeout: '60s',
  })
  const clusters = [
    cluster({ name: 'sluice', address, isHttp2: true }),
    cluster({ name: 'upstream', address: `127.0.0.1:${model.port}`, isHttp2: false }),
  ]
  const listeners = [plainListener({ name: 'main', port, filter })]
  opening.use(await startEnvoy({ static_resources: { listeners, clusters } }))
  return {
    model,
    ask: (tenant, headers) => http({ port, path, body, headers: { 'x-test-tenant': tenant, ...headers } }),
    askAndLeave: (tenant) => {
      const options = { host: '127.0.0.1', port, path, method: 'POST', headers: { 'x-test-tenant': tenant } }
      const sent = request(options)
      sent.on('error', () => {})
      sent.end(body)
      return () => sent.destroy()
    },
    load: () => {
      const [now] = overload.readings().models
      const waiting = Object.values(now?.waiting ?? {}).reduce((sum, each) => sum + each, 0)
      return { inFlight: now?.inFlight ?? 0, waiting }
    },
  }
}

/** Answers calls in the order they come, until so many came. */
async function answerAll({ model }: Served, count: number): Promise<string[]> {
  for (let i = 0; i < count; i++) {
    const call = await eventually(`call ${i}`, () => model.calls[i])
    call.answer()
  }
  return model.calls.map(({ headers }) => String(headers['x-test-tenant']))
}

const isWaiting = (world: Served, count: number) =>
  eventually(`${count} calls wait`, () => world.load().waiting === count)

t.test('behind a burst of one tenant the other is served as if there were none', async (t) => {
  const world = await serve(t, { total: 100, perTenant: 50, waitMs: 60_000 })
  const burst = Array.from({ length: 20 }, () => world.ask('acme'))
  await isWaiting(world, 19)
  const others = ['globex', 'globex', 'globex'].map((tenant) => world.ask(tenant))
  await isWaiting(world, 22)
  await eventually('one runs', () => world.model.calls.length > 0)
  t.equal(world.model.calls.length, 1, 'the model server sees one call at a time')
  const order = await answerAll(world, 23)
  const answers = await Promise.all([...burst, ...others])
  t.ok(answers.every(({ status }) => status === 200))
  t.ok(order.lastIndexOf('globex') <= 6, order.join(' '))
  await eventually('every place is free', () => world.load().inFlight === 0)
})

t.test('refusals say what is wrong and when to come again', async (t) => {
  const world = await serve(t, { total: 2, perTenant: 1, waitMs: 60_000, retryAfterSeconds: 4 })
  const kept = [world.ask('acme')]
  await eventually('it runs', () => world.model.calls.length === 1)
  kept.push(world.ask('acme'))
  await isWaiting(world, 1)
  const own = await world.ask('acme', { accept: 'application/json' })
  t.match(own, { status: 429, headers: { 'retry-after': '4' }, body: /queue-full/ })
  kept.push(world.ask('globex'))
  await isWaiting(world, 2)
  const other = await world.ask('umbrella', { accept: 'application/json' })
  t.match(other, { status: 503, headers: { 'retry-after': '4' }, body: /temporary-reduced-capacity/ })
  await answerAll(world, 3)
  t.same(
    (await Promise.all(kept)).map(({ status }) => status),
    [200, 200, 200],
  )
})

t.test('who waits too long is told so', async (t) => {
  const world = await serve(t, { waitMs: 50 })
  const first = world.ask('acme')
  await eventually('it runs', () => world.model.calls.length === 1)
  t.match(await world.ask('acme'), { status: 503, headers: { 'retry-after': '1' } })
  await answerAll(world, 1)
  t.equal((await first).status, 200)
})

t.test('clients that go away, while they wait or are served, leave no place behind', async (t) => {
  const world = await serve(t, { total: 100, perTenant: 50, waitMs: 60_000 })
  const leaveServed = world.askAndLeave('acme')
  await eventually('it runs', () => world.model.calls.length === 1)
  const leaving = Array.from({ length: 5 }, () => world.askAndLeave('acme'))
  await isWaiting(world, 5)
  const staying = world.ask('acme')
  await isWaiting(world, 6)
  for (const leave of leaving) leave()
  leaveServed()
  const call = await eventually('the one that stayed', () =>
    world.model.calls.find((_, index) => index === 1),
  )
  call.answer()
  t.equal((await staying).status, 200)
  await eventually('every place is free', () => world.load().inFlight + world.load().waiting === 0)
})

t.test(
  'nothing that a client says of urgency reaches the model server, and answers tell the load',
  async (t) => {
    const world = await serve(t, {})
    const asked = world.ask('acme', {
      'x-gateway-inference-fairness-id': 'globex',
      'x-gateway-inference-objective': 'urgent',
      'endpoint-load-metrics-format': 'json',
      'x-other': 'kept',
    })
    await answerAll(world, 1)
    t.equal((await asked).headers['endpoint-load-metrics'], 'TEXT application_utilization=1.000')
    const names = Object.keys(world.model.calls[0]?.headers ?? {})
    t.ok(names.includes('x-other'))
    t.notOk(names.some((name) => name.startsWith('x-gateway-') || name.startsWith('endpoint-')))
  },
)
