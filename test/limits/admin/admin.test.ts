import t from 'tap'
import { createQuotaAdmin } from '#limits/admin/admin.ts'
import { createLimitsStage } from '#limits/limits.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import type { QuotaStore } from '../../../agent/limits/store/store.ts'
import { acme, anExchange, manualClock, someResources } from '../../decision/an-exchange.ts'
import { aPolicy, infer } from '../a-quota.ts'

const day = { unit: 'requests', name: 'daily', limit: 10, period: { unit: 'day' } }
const globex = { ...acme, name: 'globex' }

function setUp(around: (store: QuotaStore) => QuotaStore = (store) => store) {
  const clock = manualClock()
  const store = around(createMemoryStore({ clock }))
  const resources = someResources({
    tenants: [acme, globex],
    quotas: [
      aPolicy({ tenants: ['*'], limits: [day] }, 'all'),
      aPolicy(
        {
          tenants: ['acme'],
          scope: ['tenant', 'model'],
          limits: [{ unit: 'inferences', rate: 5, window: '1m' }],
        },
        'models',
      ),
      aPolicy({ tenants: ['acme'], limits: [{ unit: 'concurrency', max: 3 }] }, 'slots'),
    ],
  })
  const changes: unknown[] = []
  const admin = createQuotaAdmin({
    store,
    resources: () => resources,
    leaseMs: 0,
    onChange: (change) => changes.push(change),
  })
  const stage = createLimitsStage({ store, clock })
  let calls = 0
  const call = () => stage.request?.(anExchange({ id: `call-${++calls}`, resources, call: infer('fraud') }))
  const query = (text: string) => new URLSearchParams(text)
  return { admin, call, query, changes }
}

t.test('what is used and left is shown, of one tenant or of each', async (t) => {
  const { admin, call, query } = setUp()
  for (let i = 0; i < 3; i++) call()
  t.match(await admin.show(query('tenant=acme&model=fraud')), [
    { limit: 'all/daily', tenant: 'acme', quota: 10, used: 3, remaining: 7, kind: 'calendar' },
    { limit: 'models/inferences-1m', used: 3, remaining: 2 },
    { limit: 'slots/concurrency', used: 3, remaining: 0 },
  ])
  const all = await admin.show(query('limit=all/daily'))
  t.same(
    all.map(({ tenant, used }) => [tenant, used]),
    [
      ['acme', 3],
      ['globex', 0],
      [undefined, 0],
    ],
    'and of calls without a tenant, which count as one more',
  )
})

t.test('a call is explained without being charged', async (t) => {
  const { admin, call, query } = setUp()
  for (let i = 0; i < 2; i++) call()
  const asked = 'tenant=acme&model=fraud&inferences=4'
  t.match(await admin.explain(query(asked)), {
    answer: 'refused',
    limits: [
      { limit: 'all/daily', cost: 1, answer: 'granted' },
      { limit: 'models/inferences-1m', cost: 4, remaining: 3, answer: 'over', retrySeconds: 12 },
      { limit: 'slots/concurrency', cost: 1, answer: 'granted' },
    ],
  })
  t.match(await admin.explain(query('tenant=acme&model=fraud&inferences=6')), {
    limits: [{}, { answer: 'never' }, {}],
  })
  t.same(await admin.explain(query(asked)), await admin.explain(query(asked)), 'asking changes nothing')
})

t.test('units are given back and forgotten, and each change is told', async (t) => {
  const { admin, call, query, changes } = setUp()
  for (let i = 0; i < 3; i++) call()
  t.match(await admin.grant(query('tenant=acme&limit=all/daily&units=2')), { used: 1, remaining: 9 })
  t.match(
    await admin.grant(query('tenant=acme&limit=all/daily&units=100')),
    { used: 0 },
    'no more than there was',
  )
  call()
  t.match(await admin.reset(query('tenant=acme&model=fraud&limit=models/inferences-1m')), {
    used: 0,
    remaining: 5,
  })
  t.match(changes, [
    { verb: 'grant', limit: 'all/daily', units: 2 },
    { verb: 'grant', units: 100 },
    { verb: 'reset', limit: 'models/inferences-1m' },
  ])
})

