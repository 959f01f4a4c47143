import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openRateLimits } from '#limits/rls/rls.ts'
import { createRateLimiter } from '../../../agent/limits/rls/limiter.ts'
import { findLimit } from '../../../agent/limits/rls/lookup.ts'
import type { Descriptor } from '../../../agent/limits/rls/types.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import fc from '../../fast-check.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { asFixed, codes, defaultSettings, descriptor, file, limiter, request, told } from './kit.ts'

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
    value: trial-big-*
    rate_limit: {unit: second, requests_per_unit: 2}
  - key: tenant
    value: trial-*
    rate_limit: {unit: second, requests_per_unit: 1}
  - key: tenant
    value: free
    rate_limit: {unlimited: true}
  - key: dark
    shadow_mode: true
    rate_limit: {unit: day, requests_per_unit: 1}
  - key: special
    rate_limit: {unit: minute, requests_per_unit: 100, replaces: [{name: gold}]}
`

t.test('hits are counted down to the limit and refused beyond it, until the window has passed', async (t) => {
  const { ask, clock } = limiter(config)
  const seen = []
  for (let i = 0; i < 5; i++) seen.push(told(await ask(request('tenant=acme'))))
  t.strictSame(seen, [
    ['ok', 2, 3],
    ['ok', 1, 3],
    ['ok', 0, 3],
    ['over', 0, 3],
    ['over', 0, 3],
  ])
  t.strictSame(told(await ask(request('tenant=other'))), ['ok', 2, 3], 'each value has a counter')
  clock.ms += 60_000
  t.strictSame(told(await ask(request('tenant=acme'))), ['ok', 2, 3])
})

t.test('the window is aligned to the clock and its end is told', async (t) => {
  const { ask, clock } = limiter(config)
  clock.ms = 1_800_000_015_250
  t.match(await ask(request('tenant=acme')), { statuses: [{ resetSeconds: 45 }] })
  t.match(
    await ask(request(descriptor('tenant=new', { hitsAddend: 0 }))),
    { statuses: [{ resetSeconds: 45 }] },
    'of a counter that nobody used too',
  )
})

t.test(
  'the most specific rule counts: the exact value, the first pattern, the key; and the depth must fit',
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
      t.equal(told(await limiter(config).ask(request(path)))[2], limit, path)
  },
)

t.test('a domain that is not configured is not limited, whatever comes with the request', async (t) => {
  const limit = { requestsPerUnit: 0, unit: 'day', multiplier: 1 } as const
  const asked = { ...request(descriptor('tenant=acme', { limit })), domain: 'other' }
  t.strictSame(told(await limiter(config).ask(asked)), ['ok', 0, undefined])
})

t.test('no limit, a shadow and a replaced limit refuse nothing', async (t) => {
  const { ask } = limiter(config)
  t.strictSame(told(await ask(request('tenant=free'))), ['ok', 0xffff_ffff, undefined])
  for (let i = 0; i < 3; i++) t.equal(told(await ask(request('dark=1')))[0], 'ok')
  for (let i = 0; i < 7; i++)
    t.strictSame(told(await ask(request('tenant=gold', 'special=1'))), ['ok', 0, undefined], 'replaced')
})

t.test('what only shadows are over is counted by the other limits', async (t) => {
  const { ask } = limiter(config)
  const both = async () => codes(await ask(request('dark=1', 'tenant=acme')))
  for (const left of [2, 1, 0]) t.strictSame(await both(), ['ok', 'ok 0', `ok ${left}`])
  t.strictSame(await both(), ['over', 'ok 0', 'over 0'])
  const all = limiter(config, { isShadow: true })
  const shadowed = async () => codes(await all.ask(request('tenant=acme', 'tenant=gold')))
  for (let i = 0; i < 3; i++) await shadowed()
  t.strictSame(await shadowed(), ['ok', 'over 0', 'ok 1'])
  t.strictSame(await shadowed(), ['ok', 'over 0', 'ok 0'])
})

t.test('a request that is refused is charged nothing, on none of its limits', async (t) => {
  const { ask } = limiter(config)
  for (let i = 0; i < 3; i++) await ask(request('tenant=acme', 'tenant=gold'))
  t.strictSame(codes(await ask(request('tenant=acme', 'tenant=gold'))), ['over', 'over 0', 'ok 2'])
  t.strictSame(codes(await ask(request('tenant=acme', 'tenant=gold'))), ['over', 'over 0', 'ok 2'])
  t.strictSame(codes(await ask(request('tenant=gold'))), ['ok', 'ok 1'])
})

t.test('strict charges every limit of a request, whatever comes of it', async (t) => {
  const { ask } = limiter(config, { compat: 'strict' })
  for (let i = 0; i < 3; i++) await ask(request('tenant=acme', 'tenant=gold'))
  t.strictSame(codes(await ask(request('tenant=acme', 'tenant=gold'))), ['over', 'over 0', 'ok 1'])
  t.strictSame(codes(await ask(request('tenant=gold'))), ['ok', 'ok 0'])
})

t.test('addends: of the request, of a descriptor, none, to look, and to give back', async (t) => {
  const { ask } = limiter(config)
  const hits = async (hitsAddend: number, more: Partial<Descriptor> = {}) =>
    told(await ask(request(descriptor('tenant=gold', { hitsAddend, ...more }))))
  t.strictSame(told(await ask({ ...request('tenant=gold'), hitsAddend: 2 })), ['ok', 3, 5])
  t.strictSame(await hits(4), ['over', 3, 5], 'what is left is told')
  t.strictSame(await hits(3), ['ok', 0, 5])
  t.strictSame(await hits(0), ['over', 0, 5], 'a look at what is used up')
  t.strictSame(await hits(2, { isNegativeHits: true }), ['ok', 2, 5])
  t.strictSame(await hits(0), ['ok', 2, 5])
  t.strictSame(await hits(100, { isNegativeHits: true }), ['ok', 5, 5], 'never below zero')
  t.strictSame(await hits(6), ['over', 5, 5])
  t.strictSame(await hits(Number(2n ** 63n)), ['over', 5, 5])
})

t.test('what is given back is given only where what is taken passes', async (t) => {
  const { ask } = limiter(config)
  const back = descriptor('tenant=gold', { hitsAddend: 2, isNegativeHits: true })
  await ask(
    request(descriptor('tenant=gold', { hitsAddend: 4 }), descriptor('tenant=acme', { hitsAddend: 3 })),
  )
  t.strictSame(codes(await ask(request(back, 'tenant=acme'))), ['over', 'ok 1', 'over 0'])
  t.strictSame(codes(await ask(request(back, 'tenant=other'))), ['ok', 'ok 3', 'ok 2'])
  const look = descriptor('tenant=acme', { hitsAddend: 0 })
  t.strictSame(codes(await ask(request(back, look))), ['over', 'ok 3', 'over 0'])
  await ask(request(descriptor('tenant=gold', { hitsAddend: 3 })))
  t.strictSame(
    codes(await ask(request(back, 'tenant=more'))),
    ['ok', 'ok 2', 'ok 2'],
    'where all is used up too',
  )
})

t.test('a descriptor that stands twice is charged the sum, and both are told the same', async (t) => {
  const { ask } = limiter(config)
  t.strictSame(codes(await ask(request('tenant=gold', 'tenant=gold'))), ['ok', 'ok 3', 'ok 3'])
  const four = descriptor('tenant=gold', { hitsAddend: 2 })
  t.strictSame(codes(await ask(request(four, four))), ['over', 'over 3', 'over 3'])
  const strict = limiter(config, { compat: 'strict' })
  t.strictSame(codes(await strict.ask(request('tenant=gold', 'tenant=gold'))), ['ok', 'ok 4', 'ok 3'])
})

t.test('of two limits on one counter the smaller one counts, and one that refuses is enough', async (t) => {
  const wide = descriptor('tenant=gold', { limit: { requestsPerUnit: 50, unit: 'minute', multiplier: 1 } })
  const plain = descriptor('dark=1', { limit: { requestsPerUnit: 1, unit: 'day', multiplier: 1 } })
  for (const both of [request(wide, 'tenant=gold'), request('tenant=gold', wide)]) {
    const { ask } = limiter(config)
    t.strictSame(codes(await ask(both)), ['ok', 'ok 3', 'ok 3'])
    t.strictSame(codes(await ask(both)), ['ok', 'ok 1', 'ok 1'])
    t.strictSame(codes(await ask(both)), ['over', 'over 1', 'over 1'])
  }
  for (const both of [request(plain, 'dark=1'), request('dark=1', plain)]) {
    const { ask } = limiter(config)
    t.equal(told(await ask(both))[0], 'over', 'one of them is no shadow')
    const look = request(descriptor('dark=1', { hitsAddend: 0 }))
    t.strictSame(codes(await ask(look)), ['ok', 'ok 1'], 'nothing was charged')
  }
})

t.test('a limit that comes with the descriptor takes the place of the configured one', async (t) => {
  const { ask, clock } = limiter(config)
  const limit = { requestsPerUnit: 1, unit: 'second', multiplier: 10 } as const
  const own = async () => told(await ask(request(descriptor('tenant=gold', { limit }))))
  t.strictSame(await own(), ['ok', 0, 1])
  t.strictSame(await own(), ['over', 0, 1])
  clock.ms += 5000
  t.strictSame(await own(), ['over', 0, 1])
  clock.ms += 5000
  t.strictSame(await own(), ['ok', 0, 1])
})

t.test('a limit that comes with a request replaces none and is replaced by none', async (t) => {
  const { ask } = limiter(config)
  const limit = { requestsPerUnit: 9, unit: 'second', multiplier: 1 } as const
  const both = request(descriptor('tenant=gold', { limit }), descriptor('special=1', { limit }))
  t.strictSame(codes(await ask(both)), ['ok', 'ok 8', 'ok 8'])
  const special = request('tenant=gold', descriptor('special=1', { limit }))
  t.strictSame(codes(await ask(special)), ['ok', 'ok 4', 'ok 7'], 'gold counts where special is not itself')
})

t.test('a counter keeps what was used when its limit is edited, not when its window is', async (t) => {
  const { ask, clock } = limiter(config)
  await ask(request('tenant=gold'))
  const with_ = async (limit: NonNullable<Descriptor['limit']>) =>
    told(await ask(request(descriptor('tenant=gold', { limit, hitsAddend: 0 }))))
  t.strictSame(await with_({ requestsPerUnit: 50, unit: 'minute', multiplier: 1 }), ['ok', 49, 50])
  t.strictSame(await with_({ requestsPerUnit: 50, unit: 'hour', multiplier: 1 }), ['ok', 50, 50])
  t.ok(clock.ms > 0)
})

t.test('what cannot be counted is refused', async (t) => {
  const { ask } = limiter(config)
  const many = Array.from({ length: 65 }, () => 'tenant=acme')
  t.strictSame(told(await ask({ ...request('tenant=acme'), domain: '' })), ['invalid'])
  t.strictSame(told(await ask(request())), ['invalid'])
  t.strictSame(told(await ask(request({ entries: [], isNegativeHits: false }))), ['invalid'])
  t.strictSame(told(await ask(request(...many))), ['invalid'])
  t.strictSame(told(await ask(request(many.slice(0, 33).join(',')))), ['invalid'])
  await using store = createMemoryStore()
  const empty = createRateLimiter({ rules: () => undefined, store, settings: defaultSettings })
  t.strictSame(told(await empty.shouldRateLimit(request())), ['not_loaded'])
})

t.test('no two descriptors share a counter', async () => {
  const text = fc.string({ maxLength: 6, unit: fc.constantFrom('a', '_', '"', ',', '1', ':', '*') })
  const any = fc.array(fc.record({ key: text, value: text }), { minLength: 1, maxLength: 3 })
  const limit = { requestsPerUnit: 1, unit: 'year', multiplier: 1 } as const
  await fc.assert(
    fc.asyncProperty(any, any, async (one, other) => {
      const { ask } = limiter('domain: models\n')
      const codeOf = async (entries: Descriptor['entries']) =>
        told(await ask(request({ entries, limit, isNegativeHits: false })))[0]
      await codeOf(one)
      const isSame = JSON.stringify(one) === JSON.stringify(other)
      return (await codeOf(other)) === (isSame ? 'over' : 'ok')
    }),
  )
})

t.test('values that fit a pattern share a counter where the rule says so', async (t) => {
  const { ask } = limiter(`domain: models
