import t from 'tap'
import type { JsonValue } from '#base/json.ts'
import { rawJSON } from '#base/raw-json.ts'
import { verdictOf } from '#policy/result.ts'
import { plainResult, resultSchema } from '#policy/result-schema.ts'
import { withDoubles } from '#policy/values/json.ts'
import fc from '../fast-check.ts'

const decided = { decision_id: 'd1' }

t.test('what Rego said becomes a verdict', async (t) => {
  const cases: [result: JsonValue | undefined, verdict: object][] = [
    [true, { kind: 'allow', mutations: { dynamicMetadata: decided } }],
    [false, { kind: 'deny', reason: 'policy_denied', own: { dynamicMetadata: decided } }],
    [undefined, { kind: 'deny', reason: 'policy_undefined' }],
    [
      { allowed: true, unknown: 1 },
      { kind: 'allow', mutations: { dynamicMetadata: decided } },
    ],
    [
      {
        allowed: true,
        headers: [{ 'X-A': ['1', '2'] }, { 'x-b': '3' }],
        response_headers_to_add: { 'x-c': '4' },
        request_headers_to_remove: ['Authorization'],
        query_parameters_to_set: { q: ['1', '2'] },
        query_parameters_to_remove: ['r'],
        dynamic_metadata: { team: { id: 7 }, decision_id: 'forged' },
      },
      {
        kind: 'allow',
        mutations: {
          dynamicMetadata: { team: { id: 7 }, ...decided },
          setHeaders: [
            ['x-a', '1'],
            ['x-a', '2'],
            ['x-b', '3'],
          ],
          addResponseHeaders: [['x-c', '4']],
          removeHeaders: ['authorization'],
          setQuery: [
            ['q', '1'],
            ['q', '2'],
          ],
          removeQuery: ['r'],
        },
      },
    ],
    [
      { allowed: true, quotas: { 'gold/tokens-day': 5 } },
      { kind: 'allow', mutations: { dynamicMetadata: decided } },
    ],
    [
      { allowed: false, quotas: 'no' },
      { kind: 'deny', reason: 'policy_denied', own: { dynamicMetadata: decided } },
    ],
    [
      { allowed: false, http_status: 302, headers: { location: '/login' }, body: 'no' },
      {
        kind: 'deny',
        reason: 'policy_denied',
        own: { dynamicMetadata: decided, httpStatus: 302, headers: [['location', '/login']], body: 'no' },
      },
    ],
    [
      {
        allowed: false,
        body: 'sign in',
        challenge: { acr_values: ['phr', 'mfa'], max_age: 300, scope: 'infer admin' },
      },
      {
        kind: 'deny',
        reason: 'step_up_required',
        demand: { acrValues: ['phr', 'mfa'], maxAgeSeconds: 300, scope: 'infer admin' },
        own: { dynamicMetadata: decided, body: 'sign in' },
      },
    ],
    [
      { allowed: false, challenge: { max_age: 0 } },
      {
        kind: 'deny',
        reason: 'step_up_required',
        demand: { maxAgeSeconds: 0 },
        own: { dynamicMetadata: decided },
      },
    ],
    [
      { allowed: false, challenge: { scope: 'admin' } },
      {
        kind: 'deny',
        reason: 'scope_insufficient',
        demand: { scope: 'admin' },
        own: { dynamicMetadata: decided },
      },
    ],
    [
      { allowed: true, challenge: 'not looked at where it allows' },
      { kind: 'allow', mutations: { dynamicMetadata: decided } },
    ],
  ]
  for (const [result, verdict] of cases) t.same(verdictOf(result, 'd1'), verdict, JSON.stringify(result))
})

t.test('a result of the wrong shape is an error, and an error refuses', async (t) => {
  const wrong: JsonValue[] = [
    null,
    1,
    'true',
    [],
    [true],
    {},
    { allowed: 'true' },
    { allowed: 1 },
    { allowed: true, headers: 'x' },
    { allowed: true, headers: { a: 1 } },
    { allowed: true, headers: { a: [1] } },
    { allowed: true, headers: { 'a b': '1' } },
    { allowed: true, headers: { a: 'b\r\nx: y' } },
    { allowed: true, response_headers_to_add: { a: null } },
    { allowed: true, request_headers_to_remove: 'a' },
    { allowed: true, query_parameters_to_set: { a: 1 } },
    { allowed: true, query_parameters_to_remove: [1] },
    { allowed: true, dynamic_metadata: [] },
    { allowed: false, body: 1 },
    { allowed: false, http_status: '403' },
    { allowed: false, http_status: 403.5 },
    { allowed: false, http_status: 451 },
    { allowed: false, http_status: 0 },
    { allowed: false, challenge: null },
    { allowed: false, challenge: 'mfa' },
    { allowed: false, challenge: {} },
    { allowed: false, challenge: { acr: ['mfa'] } },
    { allowed: false, challenge: { max_age: 1, acr_value: ['mfa'] } },
    { allowed: false, challenge: { acr_values: 'mfa' } },
    { allowed: false, challenge: { acr_values: [] } },
    { allowed: false, challenge: { acr_values: ['a b'] } },
    { allowed: false, challenge: { acr_values: ['a"'] } },
    { allowed: false, challenge: { acr_values: ['a\r\nb'] } },
    { allowed: false, challenge: { max_age: -1 } },
    { allowed: false, challenge: { max_age: 1.5 } },
    { allowed: false, challenge: { max_age: '1' } },
    { allowed: false, challenge: { scope: '' } },
    { allowed: false, challenge: { scope: 'a  b' } },
    { allowed: false, challenge: { scope: 'a\\b' } },
    { allowed: false, http_status: 401, challenge: { max_age: 1 } },
  ]
  for (const result of wrong) {
    t.match(
      verdictOf(result, 'd1'),
      { kind: 'error', reason: 'policy_result_invalid' },
      JSON.stringify(result),
    )
  }
})

