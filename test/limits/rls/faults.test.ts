import t from 'tap'
import { rateLimitMethod } from '#envoy/rate-limit.ts'
import type { Method } from '#grpc/service.ts'
import { createRateLimiter } from '../../../agent/limits/rls/limiter.ts'
import { readRules } from '../../../agent/limits/rls/rules.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import type { QuotaStore, StoreFault } from '../../../agent/limits/store/store.ts'
import { createLogger } from '../../../agent/telemetry/telemetry.ts'
import { asFixed, codes, defaultSettings, descriptor, file, request } from './kit.ts'

const config = `domain: models
descriptors:
  - {key: a, rate_limit: {unit: year, requests_per_unit: 3}}
  - {key: b, rate_limit: {unit: year, requests_per_unit: 3}}
  - {key: quota, quota_mode: true, rate_limit: {unit: year, requests_per_unit: 1}}
`

/** The real store of memory, which answers a turn later; with a fault it gives that instead. */
function laterStore(fault?: StoreFault): QuotaStore {
  const store = createMemoryStore()
  return {
    ...store,
    reserve: async (id, charges, ttlMs) =>
      fault === undefined ? store.reserve(id, charges, ttlMs) : { kind: 'failed', fault, index: 0 },
    topUp: async (id, step, charges, ttlMs) => store.topUp(id, step, charges, ttlMs),
    settle: async (id, actuals) => store.settle(id, actuals),
    peek: async (charges) => fault ?? store.peek(charges),
    adjust: async (id, charge, change) => fault ?? store.adjust(id, charge, change),
    health: store.health,
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

function limiterOn(store: QuotaStore) {
  const rules = readRules([file(config)], asFixed)
  return createRateLimiter({ rules: () => rules, store, settings: defaultSettings })
}

const look = { hitsAddend: 0 }
const back = { hitsAddend: 2, isNegativeHits: true }
const questions = [
  request('a=1', 'b=1'),
  request('a=1', 'a=1'),
  request(descriptor('a=1', look)),
  request('a=1', 'b=1'),
  request(descriptor('a=1', back), 'b=1'),
  request('a=1', 'b=1'),
  request(descriptor('b=1', back)),
  request('quota=1'),
  request('quota=1', 'b=1'),
  request('b=1'),
  request('none=1'),
]

t.test('a store that answers later is asked the same and says the same', async (t) => {
  const [now, later] = [limiterOn(createMemoryStore()), limiterOn(laterStore())]
  for (const [index, question] of questions.entries()) {
    const at = await now.shouldRateLimit(question)
    t.strictSame(codes(await later.shouldRateLimit(question)), codes(at), `question ${index}`)
  }
})

t.test('what the memory answers is there at once; only what counts in turn is promised', async (t) => {
  const limiter = limiterOn(createMemoryStore())
  t.notOk(limiter.shouldRateLimit(request('a=1', 'b=1')) instanceof Promise)
  t.notOk(limiter.shouldRateLimit(request(descriptor('a=1', look))) instanceof Promise)
  t.notOk(limiter.shouldRateLimit(request('none=1')) instanceof Promise)
})

for (const fault of ['unavailable', 'lost'] as const) {
  t.test(`a store that is ${fault} is an error, never an answer`, async (t) => {
    const observed: string[] = []
    const limiter = limiterOn(laterStore(fault))
    for (const question of [questions[0], questions[2], questions[4], questions[6]])
      t.match(await limiter.shouldRateLimit(question as (typeof questions)[number]), { fault })
    const method = rateLimitMethod({
      limiter,
      log: createLogger('error'),
      observe: (code) => void observed.push(code),
    }) as Extract<Method, { kind: 'unary' }>
    // domain: models, one descriptor of one entry a=1
    const message = Buffer.from('0a066d6f64656c7312080a060a016112 0131'.replaceAll(' ', ''), 'hex')
    t.match(await method.handle(message, undefined as never), { code: 14 })
    t.strictSame(observed, [fault])
  })
}

t.test('strict counts in turn where a descriptor stands twice, and says so of each fault', async (t) => {
  const rules = readRules([file(config)], { compat: 'strict', mergeDomains: false })
  const strict = (store: QuotaStore) =>
    createRateLimiter({ rules: () => rules, store, settings: defaultSettings })
  const twice = request('a=1', 'a=1', 'b=1')
  t.strictSame(codes(await strict(laterStore()).shouldRateLimit(twice)), ['ok', 'ok 2', 'ok 1', 'ok 2'])
  t.match(await strict(laterStore('lost')).shouldRateLimit(twice), { fault: 'lost' })
})
