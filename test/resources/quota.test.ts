import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { limitNameOf, openResources } from '#resources/resources.ts'

const tenant = (name: string) =>
  `apiVersion: sluice.dev/v1alpha1\nkind: Tenant\nmetadata: {name: ${name}}\nspec: {peers: ["spiffe://td/ns/${name}/**"], models: [fraud]}\n`

/** A policy whose limits, and what else is given, stand one a line. */
function policy(limits: readonly string[], more: Readonly<Record<string, string>> = {}): string {
  const members = { tenants: "['*']", ...more }
  return [
    'apiVersion: sluice.dev/v1alpha1',
    'kind: QuotaPolicy',
    'metadata: {name: q}',
    'spec:',
    ...Object.entries(members).map(([name, value]) => `  ${name}: ${value}`),
    '  limits:',
    ...limits.map((limit) => `  - ${limit}`),
    '',
  ].join('\n')
}

function load(t: Test, text: string, leaseMs?: number) {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-quota-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'a.yaml'), text)
  let problem: string | undefined
  using source = openResources({
    dir,
    leaseMs,
    onLoad: (each) => {
      problem = each.problem
    },
  })
  return { problem, quotas: source.current().quotas }
}

t.test('the short forms are limits of the kind that their members are of', async (t) => {
  const rows: readonly (readonly [limit: string, parsed: object, name: string])[] = [
    ['{unit: requests, rate: 5, window: 1m}', { kind: 'gcra', rate: 5, window: 60_000 }, 'requests-1m'],
    ['{unit: concurrency, max: 4}', { kind: 'concurrency', max: 4 }, 'concurrency'],
    [
      '{unit: inputTokens, limit: 1000, period: {unit: day, zone: Asia/Dubai}}',
      { kind: 'calendar', limit: 1000, period: { unit: 'day', zone: 'Asia/Dubai' } },
      'input-tokens-day',
    ],
    [
      '{unit: gpuMs, kind: sliding, limit: 9, window: 90s}',
      { kind: 'sliding', limit: 9, window: 90_000 },
      'gpu-ms-90s',
    ],
    ['{unit: bytes, rate: 5, window: 7d, name: own}', { mode: 'enforce', onStoreFailure: 'deny' }, 'own'],
    [
      '{unit: tokens, limit: "9223372036854775807", period: {unit: month}}',
      { limit: 2 ** 63 },
      'tokens-month',
    ],
    ['{unit: tokens, limit: 9007199254740991, period: {unit: year, startsIn: 4}}', {}, 'tokens-year'],
    ['{unit: tokens, limit: 0, period: {unit: week, startsOn: 7}}', { limit: 0 }, 'tokens-week'],
  ]
  for (const [limit, parsed, name] of rows) {
    const { problem, quotas } = load(t, policy([limit]))
    t.equal(problem, undefined, limit)
    const found = quotas[0]?.limits[0]
    t.match(found, parsed, limit)
    t.equal(found && limitNameOf(found), name, limit)
  }
})

