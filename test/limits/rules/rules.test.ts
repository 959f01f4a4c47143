import t from 'tap'
import { smallRateOf } from '#base/gcra.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { noUsage, type Usage } from '#decision/usage.ts'
import { keyMaker } from '../../../agent/limits/rules/key.ts'
import { compileRules, type Rule, type Subject, type Terms } from '../../../agent/limits/rules/rules.ts'
import { someResources } from '../../decision/an-exchange.ts'
import fc from '../../fast-check.ts'
import { aPolicy } from '../a-quota.ts'

const usage = (more: Partial<Usage>): Usage => ({ ...noUsage, ...more })

function ruleOf(
  limit: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>> = {},
  leaseMs = 0,
) {
  const { all } = compileRules(someResources({ quotas: [aPolicy({ limits: [limit], ...more })] }), {
    leaseMs,
  })
  return all[0] as Rule
}

const took: Usage = {
  inferences: 8,
  inputTokens: 100,
  outputTokens: 30,
  cachedInputTokens: 40,
  reasoningTokens: 10,
  requestBytes: 1000,
  responseBytes: 200,
  gpuMs: 17,
}

const rateOf = (rate: number, burst: number) => ({ ...smallRateOf({ rate, windowMs: 1000, burst }) })

t.test('each unit is counted from what a call took', async (t) => {
  const rows: readonly (readonly [unit: string, units: number, isMetered: boolean])[] = [
    ['requests', 1, false],
    ['inferences', 8, false],
    ['inputTokens', 100, true],
    ['outputTokens', 30, true],
    ['tokens', 130, true],
    ['requestBytes', 1000, false],
    ['responseBytes', 200, true],
    ['bytes', 1200, true],
    ['gpuMs', 17, true],
  ]
  for (const [unit, units, isMetered] of rows) {
    const rule = ruleOf({ unit, rate: 9, window: '1s' })
    t.equal(rule.cost(took, {}), units, unit)
    t.match(rule, { isMetered, unit, name: rule.name }, unit)
  }
  t.equal(ruleOf({ unit: 'concurrency', max: 3 }).cost(took, {}), 1)
  const wide = usage({ inputTokens: 2 ** 53 - 1, outputTokens: 1 })
  const tokens = ruleOf({ unit: 'tokens', rate: 9, window: '1s' })
  t.equal(tokens.cost(wide, {}), 2 ** 53 - 1, 'more than any counter holds')
  t.equal(tokens.isBoundedBy(wide), false)
  t.equal(tokens.isBoundedBy(took), true)
  t.equal(ruleOf({ unit: 'outputTokens', rate: 9, window: '1s' }).isBoundedBy(wide), true)
})

t.test(
  'an expression goes before the unit, and is never less at a bound than at what comes of it',
  async (t) => {
    const cost =
      'model == "fraud" ? input_tokens - 0.5 * cached_input_tokens + 2 * (output_tokens - reasoning_tokens) : 7'
    const rule = ruleOf({ unit: 'tokens', rate: 9, window: '1s', cost })
    t.match(rule, { isMetered: true, readsOutputTokens: true })
    t.equal(rule.cost(took, { model: 'fraud' }), 120)
    t.equal(rule.cost(took, { model: 'ocr' }), 7)
    t.equal(rule.cost(took, {}), 120, 'where the model is not known the dearer counts')
    fc.assert(
      fc.property(
        fc.nat(1000),
        fc.nat(1000),
        fc.nat(1000),
        fc.nat(1000),
        (input, output, cached, reasoning) => {
          const bound = usage({ inputTokens: input, outputTokens: output, cachedInputTokens: input })
          const real = usage({
            inputTokens: input,
            outputTokens: output,
            cachedInputTokens: Math.min(cached, input),
            reasoningTokens: Math.min(reasoning, output),
          })
          return (rule.costAtMost(bound, {}) ?? -1) >= (rule.cost(real, {}) ?? Infinity)
        },
      ),
    )
    t.match(ruleOf({ unit: 'requests', rate: 9, window: '1s', cost: '5' }), {
      isMetered: false,
      readsUsage: false,
    })
    t.equal(
      ruleOf({ unit: 'requests', rate: 9, window: '1s', cost: '0 - 5' }).costAtMost(took, {}),
      undefined,
    )
  },
)

