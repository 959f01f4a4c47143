import t from 'tap'
import type { JsonValue } from '#base/json.ts'
import type { Engine } from '#policy/engine/engine.ts'
import { eventOf } from '#policy/log/event.ts'
import { redact } from '#policy/log/redact.ts'
import { type Event, logEngine, silentEngine, validDecided } from './decisions.ts'

const asked = { mask: 'system/log/mask', drop: 'system/log/drop' }
const secrets = ['s3cret', 'c00kie', 'k3y']

async function logged(change: Parameters<typeof validDecided>[0]) {
  const decided = validDecided(change)
  const event = eventOf(decided, { labels: {}, isNdBuiltinCacheWanted: true, requestHeaders: [] })
  const redacted = await redact(decided, event, asked)
  const text = redacted.kind === 'dropped' ? '' : redacted.text.bytes.toString()
  return { kind: redacted.kind, text, event: (text === '' ? {} : JSON.parse(text)) as Event }
}

/** An engine that has both entrypoints and answers what the test says. */
function engineOf(answers: { readonly mask?: () => unknown; readonly drop?: () => unknown }): Engine {
  const entrypoints = new Set(Object.keys(answers).map((name) => `system/log/${name}`))
  return {
    ...silentEngine,
    entrypoints,
    evaluate: (entrypoint) =>
      (entrypoint === asked.mask ? answers.mask : answers.drop)?.() as JsonValue | undefined,
  }
}

const headers = {
  authorization: 's3cret',
  cookie: 'c00kie',
  'x-api-key': 'k3y',
  dpop: 'pr00f',
  'x-other': 'o',
}
const encoded = Buffer.from('s3cret').toString('base64')
const places: [name: string, change: Parameters<typeof validDecided>[0], erased: string[]][] = [
  [
    'request headers',
    { document: { attributes: { request: { http: { headers } } } } },
    ['authorization', 'cookie', 'x-api-key', 'dpop'].map(
      (name) => `/input/attributes/request/http/headers/${name}`,
    ),
  ],
  [
    'the header map',
    {
      document: {
        attributes: {
          request: {
            http: {
              headerMap: {
                headers: [
                  { key: 'x-other', value: 'o' },
                  { key: 'Authorization', rawValue: encoded },
                  { key: 'cookie', value: 'c00kie' },
                ],
              },
            },
          },
        },
      },
    },
    [
      '/input/attributes/request/http/headerMap/headers/1/rawValue',
      '/input/attributes/request/http/headerMap/headers/2/value',
    ],
  ],
  [
    'response headers',
    { document: { serving: { phase: 'response', response: { headers: { 'set-cookie': 'c00kie' } } } } },
    ['/input/serving/response/headers/set-cookie'],
  ],
  [
    'headers that policy sets',
    { result: { allowed: true, headers: { Authorization: 's3cret', 'x-user': 'bob' } } },
    ['/result/headers/Authorization'],
  ],
  [
    'headers that policy sets in a list, and those of the answer',
    {
      result: {
        allowed: true,
        headers: [{ 'x-api-key': 'k3y' }],
        response_headers_to_add: { 'set-cookie': ['c00kie'] },
      },
    },
    ['/result/headers/0/x-api-key', '/result/response_headers_to_add/set-cookie'],
  ],
  [
    'tokens among the operands of builtins',
    { recorded: new Map([['io.jwt.decode_verify', new Map([['["s3cret",{}]', [true]]])]]) },
    ['/nd_builtin_cache/io.jwt.decode_verify'],
  ],
]

t.test('credentials are in no event, with no mask policy as with one', async (t) => {
  const engines = { none: silentEngine, 'one that masks nothing': engineOf({ mask: () => undefined }) }
  for (const [name, change, erased] of places) {
    for (const [policy, engine] of Object.entries(engines)) {
      const { event, text } = await logged({ ...change, engine })
      t.same(event['erased'], erased, `${name}, mask policy: ${policy}`)
      for (const secret of [...secrets, encoded]) t.notOk(text.includes(secret), `${name}: ${text}`)
    }
  }
})

t.test('what is logged is changed, never what is decided with', async (t) => {
  const document = { attributes: { request: { http: { headers } } } }
  const result = { allowed: true, headers: { authorization: 's3cret' } }
  const before = structuredClone({ document, result })
  await logged({
    document,
    result,
    engine: engineOf({ mask: () => ['/input/attributes', '/result/allowed'] }),
  })
  t.same({ document, result }, before)
})