t.test('what is wrong with a limit is told at its place', async (t) => {
  const rows: readonly (readonly [limit: string, message: RegExp])[] = [
    [
      '{unit: tokenz, rate: 1, window: 1s}',
      /limits\.0\.unit: "tokenz"; expected "requests" or .*"tokens".*"concurrency"/,
    ],
    ['{rate: 1, window: 1s}', /limits\.0\.unit: nothing; expected "requests"/],
    ['{unit: tokens, rate: 1}', /a\.yaml:7:\d+: spec\.limits\.0\.window: nothing; expected text/],
    ['{unit: tokens, window: 1m}', /limits\.0\.rate: nothing; expected a number/],
    ['{unit: tokens}', /limits\.0\.rate: nothing; expected a number/],
    ['{unit: tokens, period: {unit: day}}', /limits\.0\.limit: nothing; expected a number or text/],
    [
      '{unit: requests, rate: 1, window: 1s, max: 4}',
      /a\.yaml:7:\d+: spec\.limits\.0\.max: 4; expected no max in a limit of kind gcra: it is for unit: concurrency/,
    ],
    ['{unit: requests, max: 4}', /limits\.0\.max: 4; expected no max/],
    [
      '{unit: concurrency, max: 4, window: 1s}',
      /limits\.0\.window: "1s"; expected no window in a limit of kind concurrency/,
    ],
    [
      '{unit: concurrency, max: 4, cost: "1"}',
      /limits\.0\.cost: "1"; expected no cost in a limit of kind concurrency/,
    ],
    ['{unit: concurrency}', /limits\.0\.max: nothing; expected a number/],
    [
      '{unit: tokens, limit: 4, window: 1s}',
      /limits\.0\.limit: 4; expected no limit in a limit of kind gcra: it stands beside period, or beside window with kind: sliding/,
    ],
    [
      '{unit: tokens, rate: 4, period: {unit: day}}',
      /limits\.0\.rate: 4; expected no rate in a limit of kind calendar/,
    ],
    [
      '{unit: tokens, kind: fixed, limit: 1, window: 1s}',
      /limits\.0\.kind: "fixed"; expected "gcra" or "sliding" or "calendar"/,
    ],
    [
      '{unit: tokens, kind: concurrency, max: 1}',
      /limits\.0\.kind: "concurrency"; expected kind concurrency with unit/,
    ],
    [
      '{unit: tokens, kind: sliding, limit: 1, window: 1s, burst: 3}',
      /limits\.0\.burst: 3; expected no burst/,
    ],
    ['{unit: tokens, rate: 1.5, window: 1s}', /limits\.0\.rate: 1.5; expected a whole number/],
    ['{unit: tokens, rate: 0, window: 1s}', /limits\.0\.rate: 0; expected at least 1/],
    ['{unit: tokens, rate: 1, window: 401d}', /limits\.0\.window: "401d"; expected at most 400d/],
    ['{unit: tokens, rate: 1, window: 60}', /limits\.0\.window: 60; expected text/],
    ['{unit: tokens, rate: 1, window: "60"}', /limits\.0\.window: "60"; expected a duration such as 500ms/],
    ['{unit: tokens, limit: -1, period: {unit: day}}', /limits\.0\.limit: -1; expected at least 0/],
    [
      '{unit: tokens, limit: 9007199254740993, period: {unit: day}}',
      /limits\.0\.limit: .*expected at most 9007199254740991/,
    ],
    [
      '{unit: tokens, limit: "9223372036854775808", period: {unit: day}}',
      /limits\.0\.limit: .*at most 9223372036854775807/,
    ],
    ['{unit: tokens, limit: "01", period: {unit: day}}', /limits\.0\.limit: "01"; expected .*a whole number/],
    [
      '{unit: tokens, limit: 1, period: {unit: fortnight}}',
      /limits\.0\.period\.unit: "fortnight"; expected "minute"/,
    ],
    [
      '{unit: tokens, limit: 1, period: {unit: day, zone: Mars/Olympus}}',
      /period\.zone: "Mars\/Olympus"; expected an IANA time zone/,
    ],
    [
      '{unit: tokens, limit: 1, period: {unit: day, zone: "+04:00"}}',
      /period\.zone: "\+04:00"; expected an IANA time zone/,
    ],
    [
      '{unit: tokens, limit: 1, period: {unit: day, startsOn: 2}}',
      /period\.startsOn: 2; expected no startsOn for a day/,
    ],
    [
      '{unit: tokens, limit: 1, period: {unit: week, startsOn: 8}}',
      /period\.startsOn: 8; expected a day of the week/,
    ],
    [
      '{unit: tokens, limit: 1, period: {unit: month, startsIn: 3}}',
      /period\.startsIn: 3; expected no startsIn for a month/,
    ],
    [
      '{unit: tokens, rate: 1, window: 1s, handedIn: {}}',
      /limits\.0\.handedIn: .*; expected a source: claim, or policy: true/,
    ],
    [
      '{unit: tokens, rate: 1, window: 1s, handedIn: {policy: false, atMost: 3}}',
      /handedIn: .*expected a source/,
    ],
    ['{unit: tokens, rate: 1, window: 1s, warnAtPercent: 100}', /warnAtPercent: 100; expected at most 99/],
    [
      '{unit: tokens, rate: 1, window: 1s, mode: loud}',
      /mode: "loud"; expected "enforce" or "soft" or "shadow"/,
    ],
    [
      '{unit: tokens, rate: 1, window: 1s, cost: "input_tokens +"}',
      /cost: .*expected a number, a name or "\(" at character 15, where the end stands/,
    ],
    [
      '{unit: tokens, rate: 1, window: 1s, cost: "input_token"}',
      /cost: .*expected one of requests, .* at character 1, where "input_token" stands/,
    ],
    [
      '{unit: tokens, rate: 1, window: 1s, stoer: leased}',
      /limits\.0\.stoer: a key that is not known; expected store/,
    ],
    ['tokens', /limits\.0: "tokens"; expected a map/],
    [
      '{unit: tokens, limit: 2M, period: {unit: day}}',
      /^[^:]+:[0-9]+:[0-9]+: spec\.limits\.0\.limit: "2M"; expected a number or a whole number/,
    ],
  ]
  for (const [limit, message] of rows) t.match(load(t, policy([limit])).problem, message, limit)
})

