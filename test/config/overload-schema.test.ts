import t from 'tap'
import { overloadSchema } from '#config/overload-schema.ts'

const valid = { models: [{ models: ['*'] }] }

t.test('one line is enough', async (t) => {
  t.match(overloadSchema.parse(valid), {
    models: [
      {
        concurrency: { floor: 4, ceiling: 1024, queueTargetMs: 50 },
        queue: { total: 256, perTenant: 64, waitMs: 2000 },
        cost: 'requests',
        breaker: undefined,
      },
    ],
    tenants: [],
    reportLoad: false,
    metrics: undefined,
    anomaly: undefined,
  })
})

t.test('what cannot be meant is refused with its place', async (t) => {
  const model = (more: object) => ({ models: [{ models: ['*'], ...more }] })
  const rows: readonly (readonly [what: string, config: object, place: string])[] = [
    ['nothing', {}, 'models'],
    ['no model', { models: [] }, 'models'],
    ['a pattern that is none', { models: [{ models: ['*a'] }] }, 'models.0.models.0'],
    ['an unknown key', model({ floor: 1 }), 'models.0'],
    [
      'a floor above the ceiling',
      model({ concurrency: { floor: 9, ceiling: 8 } }),
      'models.0.concurrency.initial',
    ],
    [
      'a start below the floor',
      model({ concurrency: { floor: 9, initial: 8 } }),
      'models.0.concurrency.initial',
    ],
    ['no floor', model({ concurrency: { floor: 0 } }), 'models.0.concurrency.floor'],
    ['no target', model({ concurrency: { queueTargetMs: 0 } }), 'models.0.concurrency.queueTargetMs'],
    [
      'less than open',
      model({ breaker: { openSeconds: 9, maxOpenSeconds: 8 } }),
      'models.0.breaker.maxOpenSeconds',
    ],
    ['metrics of elsewhere', { ...valid, metrics: { address: '10.0.0.1:8002' } }, 'metrics.address'],
    ['a port that is none', { ...valid, metrics: { address: '127.0.0.1:99999' } }, 'metrics.address'],
    ['too often', { ...valid, metrics: { address: 'unix:/m', intervalMs: 10 } }, 'metrics.intervalMs'],
    ['an unknown band', { ...valid, tenants: [{ tenants: ['a'], band: 'gold' }] }, 'tenants.0.band'],
    ['no weight', { ...valid, tenants: [{ tenants: ['a'], weight: 0 }] }, 'tenants.0.weight'],
    ['an unknown action', { ...valid, anomaly: { action: 'kill' } }, 'anomaly.action'],
  ]
  for (const [what, config, place] of rows) {
    const { error } = overloadSchema.safeParse(config)
    t.equal(error?.issues[0]?.path.join('.'), place, what)
  }
})