t.test('policy has the last word: it sees credentials, and may put something in their place', async (t) => {
  const engine = await logEngine(
    `package system.log

mask contains {"op": "upsert", "path": path, "value": substring(input.input.attributes.request.http.headers[name], 0, 2)} if {
	name := "authorization"
	path := concat("/", ["", "input/attributes/request/http/headers", name])
}
`,
    [asked.mask],
  )
  const { event, text } = await logged({
    document: { attributes: { request: { http: { headers } } } },
    engine,
  })
  t.match(event, {
    input: { attributes: { request: { http: { headers: { authorization: 's3', 'x-other': 'o' } } } } },
    masked: ['/input/attributes/request/http/headers/authorization'],
  })
  for (const secret of secrets) t.notOk(text.includes(secret), text)
})

t.test('drop is asked before mask, and what is dropped is gone', async (t) => {
  const order: string[] = []
  const answers = (isDropped: boolean) =>
    engineOf({
      drop: () => {
        order.push('drop')
        return isDropped
      },
      mask: () => {
        order.push('mask')
        return []
      },
    })
  t.equal((await logged({ engine: answers(true) })).kind, 'dropped')
  t.same(order, ['drop'])
  t.equal((await logged({ engine: answers(false) })).kind, 'kept')
  t.same(order, ['drop', 'drop', 'mask'])
})

const fails = () => {
  throw new Error('s3cret')
}
const faults: [name: string, answers: Parameters<typeof engineOf>[0], why: string][] = [
  ['a mask that fails', { mask: fails }, 'system/log/mask failed'],
  ['a drop that fails', { drop: fails, mask: () => [] }, 'system/log/drop failed'],
  ['a mask that fails later', { mask: async () => fails() }, 'system/log/mask failed'],
  ['a drop that fails later', { drop: async () => fails() }, 'system/log/drop failed'],
  [
    'a mask after a drop that answers later',
    { drop: async () => false, mask: fails },
    'system/log/mask failed',
  ],
  ['a drop that answers a text', { drop: () => 'yes' }, 'system/log/drop answered neither true nor false'],
  ['a drop that answers null', { drop: () => null }, 'system/log/drop answered neither true nor false'],
  ['a mask that is no set', { mask: () => ({}) }, 'system/log/mask answered no mask: the mask is no set'],
  [
    'a mask that answers later, and no set',
    { mask: async () => true },
    'system/log/mask answered no mask: the mask is no set',
  ],
  [
    'a mask with one bad rule',
    { mask: () => ['/input', '/labels'] },
    'system/log/mask answered no mask: a mask path leads outside of input, result and nd_builtin_cache',
  ],
]

t.test('policy that fails or answers nonsense lets nothing out but that it did', async (t) => {
  for (const [name, answers, why] of faults) {
    const recorded = new Map([['rand.intn', new Map([['["s3cret",1]', 0]])]])
    const { kind, event, text } = await logged({
      document: { secret: 's3cret' },
      result: 's3cret',
      recorded,
      engine: engineOf(answers),
    })
    t.equal(kind, 'erased', name)
    t.notOk(text.includes('s3cret'), `${name}: ${text}`)
    t.match(
      event,
      {
        decision_id: 'd1',
        path: 'envoy/authz/allow',
        erased: ['/input', '/result', '/nd_builtin_cache'],
        custom: { sluice: { erased_because: why } },
      },
      name,
    )
    for (const part of ['input', 'result', 'nd_builtin_cache']) t.notOk(part in event, `${name}: ${part}`)
  }
})

t.test('a policy sees the whole event as it is', async (t) => {
  const engine = await logEngine(
    `package system.log

mask contains {"op": "upsert", "path": "/input", "value": input}
`,
    [asked.mask],
  )
  const { event } = await logged({
    engine,
    document: { attributes: { request: { http: { headers } } } },
    recorded: new Map([['rand.intn', new Map([['["x",1]', 0]])]]),
    error: undefined,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  })
  t.same(Object.keys(event['input'] as object).sort(), [
    ...['bundles', 'decision_id', 'input', 'labels', 'metrics', 'nd_builtin_cache', 'path', 'result'],
    ...['span_id', 'timestamp', 'trace_id'],
  ])
  t.match(event, { input: { input: { attributes: { request: { http: { headers } } } }, result: true } })
})