t.test('members that do not fit each other are told at the one that can be mended', async (t) => {
  const perMinute = '{unit: requests, rate: 5, window: 1m}'
  const daily = '{unit: tokens, limit: 100, period: {unit: day}}'
  const rows: readonly (readonly [string, readonly string[], Readonly<Record<string, string>>, RegExp])[] = [
    [
      'two of one default name',
      [perMinute, '{unit: requests, rate: 9, window: 60s}'],
      {},
      /limits\.1\.name: nothing; expected a name of its own: limits\.0 is called requests-1m too/,
    ],
    [
      'two of one given name',
      ['{name: a, unit: concurrency, max: 1}', '{name: a, unit: requests, rate: 1, window: 1s}'],
      {},
      /limits\.1\.name: "a"; expected a name of its own/,
    ],
    [
      'an override of no limit',
      [perMinute],
      { overrides: '[{tenant: acme, limit: tokens-day, amount: 3}]' },
      /overrides\.0\.limit: "tokens-day"; expected one of requests-1m/,
    ],
    [
      'an override of a tenant that the policy is not for',
      [perMinute],
      { tenants: '[acme]', overrides: '[{tenant: globex, limit: requests-1m, rate: 3}]' },
      /overrides\.0\.tenant: "globex"; expected a tenant of this policy: acme/,
    ],
    [
      'an override of a tenant that does not exist',
      [perMinute],
      { overrides: '[{tenant: nobody, limit: requests-1m, rate: 3}]' },
      /overrides\.0\.tenant: "nobody"; expected a tenant that exists/,
    ],
    [
      'an override twice',
      [perMinute],
      {
        overrides:
          '[{tenant: acme, limit: requests-1m, rate: 3}, {tenant: acme, limit: requests-1m, mode: "off"}]',
      },
      /overrides\.1: .*expected only one override of requests-1m for acme/,
    ],
    [
      'an override that changes nothing',
      [perMinute],
      { overrides: '[{tenant: acme, limit: requests-1m}]' },
      /overrides\.0: .*expected what is other: rate, burst, mode/,
    ],
    [
      'an override of another kind',
      [daily],
      { overrides: '[{tenant: acme, limit: tokens-day, rate: 3}]' },
      /overrides\.0\.rate: 3; expected amount, mode for a limit of kind calendar/,
    ],
    [
      'a rate that cannot be counted',
      ['{unit: tokens, rate: 1, window: 400d, burst: 4503599627370496}'],
      {},
      /limits\.0\.burst: 4503599627370496; expected numbers that can be counted/,
    ],
    [
      'a slice without tokens',
      [perMinute],
      { reserve: '{slice: 256}' },
      /reserve\.slice: 256; expected a limit that counts output tokens, or no slice/,
    ],
    [
      'a slice above the burst',
      ['{unit: outputTokens, rate: 100, window: 1s, burst: 200}'],
      { reserve: '{slice: 256}' },
      /limits\.0\.burst: 200; expected at least 256: what one slice of 256 output tokens costs/,
    ],
    [
      'a slice that costs more than the limit',
      ['{unit: tokens, limit: 700, period: {unit: day}, cost: "3 * output_tokens"}'],
      { reserve: '{slice: 256}' },
      /limits\.0\.limit: 700; expected at least 768/,
    ],
    [
      'a scope twice',
      [perMinute],
      { scope: '[tenant, tenant]' },
      /scope\.1: "tenant"; expected tenant only once/,
    ],
    [
      'a scope that is none',
      [perMinute],
      { scope: 'teneant' },
      /scope: "teneant"; expected tenant, user, .* or header:/,
    ],
  ]
  for (const [name, limits, more, message] of rows)
    t.match(load(t, `${tenant('acme')}---\n${policy(limits, more)}`).problem, message, name)
})

t.test('a lease may not eat the burst of a leased limit', async (t) => {
  const leased = policy(['{unit: requests, rate: 100, window: 1s, burst: 50, store: leased}'])
  t.match(
    load(t, leased, 500).problem,
    /limits\.0: a burst of 50, of which a lease of 500 ms takes 50; expected a burst above 50, a shorter limits\.leaseMs, or store: strict/,
  )
  t.equal(load(t, leased, 490).problem, undefined)
  t.equal(load(t, leased).problem, undefined, 'where nothing is leased')
  const lowered = policy(['{unit: requests, rate: 100, window: 1s, store: leased}'], {
    overrides: '[{tenant: acme, limit: requests-1s, burst: 7}]',
  })
  t.match(load(t, `${tenant('acme')}---\n${lowered}`, 500).problem, /overrides\.0: a burst of 7, of which/)
})