t.test('keys are the same exactly for the same values of the scopes', async () => {
  const text = fc.option(
    fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom('a', '|', '=', ':', '-', '#', '1', '\ud800', '\udc00', 'é') }),
      fc.string({ minLength: 60, maxLength: 70, unit: fc.constantFrom('a', 'b') }),
    ),
    { nil: undefined },
  )
  const subject = fc.record({ tenant: text, user: text, model: text, header: text })
  const scopes = ['tenant', 'user', 'model', 'header:x-a']
  const key = keyMaker('q/l', scopes)
  const asSubject = ({ header, ...rest }: { readonly header?: string | undefined } & Subject): Subject => {
    const headers = new RequestHeaders()
    if (header !== undefined) headers.add('x-a', header)
    return { ...rest, headers }
  }
  fc.assert(
    fc.property(subject, subject, (a, b) => {
      const [one, other] = [key(asSubject(a)), key(asSubject(b))]
      const isSame = one.id === other.id && one.partition === other.partition
      const isMeantSame = (['tenant', 'user', 'model', 'header'] as const).every(
        (name) => a[name] === b[name],
      )
      return isSame === isMeantSame
    }),
    { numRuns: 2000 },
  )
})

t.test('no value of a scope can be written so that it stands for another', async (t) => {
  const key = keyMaker('q/l', ['tenant', 'user', 'model'])
  const long = 'x'.repeat(100)
  const digest = key({ tenant: 'a', user: long }).id.split('|user=')[1]?.split('|')[0] as string
  const pairs: readonly (readonly [Subject, Subject])[] = [
    [{ user: '-' }, {}],
    [{ user: '' }, {}],
    [
      { user: 'u|model=m', model: 'x' },
      { user: 'u', model: 'm|model=x' },
    ],
    [{ user: long }, { user: digest }],
    [{ user: long }, { user: `${long}x` }],
  ]
  for (const [one, other] of pairs)
    t.not(key({ tenant: 'a', ...one }).id, key({ tenant: 'a', ...other }).id, JSON.stringify([one, other]))
})

t.test('counters of one tenant, or of one limit without tenants, can be changed in one step', async (t) => {
  t.equal(keyMaker('q/l', ['tenant', 'model'])({ tenant: 'acme', model: 'a' }).partition, 'tenant/acme')
  t.equal(keyMaker('q/m', ['tenant'])({ tenant: 'acme' }).partition, 'tenant/acme')
  t.not(keyMaker('q/l', ['tenant'])({}).partition, keyMaker('q/l', ['tenant'])({ tenant: '' }).partition)
  t.equal(keyMaker('q/l', ['user'])({ tenant: 'acme', user: 'u' }).partition, 'limit/q/l')
  t.equal(keyMaker('q/l', [])({ tenant: 'acme' }).id, keyMaker('q/l', [])({ tenant: 'globex' }).id)
  t.not(keyMaker('q/l', [])({}).id, keyMaker('q/m', [])({}).id)
  const long = keyMaker('q/l', ['user'])({ user: 'x'.repeat(100_000) })
  t.ok(long.id.length < 100)
  t.equal(long.family, 'q/l')
})