t.test('a policy may not touch routing, framing or what Sluice vouches for', async (t) => {
  const names = [
    ':path',
    ':authority',
    'Host',
    'content-length',
    'Transfer-Encoding',
    'connection',
    'keep-alive',
  ]
  names.push('proxy-connection', 'te', 'trailer', 'upgrade', 'X-Envoy-Upstream', 'x-sluice-tenant')
  for (const name of names) {
    for (const change of [
      { headers: { [name]: 'x' } },
      { response_headers_to_add: [{ [name]: ['x'] }] },
      { request_headers_to_remove: [name] },
    ]) {
      const verdict = verdictOf({ allowed: true, ...change }, 'd1')
      t.match(verdict, { kind: 'error', reason: 'policy_result_invalid' }, JSON.stringify(change))
    }
  }
})

t.test('what is read of a result by hand is what the schema makes of it', async (t) => {
  const odd = fc.constantFrom<JsonValue>(
    null,
    1,
    true,
    [],
    {},
    '',
    rawJSON('1.0'),
    rawJSON('1e999'),
    ['a'],
    [{}],
  )
  const badName = fc.constantFrom(
    'host',
    'x-sluice-a',
    'Content-Length',
    'rawJSON',
    '__proto__',
    'a b',
    '',
    'é',
  )
  const name = fc.oneof({ weight: 20, arbitrary: fc.constantFrom('X-A', 'x-b', 'toString') }, badName)
  const text = fc.oneof(
    { weight: 20, arbitrary: fc.string() },
    fc.constantFrom('\r\n', '\t', '\u007f', '\ud800'),
  )
  // Own keys, also of a name that an object inherits.
  const objectOf = (value: fc.Arbitrary<JsonValue>) =>
    fc.array(fc.tuple(name, value), { maxLength: 3 }).map((pairs) => Object.fromEntries(pairs) as JsonValue)
  const headers = fc.oneof(
    { weight: 8, arbitrary: objectOf(text) },
    objectOf(fc.oneof(text, odd, fc.array(text))),
    fc.array(objectOf(text), { maxLength: 2 }),
    odd,
  )
  const status = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(200, 302, 403, 451, 403.5, -0) }, odd)
  const result = fc.record(
    {
      allowed: fc.oneof({ weight: 8, arbitrary: fc.boolean() }, odd),
      headers,
      response_headers_to_add: headers,
      dynamic_metadata: fc.oneof(objectOf(fc.oneof(text, fc.double(), odd)), odd),
      http_status: status,
      body: fc.oneof({ weight: 3, arbitrary: text }, odd),
      request_headers_to_remove: fc.oneof(fc.array(text), odd),
      query_parameters_to_remove: odd,
      more: odd,
    },
    { requiredKeys: [] },
  )
  const challenged = fc
    .tuple(result, fc.oneof(odd, fc.constant({ max_age: 1 })))
    .map(([given, challenge]) => ({ ...given, challenge }))
  let plainCount = 0
  fc.assert(
    fc.property(fc.oneof({ weight: 20, arbitrary: result }, challenged, odd), (given) => {
      const plain = plainResult(given as JsonValue)
      if (plain === undefined) return
      plainCount++
      const parsed = resultSchema.safeParse(withDoubles(given as JsonValue))
      t.strictSame(
        { ...plain },
        parsed.success ? { ...parsed.data } : parsed.error.issues,
        JSON.stringify(given),
      )
    }),
    { numRuns: 5_000 },
  )
  t.ok(plainCount > 100, `of 5000 results ${plainCount} were read by hand`)
})

t.test('limits that a policy hands in are whole numbers by their names', async (t) => {
  const handedIn = (quotas: JsonValue) => {
    let found: ReadonlyMap<string, number> | undefined
    const verdict = verdictOf({ allowed: true, quotas }, 'd1', (all) => {
      found = all
    })
    return { found, verdict }
  }
  t.same(
    handedIn({ 'a/b': 0, 'c/d': 9007199254740991 }).found,
    new Map([
      ['a/b', 0],
      ['c/d', 9007199254740991],
    ]),
  )
  t.same(handedIn({}).found, new Map())
  t.same(handedIn({ __proto__x: 3 }).found, new Map([['__proto__x', 3]]))
  t.equal(handedIn({ 'a/b': rawJSON('7') as JsonValue }).found?.get('a/b'), 7)
  const wrong: readonly JsonValue[] = [
    [],
    'a',
    3,
    null,
    { a: -1 },
    { a: 1.5 },
    { a: '3' },
    { a: true },
    { a: null },
    { a: 9007199254740992 },
    { a: {} },
    { a: 1, b: -1 },
    { a: rawJSON('1e400') as JsonValue },
  ]
  for (const quotas of wrong) {
    const { found, verdict } = handedIn(quotas)
    t.match(verdict, { kind: 'error', reason: 'policy_result_invalid' }, JSON.stringify(quotas))
    t.equal(found, undefined)
  }
})
