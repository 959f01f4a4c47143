import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { createRateLimiter, type Descriptor, openRateLimits, type RateLimitRequest } from '#limits/rls/rls.ts'
import { readRules } from '../../../agent/limits/rls/rules.ts'
import { Windows } from '../../../agent/limits/rls/windows.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
let files = 0
function file(text: string): string {
  const path = join(folder.path, `${files++}.yaml`)
  writeFileSync(path, text)
  return path
}

const config = `domain: models
descriptors:
  - key: tenant
    rate_limit: {unit: minute, requests_per_unit: 3}
  - key: tenant
    value: gold
    rate_limit: {unit: minute, requests_per_unit: 5, name: gold}
    descriptors:
      - key: model
        rate_limit: {unit: hour, requests_per_unit: 2}
  - key: tenant
    value: trial-*
    rate_limit: {unit: second, requests_per_unit: 1}
  - key: tenant
    value: trial-big-*
    rate_limit: {unit: second, requests_per_unit: 2}
  - key: tenant
    value: free
    rate_limit: {unlimited: true}
  - key: dark
    shadow_mode: true
    rate_limit: {unit: day, requests_per_unit: 1}
  - key: special
    rate_limit: {unit: minute, requests_per_unit: 100, replaces: [{name: gold}]}
`

/** A limiter on a clock that stands until it is moved. */
function limiter(text = config) {
  const rules = readRules([file(text)])
  const clock = { ms: 1_800_000_000_000, nowMs: () => clock.ms, monotonicUs: () => 0 }
  const { shouldRateLimit } = createRateLimiter({ rules: () => rules, clock })
  return { clock, ask: shouldRateLimit }
}

function descriptor(path: string, more: Partial<Descriptor> = {}): Descriptor {
  const entries = path.split(',').map((entry) => {
    const [key = '', value = ''] = entry.split('=')
    return { key, value }
  })
  return { entries, isNegativeHits: false, ...more }
}

function request(...descriptors: readonly Descriptor[]): RateLimitRequest {
  return { domain: 'models', descriptors, hitsAddend: 0 }
}

/** The request's code and the first status: what remains and of what. */
function told(answer: ReturnType<ReturnType<typeof limiter>['ask']>) {
  if ('fault' in answer) return answer.fault
  const [status] = answer.statuses
  return [answer.isOverLimit ? 'over' : 'ok', status?.remaining, status?.limit?.requestsPerUnit]
}

t.test('hits are counted down to the limit and refused beyond it, until the window has passed', async (t) => {
  const { ask, clock } = limiter()
  const seen = Array.from({ length: 5 }, () => told(ask(request(descriptor('tenant=acme')))))
  t.strictSame(seen, [
    ['ok', 2, 3],
    ['ok', 1, 3],
    ['ok', 0, 3],
    ['over', 0, 3],
    ['over', 0, 3],
  ])
  t.strictSame(told(ask(request(descriptor('tenant=other')))), ['ok', 2, 3], 'each value has a counter')
  clock.ms += 60_000
  t.strictSame(told(ask(request(descriptor('tenant=acme')))), ['ok', 2, 3])
})

t.test('the window is aligned to the clock and its end is told', async (t) => {
  const { ask, clock } = limiter()
  clock.ms = 1_800_000_015_250
  const answer = ask(request(descriptor('tenant=acme')))
  t.match(answer, { statuses: [{ resetSeconds: 45 }] })
})

t.test(
  'the most specific rule counts: the exact value, the longest prefix, the key; and the depth must fit',
  async (t) => {
    for (const [path, limit] of [
      ['tenant=gold', 5],
      ['tenant=goldish', 3],
      ['tenant=trial-1', 1],
      ['tenant=trial-big-1', 2],
      ['tenant=gold,model=fraud', 2],
      ['tenant=acme,model=fraud', undefined],
      ['tenant=gold,model=fraud,more=1', undefined],
      ['nobody=1', undefined],
    ] as const)
      t.equal((told(limiter().ask(request(descriptor(path)))) as unknown[])[2], limit, path)
  },
)

t.test('a domain that is not configured is not limited', async (t) => {
  t.strictSame(told(limiter().ask({ ...request(descriptor('tenant=acme')), domain: 'other' })), [
    'ok',
    0,
    undefined,
  ])
})

t.test('no limit, a shadow and a replaced limit refuse nothing', async (t) => {
  const { ask } = limiter()
  t.strictSame(told(ask(request(descriptor('tenant=free')))), ['ok', 0xffff_ffff, undefined])
  for (let i = 0; i < 3; i++) t.equal((told(ask(request(descriptor('dark=1')))) as unknown[])[0], 'ok')
  for (let i = 0; i < 7; i++) {
    const both = request(descriptor('tenant=gold'), descriptor('special=1'))
    t.strictSame(told(ask(both)), ['ok', 0, undefined], 'special replaces gold')
  }
})

t.test('every descriptor of a request is counted, and one over its limit is enough', async (t) => {
  const { ask } = limiter()
  const both = request(descriptor('tenant=acme'), descriptor('tenant=gold'))
  for (let i = 0; i < 3; i++) ask(both)
  t.match(ask(both), {
    isOverLimit: true,
    statuses: [
      { isOverLimit: true, remaining: 0 },
      { isOverLimit: false, remaining: 1 },
    ],
  })
})