t.test('only the rules that may apply are walked; what is not known is covered', async (t) => {
  const quotas = [
    aPolicy({ tenants: ['*'] }, 'all'),
    aPolicy({ models: ['fraud*'] }, 'fraud'),
    aPolicy({ tenants: ['globex'] }, 'globex'),
    aPolicy({ routes: ['gold'] }, 'route'),
  ]
  const { rulesFor } = compileRules(someResources({ quotas }), { leaseMs: 0 })
  const rows: readonly (readonly [Subject, policies: readonly string[]])[] = [
    [{}, ['all']],
    [{ tenant: 'nobody' }, ['all']],
    [{ tenant: 'acme' }, ['all', 'fraud', 'route']],
    [{ tenant: 'acme', model: 'fraud-2', route: 'gold' }, ['all', 'fraud', 'route']],
    [{ tenant: 'acme', model: 'ocr', route: 'silver' }, ['all']],
    [{ tenant: 'acme', model: 'ocr' }, ['all', 'route']],
    [{ tenant: 'globex', model: 'ocr' }, ['all', 'globex']],
  ]
  for (const [subject, policies] of rows)
    t.same(
      rulesFor(subject).map(({ policy }) => policy.name),
      policies,
      JSON.stringify(subject),
    )
})

t.test('overrides are for their tenant alone', async (t) => {
  const overrides = [
    { tenant: 'acme', limit: 'requests-1s', rate: 20, burst: 30 },
    { tenant: 'globex', limit: 'requests-1s', mode: 'off' },
    { tenant: 'initech', limit: 'requests-1s', mode: 'shadow' },
  ]
  const rule = ruleOf({ unit: 'requests', rate: 2, window: '1s' }, { tenants: ['*'], overrides })
  t.match(rule.termsFor({ tenant: 'acme' }, {}), { quota: 20, mode: 'enforce', counter: { burst: 30 } })
  t.equal(rule.termsFor({ tenant: 'globex' }, {}), 'off')
  t.match(rule.termsFor({ tenant: 'initech' }, {}), { quota: 2, mode: 'shadow' })
  t.match(rule.termsFor({ tenant: 'hooli' }, {}), { quota: 2, mode: 'enforce' })
  t.match(rule.termsFor({}, {}), { quota: 2, advertised: { windowSeconds: 1 } })
  t.equal(
    rule.termsFor({}, {}),
    rule.termsFor({ tenant: 'hooli' }, {}),
    'the same object for the same numbers',
  )
})

t.test('an override stands in place of the numbers of each kind of limit', async (t) => {
  const rows: readonly (readonly [
    limit: Readonly<Record<string, unknown>>,
    override: Readonly<Record<string, unknown>>,
    counter: Readonly<Record<string, unknown>>,
  ])[] = [
    [{ unit: 'requests', rate: 2, window: '1s' }, { rate: 7 }, { burst: 7, rate: rateOf(7, 7) }],
    [{ unit: 'requests', rate: 2, window: '1s' }, { burst: 7 }, { burst: 7, rate: rateOf(2, 7) }],
    [{ unit: 'requests', kind: 'sliding', limit: 2, window: '1m' }, { amount: 7 }, { limit: 7 }],
    [{ unit: 'requests', limit: 2, period: { unit: 'day' } }, { amount: 7 }, { limit: 7 }],
    [{ unit: 'concurrency', max: 2 }, { max: 7 }, { limit: 7 }],
  ]
  for (const [limit, override, counter] of rows) {
    const overrides = [{ tenant: 'acme', limit: ruleOf(limit).name.slice('q/'.length), ...override }]
    const rule = ruleOf(limit, { overrides })
    t.match(rule.termsFor({ tenant: 'acme' }, {}), { counter }, JSON.stringify({ limit, override }))
    t.same(rule.termsFor({ tenant: 'globex' }, {}), ruleOf(limit).termsFor({}, {}), 'and of no other tenant')
  }
})

