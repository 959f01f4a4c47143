import t from 'tap'
import type { OverloadOptions } from '#limits/overload/overload.ts'
import { virtualTime } from '../../base/virtual-time.ts'
import { oneAtATime, setting } from './a-stage.ts'

/** A model server that has done so much since it began; `undefined` for one that cannot be reached. */
interface Done {
  completed: number
  queueUs: number
}

function measured() {
  const time = virtualTime()
  const server: { done: Done | undefined } = { done: { completed: 0, queueUs: 0 } }
  const scraping: OverloadOptions['scraping'] = {
    pause: time.pause,
    get: async () => {
      if (server.done === undefined) throw new Error('connection refused')
      const { completed, queueUs } = server.done
      const labels = '{model="fraud",version="1"}'
      const page = [
        `nv_inference_request_success${labels} ${completed}`,
        `nv_inference_request_duration_us${labels} ${queueUs + completed * 1000}`,
        `nv_inference_queue_duration_us${labels} ${queueUs}`,
        `nv_inference_pending_request_count${labels} 3`,
      ]
      return { status: 200, body: Buffer.from(page.join('\n')) }
    },
  }
  const concurrency = { floor: 2, initial: 16, ceiling: 64, queueTargetMs: 10 }
  const models = [{ models: ['*'], concurrency, queue: { total: 100, perTenant: 100, waitMs: 1e5 } }]
  const metrics = { address: '127.0.0.1:8002', intervalMs: 500 }
  const world = setting({ models, metrics }, { clock: time.clock, scraping })
  return {
    world,
    server,
    model: () => world.overload.readings().models[0],
    /** One period in which so many calls ended, having waited so long. */
    period: async (completed: number, queueMs: number) => {
      if (server.done !== undefined) {
        server.done.completed += completed
        server.done.queueUs += completed * queueMs * 1000
      }
      await time.advance(500)
    },
    close: () => world.overload[Symbol.asyncDispose](),
  }
}

const version = { route: { version: '1', by: 'asked' } } as const

t.test('the limit follows the queue of the model server, and calls that wait follow the limit', async (t) => {
  const { world, model, period, close } = measured()
  for (let i = 0; i < 30; i++) world.ask('acme', version)
  t.match(model(), { inFlight: 16, limit: 16, waiting: { standard: 14 } })
  await period(0, 0)
  await period(100, 0)
  t.match(model(), { inFlight: 20, limit: 20, waiting: { standard: 10 }, queueMs: 0, pending: 3 })
  await period(100, 40)
  t.match(model(), { limit: 10, inFlight: 20, queueMs: 40 }, 'nothing that runs is taken back')
  t.ok((model()?.utilization ?? 0) >= 4)
  await close()
})

t.test(
  'while nothing is measured the limit holds for three periods, then goes back to where it began',
  async (t) => {
    const { world, server, model, period, close } = measured()
    for (let i = 0; i < 60; i++) world.ask('acme', version)
    await period(0, 0)
    for (let i = 0; i < 4; i++) await period(100, 40)
    const learnt = model()?.limit ?? 0
    t.ok(learnt < 8, String(learnt))
    const { done } = server
    server.done = undefined
    for (let i = 0; i < 3; i++) await period(0, 0)
    t.equal(model()?.limit, learnt)
    await period(0, 0)
    t.ok((model()?.limit ?? 0) > learnt)
    for (let i = 0; i < 10; i++) await period(0, 0)
    t.equal(model()?.limit, 16)
    t.match(world.overload.readings(), { metricsProblem: 'connection refused' })
    server.done = done
    await period(0, 0)
    t.equal(world.overload.readings().metricsProblem, undefined)
    t.same(world.events, [
      { kind: 'metrics' },
      { kind: 'metrics', problem: 'connection refused' },
      { kind: 'metrics' },
    ])
    await close()
  },
)

t.test('without metrics the limit is the one that was written', async (t) => {
  const world = setting(oneAtATime)
  world.ask('a')
  t.match(world.overload.readings(), {
    models: [{ limit: 1, queueMs: undefined }],
    metricsProblem: undefined,
  })
})