t.test('addends: of the request, of a descriptor, none, to look, and to give back', async (t) => {
  const { ask } = limiter()
  const hits = (hitsAddend: number, more: Partial<Descriptor> = {}) =>
    told(ask(request(descriptor('tenant=gold', { hitsAddend, ...more }))))
  t.strictSame(told(ask({ ...request(descriptor('tenant=gold')), hitsAddend: 2 })), ['ok', 3, 5])
  t.strictSame(hits(3), ['ok', 0, 5])
  t.strictSame(hits(0), ['over', 0, 5], 'a look at what is used up')
  t.strictSame(hits(2, { isNegativeHits: true }), ['ok', 2, 5])
  t.strictSame(hits(0), ['ok', 2, 5])
  t.strictSame(hits(100, { isNegativeHits: true }), ['ok', 5, 5], 'never below zero')
  t.strictSame(hits(6), ['over', 0, 5])
  t.strictSame(hits(Number(2n ** 63n)), ['over', 0, 5])
})

t.test('a limit that comes with the descriptor takes the place of the configured one', async (t) => {
  const { ask, clock } = limiter()
  const limit = { requestsPerUnit: 1, unit: 'second', multiplier: 10 } as const
  const own = () => told(ask(request(descriptor('tenant=gold', { limit }))))
  t.strictSame(
    [own(), own()],
    [
      ['ok', 0, 1],
      ['over', 0, 1],
    ],
  )
  clock.ms += 5000
  t.strictSame(own(), ['over', 0, 1])
  clock.ms += 5000
  t.strictSame(own(), ['ok', 0, 1])
})

t.test('what cannot be counted is refused', async (t) => {
  const { ask } = limiter()
  t.equal(told(ask({ ...request(descriptor('tenant=acme')), domain: '' })), 'invalid')
  t.equal(told(ask(request())), 'invalid')
  t.equal(told(ask(request({ entries: [], isNegativeHits: false }))), 'invalid')
  t.equal(told(createRateLimiter({ rules: () => undefined }).shouldRateLimit(request())), 'not_loaded')
})

t.test('no two descriptors share a counter', async () => {
  const text = fc.string({ maxLength: 6, unit: fc.constantFrom('a', '_', '"', ',', '\\') })
  const any = fc.array(fc.record({ key: text, value: text }), { minLength: 1, maxLength: 3 })
  const limit = { requestsPerUnit: 1, unit: 'year', multiplier: 1 } as const
  fc.assert(
    fc.property(any, any, (one, other) => {
      const { ask } = limiter()
      const codeOf = (entries: Descriptor['entries']) =>
        told(ask(request({ entries, limit, isNegativeHits: false })))
      codeOf(one)
      const isSame = JSON.stringify(one) === JSON.stringify(other)
      return (codeOf(other) as unknown[])[0] === (isSame ? 'over' : 'ok')
    }),
  )
})

t.test(
  'counters are bounded: where there is no room, a new one is refused and the others go on',
  async (t) => {
    const windows = new Windows(2)
    const add = (key: string, nowSeconds = 0) =>
      windows.add({ key, hits: 1, endsAtSeconds: nowSeconds + 10, nowSeconds })
    t.strictSame([add('a'), add('b'), add('c'), add('a')], [true, true, false, true])
    t.equal(add('c', 20), true, 'windows that have passed make room')
  },
)

const wrong: readonly [string, RegExp][] = [
  ['descriptors: []', /domain/],
  ['domain: a\nlimits: []', /limits/],
  [
    'domain: a\ndescriptors: [{key: k, rate_limit: {unit: fortnight, requests_per_unit: 1}}]',
    /one of second/,
  ],
  ['domain: a\ndescriptors: [{key: k, rate_limit: {unit: day}}]', /requests_per_unit/],
  ['domain: a\ndescriptors: [{key: k, rate_limit: {unlimited: true, unit: day}}]', /unlimited alone/],
  ['domain: a\ndescriptors: [{key: k}, {key: k}]', /a second time/],
  ['domain: a\ndescriptors: [{key: k, value: v}, {key: k, value: v}]', /a second time/],
  ['domain: a\n---\ndomain: a', /the domain a a second time/],
  ['domain: a\ndescriptors: [{key: k, quota_mode: true}]', /quota_mode/],
]
for (const [text, problem] of wrong) {
  t.test(`refused, with its place: ${text.replaceAll('\n', ' ')}`, async (t) => {
    const path = file(text)
    t.throws(() => readRules([path]), { message: problem })
    t.throws(() => readRules([path]), { message: new RegExp(`${path}:\\d`) })
  })
}

t.test('a bad file takes no effect: the last good state stays, with its counters', async (t) => {
  const path = file(config)
  const loads: { domains?: number; problem?: string }[] = []
  using limits = openRateLimits({
    files: [path],
    watchIntervalMs: 5,
    onLoad: (load) => void loads.push(load),
  })
  t.ok(limits.isReady())
  limits.limiter.shouldRateLimit(request(descriptor('tenant=acme')))
  writeFileSync(path, 'domain: [')
  await new Promise<void>((resolve) => {
    const look = setInterval(() => {
      if (limits.lastError() === undefined) return
      clearInterval(look)
      resolve()
    }, 5)
  })
  t.match(limits.limiter.shouldRateLimit(request(descriptor('tenant=acme'))), {
    statuses: [{ remaining: 1 }],
  })
  t.match(loads, [{ domains: 1 }, { problem: /yaml|malformed|:1:/i }])
})