t.test('a number that is handed in takes the place of the declared one', async (t) => {
  const handedIn = { claim: '/plan/limits/tpm', policy: true, atMost: 500 }
  const rule = ruleOf({ unit: 'requests', rate: 2, window: '1s', handedIn })
  const policy = (number: number) => new Map([['q/requests-1s', number]])
  const claims = (tpm: unknown) => ({ plan: { limits: { tpm } } })
  const rows: readonly (readonly [Parameters<Rule['termsFor']>[1], quota: number | 'invalid'])[] = [
    [{}, 2],
    [{ policy: new Map() }, 2],
    [{ claims: {} }, 2],
    [{ claims: claims(7) }, 7],
    [{ claims: claims('7') }, 7],
    [{ policy: policy(9), claims: claims(7) }, 9],
    [{ policy: new Map([['other', 3]]), claims: claims(7) }, 7],
    [{ claims: claims(1000) }, 500],
    [{ claims: claims(0) }, 'invalid'],
    [{ claims: claims(-1) }, 'invalid'],
    [{ claims: claims(1.5) }, 'invalid'],
    [{ claims: claims('07') }, 'invalid'],
    [{ claims: claims('1e3') }, 'invalid'],
    [{ claims: claims('') }, 'invalid'],
    [{ claims: claims(null) }, 'invalid'],
    [{ claims: claims(true) }, 'invalid'],
    [{ claims: claims([5]) }, 'invalid'],
    [{ claims: claims({}) }, 'invalid'],
    [{ claims: claims(Number.NaN) }, 'invalid'],
    [{ claims: claims(Number.POSITIVE_INFINITY) }, 'invalid'],
    [{ claims: claims(2 ** 60) }, 'invalid'],
  ]
  for (const [given, quota] of rows) {
    const terms = rule.termsFor({ tenant: 'acme' }, given)
    if (quota === 'invalid') t.equal(terms, quota, JSON.stringify(given))
    else t.match(terms, { quota, counter: { burst: quota } }, JSON.stringify(given))
  }
  const shadow = ruleOf({ unit: 'requests', rate: 2, window: '1s', handedIn, mode: 'shadow' })
  t.match(shadow.termsFor({}, { claims: claims('x') }), { quota: 2 }, 'what never refuses counts as declared')
  const daily = ruleOf({ unit: 'tokens', limit: 5, period: { unit: 'day' }, handedIn: { policy: true } })
  t.match(daily.termsFor({}, { policy: new Map([['q/tokens-day', 0]]) }), { quota: 0, counter: { limit: 0 } })
  const deaf = ruleOf({ unit: 'requests', rate: 2, window: '1s' })
  t.match(deaf.termsFor({}, { policy: policy(9), claims: claims(7) }), { quota: 2 }, 'nobody asked for it')
})

t.test('a claim that is inherited is not one', async (t) => {
  const rule = ruleOf({ unit: 'requests', rate: 2, window: '1s', handedIn: { claim: 'limit' } })
  t.match(rule.termsFor({}, { claims: Object.create({ limit: 9 }) }), { quota: 2 })
})

t.test('many different numbers do not grow the memory without bound', async (t) => {
  const rule = ruleOf({ unit: 'requests', rate: 2, window: '1s', handedIn: { claim: 'n' } })
  const first = rule.termsFor({}, { claims: { n: 1 } })
  t.equal(rule.termsFor({}, { claims: { n: 1 } }), first)
  for (let n = 2; n < 400; n++) rule.termsFor({}, { claims: { n } })
  const again = rule.termsFor({}, { claims: { n: 1 } })
  t.not(again, first, 'forgotten and made anew')
  t.match(again, { quota: 1, mode: 'enforce', counter: { burst: 1 } })
})