t.test('what cannot be meant is refused by its place', async (t) => {
  const { admin, query, changes } = setUp()
  const rows = [
    ['grant', 'tenant=acme&units=1', /limit.*nothing/s],
    ['grant', 'tenant=acme&limit=all/dayly&units=1', /limit.*all\/dayly.*one of all\/daily/s],
    ['grant', 'tenant=globex&limit=slots/concurrency&units=1', /not for this subject/],
    ['grant', 'tenant=acme&limit=slots/concurrency&units=1', /slots\/concurrency, which counts what runs/],
    ['reset', 'tenant=acme&limit=slots/concurrency', /slots\/concurrency, which counts what runs/],
    ['grant', 'tenant=acmee&limit=all/daily&units=1', /tenant.*acmee.*a tenant of the resources/s],
    ['reset', 'tenant=Acme&limit=all/daily', /tenant.*Acme/s],
    ['show', 'tenant=*', /tenant/],
    ['explain', 'tenant=nobody', /tenant.*nobody/s],
    ['grant', 'tenant=acme&limit=all/daily', /units.*nothing/s],
    ['grant', 'tenant=acme&limit=all/daily&units=0', /units/],
    ['grant', 'tenant=acme&limit=all/daily&units=-1', /units.*-1/s],
    ['grant', 'tenant=acme&limit=all/daily&units=9007199254740993', /units/],
    ['grant', 'tenant=acme&limit=all/daily&units=1e3', /units/],
    ['grant', 'tenant=acme&tenant=globex&limit=all/daily&units=1', /tenant.*2 of them/s],
    ['grant', 'tenant=acme&limit=all/daily&units=1&unit=2', /unit.*unknown name/s],
    ['reset', 'tenant=&limit=all/daily', /tenant.*nothing/s],
    ['reset', 'user=alice&limit=all/daily', /user.*issuer\|subject/s],
    ['reset', 'header=x-team&limit=all/daily', /header.*name:value/s],
    ['show', 'tenent=acme', /tenent.*unknown name/s],
    ['explain', 'tenant=acme&input-tokens=1', /unknown name/],
    ['explain', 'tenant=acme&inputTokens=NaN', /inputTokens/],
  ] as const
  for (const [verb, text, expected] of rows)
    await t.rejects(Promise.resolve<unknown>(admin[verb](query(text))), { message: expected }, text)
  t.same(changes, [])
})

t.test('after a loss it is told which limits are lost, and a reset ends it', async (t) => {
  const reset = new Set<string>()
  const { admin, call, query } = setUp((store) => {
    const { peek } = store
    store.peek = (charges) =>
      charges.some(({ key, isEnforced }) => isEnforced && key.id.includes('daily') && !reset.has(key.id))
        ? Promise.resolve('lost' as const)
        : peek.call(store, charges)
    const { adjust } = store
    store.adjust = (id, charge, change) => {
      if (change === 'reset') reset.add(charge.key.id)
      return adjust.call(store, id, charge, change)
    }
    return store
  })
  call()
  const asked = query('tenant=acme&model=fraud')
  const shown = await admin.show(asked)
  t.same(
    shown.map(({ limit, used, lost }) => [limit, used, lost]),
    [
      ['all/daily', 1, 'deny'],
      ['models/inferences-1m', 1, undefined],
      ['slots/concurrency', 1, undefined],
    ],
  )
  t.match(await admin.explain(asked), {
    answer: 'refused',
    limits: [{ limit: 'all/daily', answer: 'lost' }, { answer: 'granted' }, { answer: 'granted' }],
  })
  const given = query('tenant=acme&limit=all/daily&units=1')
  t.match(await admin.grant(given), { lost: 'deny', used: 0 }, 'what is given does not end it')
  const report = await admin.reset(query('tenant=acme&limit=all/daily'))
  t.equal(report.lost, undefined)
  t.match(await admin.explain(asked), { answer: 'granted' })
})