descriptors:
  - key: file
    value: a/*
    share_threshold: true
    rate_limit: {unit: hour, requests_per_unit: 3}
  - key: file
    value: b/*/c
    share_threshold: true
    descriptors:
      - key: verb
        rate_limit: {unit: hour, requests_per_unit: 3}
  - key: file
    value: c*
    rate_limit: {unit: hour, requests_per_unit: 3}
`)
  t.strictSame(told(await ask(request('file=a/1'))), ['ok', 2, 3])
  t.strictSame(told(await ask(request('file=a/2'))), ['ok', 1, 3])
  t.strictSame(
    told(await ask(request('file=a/*'))),
    ['ok', 0, 3],
    'the pattern itself is a value like others',
  )
  t.strictSame(told(await ask(request('file=b/1/c,verb=get'))), ['ok', 2, 3])
  t.strictSame(told(await ask(request('file=b/2/c,verb=get'))), ['ok', 1, 3])
  t.strictSame(told(await ask(request('file=b/2/c,verb=put'))), ['ok', 2, 3], 'values below have their own')
  t.strictSame(told(await ask(request('file=c1'))), ['ok', 2, 3])
  t.strictSame(told(await ask(request('file=c2'))), ['ok', 2, 3])
})

t.test('a bad file takes no effect: the last good state stays, with its counters', async (t) => {
  const path = file(config)
  const loads: { domains?: number; problem?: string }[] = []
  await using store = createMemoryStore()
  using limits = openRateLimits({
    ...asFixed,
    files: [path],
    store,
    settings: defaultSettings,
    watchIntervalMs: 5,
    onLoad: (load) => void loads.push(load),
  })
  t.ok(limits.isReady())
  const day = request(descriptor('x=1', { limit: { requestsPerUnit: 3, unit: 'year', multiplier: 1 } }))
  await limits.limiter.shouldRateLimit(day)
  writeFileSync(path, 'domain: [')
  await eventually('the bad file is seen', () => limits.lastError())
  t.match(await limits.limiter.shouldRateLimit(day), { statuses: [{ remaining: 1 }] })
  t.match(loads, [{ domains: 1 }, { problem: /yaml|malformed|:1:/i }])
})

t.test('files that are gone or empty lift no limit', async (t) => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'limits.yaml')
  writeFileSync(path, config)
  const problems: (string | undefined)[] = []
  await using store = createMemoryStore()
  using limits = openRateLimits({
    ...asFixed,
    files: [folder.path],
    store,
    settings: defaultSettings,
    watchIntervalMs: 5,
    onLoad: ({ problem }) => void problems.push(problem),
  })
  const isLimited = async (where: string) =>
    t.match(await limits.limiter.shouldRateLimit(request('tenant=x')), { statuses: [{ limit: {} }] }, where)
  writeFileSync(path, '')
  await eventually('the empty file is seen', () => limits.lastError())
  await isLimited('an empty file')
  writeFileSync(path, config)
  await eventually('the file is back', () => limits.lastError() === undefined)
  rmSync(path)
  await eventually('the empty folder is seen', () => limits.lastError())
  await isLimited('no file')
  const nothing = /: nothing; expected/
  t.match(problems, [undefined, nothing, undefined, nothing])
})

t.test('a value of many kilobytes has a counter of its own, and a short name', async (t) => {
  const long = 'x'.repeat(60_000)
  const limit = { requestsPerUnit: 1, unit: 'hour', multiplier: 1 } as const
  for (const compat of ['fixed', 'strict'] as const) {
    const { rules, ask } = limiter(config, { compat })
    for (const each of [descriptor(`tenant=${long}`), descriptor(`any=${long}`, { limit })])
      t.ok((findLimit(rules, 'models', each)?.counterId.length ?? 1e9) <= 256, compat)
    for (let i = 0; i < 3; i++) t.match(told(await ask(request(`tenant=${long}`))), ['ok', 2 - i])
    t.match(told(await ask(request(`tenant=${long}`))), ['over'])
    t.match(told(await ask(request(`tenant=${long}y`))), ['ok', 2], 'another value is another')
  }
})
