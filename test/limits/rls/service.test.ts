import t from 'tap'
import type { RateLimitAnswer } from '../../../agent/limits/rls/limiter.ts'
import type { RateLimitSettings } from '../../../agent/limits/rls/settings.ts'
import type { Compat, RateLimitRequest } from '../../../agent/limits/rls/types.ts'
import { codes, descriptor, limiter, request } from './kit.ts'

/** `used` is a limit that is used up, `free` one that is not; both count ten a minute. */
const config = `domain: models
descriptors:
  - {key: used, rate_limit: {unit: minute, requests_per_unit: 10}}
  - {key: free, rate_limit: {unit: minute, requests_per_unit: 10}}
  - {key: shadow, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 10}}
  - {key: quota, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 10}, metadata: {name: q, both: {q: 1}}}
  - {key: other, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 10}, metadata: {name: o, both: {o: 1}}}
  - {key: unlimited, rate_limit: {unlimited: true}}
`

/** Uses up everything but `free` and `fresh` values, then asks. */
async function askUsed(
  asked: RateLimitRequest,
  options: Partial<RateLimitSettings> & { readonly compat?: Compat } = {},
): Promise<RateLimitAnswer> {
  const { ask, clock } = limiter(config, options)
  clock.ms = 2222_000
  for (const key of ['used', 'shadow', 'quota', 'other'])
    await ask(request(descriptor(`${key}=1`, { hitsAddend: 10 })))
  return ask(asked)
}

const rows: readonly {
  readonly rule: string
  readonly asked: RateLimitRequest
  readonly settings?: Partial<RateLimitSettings>
  readonly strict: readonly string[]
  /** The same where it is absent. */
  readonly fixed?: readonly string[]
}[] = [
  { rule: 'no limit', asked: request('hello=world'), strict: ['ok', 'ok 0'] },
  { rule: 'one over', asked: request('used=1', 'hello=world'), strict: ['over', 'over 0', 'ok 0'] },
  { rule: 'in any order', asked: request('hello=world', 'used=1'), strict: ['over', 'ok 0', 'over 0'] },
  {
    rule: 'global shadow',
    asked: request('used=1', 'hello=world'),
    settings: { isShadow: true },
    strict: ['ok', 'over 0', 'ok 0'],
  },
  { rule: 'shadows', asked: request('shadow=1', 'free=1'), strict: ['ok', 'ok 0', 'ok 9'] },
  { rule: 'a shadow and one over', asked: request('shadow=1', 'used=1'), strict: ['over', 'ok 0', 'over 0'] },
  {
    rule: 'unlimited',
    asked: request('free=1', 'hello=world', 'unlimited=1'),
    strict: ['ok', 'ok 9', 'ok 0', 'ok 4294967295'],
  },
  {
    rule: 'global quota',
    asked: request('used=1', 'used=1'),
    settings: { isQuota: true },
    strict: ['ok', 'ok 0', 'ok 0'],
    fixed: ['over', 'over 0', 'over 0'],
  },
  {
    rule: 'a limit and a quota',
    asked: request('used=1', 'quota=1'),
    strict: ['over', 'over 0', 'ok 0'],
    fixed: ['over', 'over 0', 'over 0'],
  },
  {
    rule: 'a limit that is kept and a quota',
    asked: request('free=1', 'quota=1'),
    strict: ['ok', 'ok 9', 'ok 0'],
    fixed: ['over', 'ok 9', 'over 0'],
  },
  {
    rule: 'one of two quotas',
    asked: request('quota=1', 'other=2'),
    strict: ['ok', 'ok 0', 'ok 9'],
    fixed: ['ok', 'over 0', 'ok 9'],
  },
  {
    rule: 'both quotas',
    asked: request('quota=1', 'other=1'),
    strict: ['ok', 'ok 0', 'ok 0'],
    fixed: ['over', 'over 0', 'over 0'],
  },
  {
    rule: 'a limit and a quota in global shadow',
    asked: request('used=1', 'quota=1'),
    settings: { isShadow: true },
    strict: ['ok', 'over 0', 'ok 0'],
    fixed: ['ok', 'over 0', 'over 0'],
  },
]