t.test('each kind counts as its numbers say', async (t) => {
  const counter = (limit: Readonly<Record<string, unknown>>) =>
    (ruleOf(limit).termsFor({}, {}) as Terms).counter
  t.match(counter({ unit: 'requests', rate: 3, window: '2s' }), { kind: 'gcra', burst: 3 })
  t.match(counter({ unit: 'requests', kind: 'sliding', limit: 3, window: '1m' }), {
    kind: 'sliding',
    limit: 3,
    sliceUs: 1_000_000,
    sliceCount: 60,
  })
  t.match(counter({ unit: 'requests', limit: 3, period: { unit: 'day' } }), { kind: 'calendar', limit: 3 })
  t.match(counter({ unit: 'concurrency', max: 3 }), { kind: 'concurrency', limit: 3 })
  t.match(counter({ unit: 'tokens', limit: '9223372036854775807', period: { unit: 'day' } }), {
    limit: 2 ** 52,
  })
  const odd = counter({ unit: 'requests', kind: 'sliding', limit: 3, window: '1001ms' })
  if (odd.kind === 'sliding') t.ok(odd.sliceUs * odd.sliceCount >= 1_001_000, 'slices cover the window')
})

t.test('a leased limit makes up for the life of a lease', async (t) => {
  const leased = { unit: 'requests', rate: 100, window: '1s', burst: 80, store: 'leased' }
  const strict = ruleOf(leased, {}, 0).termsFor({}, {}) as Terms
  t.match(strict, { isLeased: false, counter: { burst: 80 } })
  const terms = ruleOf(leased, {}, 500).termsFor({}, {}) as Terms
  t.match(terms, { isLeased: true, quota: 100, counter: { burst: 30 } })
  if (terms.counter.kind === 'gcra' && strict.counter.kind === 'gcra') {
    const { rate } = terms.counter
    t.equal(strict.counter.rate.capacity - rate.capacity, (rate.drain * 500_000) / rate.tickUs)
  }
  const eaten = ruleOf({ ...leased, burst: 50 }, {}, 500).termsFor({}, {})
  t.match(
    eaten,
    { isLeased: false, counter: { burst: 50 } },
    'where nothing would be left the store is asked',
  )
  const sliding = { unit: 'requests', kind: 'sliding', limit: 9, window: '1m', store: 'leased' }
  t.match(ruleOf(sliding, {}, 2500).termsFor({}, {}), { isLeased: true, counter: { sliceCount: 63 } })
  const calendar = { unit: 'requests', limit: 9, period: { unit: 'day' }, store: 'leased' }
  t.match(ruleOf(calendar, {}, 500).termsFor({}, {}), { isLeased: true, counter: { limit: 9 } })
})

t.test('every zone that a policy may name has a calendar', async (t) => {
  const zones = [...Intl.supportedValuesOf('timeZone'), 'UTC', 'Etc/GMT+4', 'asia/dubai', 'GMT']
  for (const zone of zones) {
    const terms = ruleOf({ unit: 'tokens', limit: 5, period: { unit: 'month', zone } }).termsFor(
      {},
      {},
    ) as Terms
    t.equal(terms.counter.kind, 'calendar', zone)
  }
  const fiscal = { unit: 'year', zone: 'Asia/Dubai', startsIn: 4, startsOn: 6 }
  const { counter } = ruleOf({ unit: 'tokens', limit: 5, period: fiscal }).termsFor({}, {}) as Terms
  if (counter.kind === 'calendar')
    t.equal(counter.calendar.spanAt(Date.UTC(2026, 0, 1)).startMs, Date.UTC(2025, 3, 5, 20))
})

t.test('each tenant has its policies and those of everyone, in the order of the policies', async () => {
  const tenants = fc.constantFrom('a', 'b', 'c', '*')
  fc.assert(
    fc.property(fc.array(fc.array(tenants, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), (written) => {
      const quotas = written.map((tenants, index) => aPolicy({ tenants }, `p${index}`))
      const { rulesFor } = compileRules(someResources({ quotas }), { leaseMs: 0 })
      return [undefined, 'a', 'b', 'c', 'd'].every((tenant) => {
        const wanted = quotas.filter(
          ({ tenants }) => tenants.includes('*') || (tenant !== undefined && tenants.includes(tenant)),
        )
        const found = rulesFor(tenant === undefined ? {} : { tenant }).map(({ policy }) => policy.name)
        return found.join() === wanted.map(({ name }) => name).join()
      })
    }),
  )
})