for (const { rule, asked, settings = {}, strict, fixed = strict } of rows) {
  t.test(`the code of a request and of its descriptors: ${rule}`, async (t) => {
    t.strictSame(codes(await askUsed(asked, { ...settings, compat: 'strict' })), strict, 'strict')
    t.strictSame(codes(await askUsed(asked, { ...settings, compat: 'fixed' })), fixed, 'fixed')
  })
}

const headers = { limit: 'RateLimit-Limit', remaining: 'RateLimit-Remaining', reset: 'RateLimit-Reset' }

t.test('headers tell of the limit that is over, else of the one that is nearest', async (t) => {
  for (const compat of ['strict', 'fixed'] as const) {
    t.match(await askUsed(request('free=1', 'used=1'), { compat, headers }), {
      headers: [
        ['RateLimit-Limit', '10'],
        ['RateLimit-Remaining', '0'],
        ['RateLimit-Reset', '58'],
      ],
    })
    const two = request(descriptor('free=1'), descriptor('free=2', { hitsAddend: 3 }))
    t.match(await askUsed(two, { compat, headers: { ...headers, remaining: 'x-left' } }), {
      headers: [[], ['x-left', '7'], []],
    })
    t.notOk(((await askUsed(request('hello=world'), { compat, headers })) as { headers?: unknown }).headers)
  }
})

t.test('Envoy is told what was asked, and what the limits say that are kept', async (t) => {
  const asked = { ...request(descriptor('quota=1', { hitsAddend: 2 }), 'other=2'), hitsAddend: 3 }
  t.match(await askUsed(asked, { hasMetadata: true }), {
    metadata: {
      domain: 'models',
      descriptors: [{ entries: ['quota=1'], hitsAddend: 2 }, { entries: ['other=2'] }],
      hitsAddend: 3,
      metadata: { name: 'o', both: { o: 1 } },
    },
  })
  t.match(await askUsed(request('quota=2', 'other=2'), { hasMetadata: true }), {
    metadata: { metadata: { name: 'q', both: { q: 1, o: 1 } } },
  })
  t.match(await askUsed(asked, { hasMetadata: true, compat: 'strict' }), {
    metadata: { quotaModeViolations: [0], quotaModeEnabled: true },
  })
})

t.test('what a request was charged that all quotas refuse, comes back', async (t) => {
  const { ask } = limiter(config)
  const all = (hitsAddend: number) =>
    request(descriptor('quota=1', { hitsAddend }), descriptor('other=1', { hitsAddend }), 'free=1')
  await ask(all(8))
  t.strictSame(codes(await ask(all(8))), ['over', 'over 0', 'over 0', 'ok 8'])
  t.strictSame(codes(await ask(all(2))), ['ok', 'ok 0', 'ok 0', 'ok 8'])
})

t.test('tokens are charged when they are known: looks on the way in, hits on the way out', async (t) => {
  const { ask, clock } = limiter(
    `domain: models
descriptors:
  - {key: service, value: one, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 1}, metadata: {name: one}}
  - {key: service, value: two, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 2}, metadata: {name: two}}
`,
    { hasMetadata: true },
  )
  /** Asks which service has quota left, then charges it a token. */
  const call = async () => {
    const look = { hitsAddend: 0 }
    const answer = await ask(request(descriptor('service=one', look), descriptor('service=two', look)))
    if ('fault' in answer || answer.isOverLimit) return 'refused'
    const told = answer.metadata as { readonly metadata: { readonly name: string } }
    await ask(request(`service=${told.metadata.name}`))
    return told.metadata.name
  }
  const calls = async (count: number) => {
    const served: string[] = []
    for (let i = 0; i < count; i++) served.push(await call())
    return served
  }
  t.strictSame(
    await calls(5),
    ['one', 'two', 'two', 'refused', 'refused'],
    'not a call more than the limits say',
  )
  clock.ms += 60_000
  t.equal(await call(), 'one')
})
