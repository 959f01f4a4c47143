import { join } from 'node:path'
import t from 'tap'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { eventOf } from '#policy/log/event.ts'
import { redact } from '#policy/log/redact.ts'
import fc from '../../fast-check.ts'
import { http } from '../../harness/http.ts'
import { startLogServer } from '../../harness/log-server.ts'
import { startOpaServer } from '../../harness/opa-server.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { logEngine, validDecided } from './decisions.ts'

/** The decision is what its input says, and so is what becomes of its event. */
const policy = `package system.log

mask := input.input.mask

drop := input.input.drop
`
const authz = 'package envoy.authz\n\nallow := input.answer\n'

interface Case {
  readonly mask?: JsonValue
  readonly drop?: JsonValue
  readonly answer: JsonValue
  readonly [more: string]: JsonValue | undefined
}

const document = {
  a: { b: { c: 1 }, 'x/y': 1, 'x~1y': 2, '~': 3, 'sp ace': 4, 'p%20q': 5, é: 6, ':path': 7, '': 8 },
  list: [1, { k: 'v' }, [1, 2, 3]],
  text: 'abc',
  nothing: null,
}
const result = { headers: { token: 's' }, rows: [1, 2, 3] }

const rows: [name: string, mask: JsonValue][] = [
  ['a member', ['/input/a/b/c']],
  ['an object', ['/input/a/b']],
  ['the input', ['/input']],
  ['the result', ['/result']],
  ['what is not there', ['/input/no/such', '/nd_builtin_cache', '/nd_builtin_cache/x', '/input/text/0']],
  ['the same twice', ['/input/text', '/input/text']],
  ['an item, and the one that follows', ['/input/list/0', '/input/list/0']],
  ['an item of an item', ['/input/list/2/1', '/input/list/1/k']],
  ['an index with a sign or zeros', ['/input/list/+1', '/input/list/00', '/input/list/-0']],
  ['an index beyond the end', ['/input/list/3', '/input/list/-1', '/input/list/1.0', '/input/list/x']],
  ['an escape of JSON pointers', ['/input/a/x~1y', '/input/a/~0', '/input/a/~']],
  ['an escape of URLs', ['/input/a/p%20q', '/input/a/sp%20ace', '/input/a/x%2Fy']],
  ['a character that URLs escape', ['/input/a/sp ace', '/input/a/é', '/input/a/:path']],
  ['an empty key', ['/input/a/', '/input//']],
  ['a bad escape', ['/input/a/%zz']],
  ['an upsert', [{ op: 'upsert', path: '/input/a/b/c', value: [1, { x: null }] }]],
  ['an upsert of what is not there', [{ op: 'upsert', path: '/input/new/deep/er', value: 1 }]],
  ['an upsert without a value', [{ op: 'upsert', path: '/input/text' }]],
  ['an upsert into an array', [{ op: 'upsert', path: '/input/list/1/k', value: 'w' }]],
  ['an upsert beyond an array', [{ op: 'upsert', path: '/input/list/7', value: 'w' }]],
  ['an upsert below a number', [{ op: 'upsert', path: '/input/a/b/c/d', value: 'w' }]],
  ['an upsert of the whole input', [{ op: 'upsert', path: '/input', value: 'gone' }]],
  ['an upsert of the whole result', [{ op: 'upsert', path: '/result', value: { x: 1 } }]],
  ['a removal as an object', [{ op: 'remove', path: '/result/headers/token' }]],
  ['a removal after an upsert', [{ op: 'upsert', path: '/input/z', value: { y: 1 } }, '/input/z/y']],
  ['an item of the result', ['/result/rows/1', '/result/rows/1']],
  ['nothing', []],
  ['another part', ['/labels/id']],
  ['no slash', ['input/a']],
  ['an empty pointer', ['']],
  ['a slash alone', ['/']],
  ['no op', [{ path: '/input/a' }]],
  ['another op', [{ op: 'replace', path: '/input/a' }]],
  ['an op that is no text', [{ op: 1, path: '/input/a' }]],
  ['no path', [{ op: 'remove' }]],
  ['a number as a rule', [1]],
  ['an object as a mask', { '/input/a': true }],
  ['a text as a mask', '/input/a'],
  ['a good rule and a bad one', ['/input/text', '/labels']],
]

const key = fc.constantFrom('a', 'b', 'list', '0', '1', '2', 'x/y', 'x~1y', 'sp ace', 'é', '__proto__', 'new')
const path = fc
  .tuple(fc.constantFrom('input', 'input', 'result', 'nd_builtin_cache'), fc.array(key, { maxLength: 4 }))
  .map(([part, keys]) => `/${[part, ...keys].join('/')}`)
const value = fc.constantFrom<JsonValue>(null, 1, 'w', [1, 2], { a: { b: [0] } })
const rule: fc.Arbitrary<JsonValue> = fc.oneof(
  path,
  fc.record({ op: fc.constant('upsert'), path, value }) as fc.Arbitrary<JsonValue>,
)
const random: Case[] = fc
  .sample(fc.array(rule, { minLength: 1, maxLength: 5 }), { numRuns: 300, seed: 5 })
  .map((mask) => ({ mask, answer: { a: { b: 1 }, list: [[1, 2], 3] }, ...document }))

const drops: Case[] = [true, false].map((drop) => ({ drop, answer: true }))

t.test('masks and drops do to an event what they do to it under the real opa', async (t) => {
  const cases: readonly Case[] = [
    ...rows.map(([, mask]) => ({ mask, answer: result, ...document })),
    ...random,
    ...drops,
    { answer: true },
  ]
  using folder = temporaryFolder()
  await using server = await startLogServer()
  await using opa = await startOpaServer(
    join(folder.path, 'opa'),
    { 'log.rego': policy, 'authz.rego': authz },
    {
      services: { logs: { url: server.url } },
      decision_logs: { service: 'logs', reporting: { min_delay_seconds: 1, max_delay_seconds: 1 } },
    },
  )
  // The last one is neither dropped nor refused: when it is there, all are.
  const ids: string[] = []
  for (const input of [...cases, { answer: 'end' }]) {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ input })
    const answer = await http({ port: opa.port, path: '/v1/data/envoy/authz/allow', body, headers })
    ids.push(JSON.parse(answer.body).decision_id)
  }
  const events = await eventually('the last event', () => {
    const all = server.events()
    return all.some((event) => event['decision_id'] === ids.at(-1)) && all
  })
  const theirs = new Map(events.map((event) => [ids.indexOf(String(event['decision_id'])), event]))
  const engine = await logEngine(policy, ['system/log/mask', 'system/log/drop'])
  for (const [number, input] of cases.entries()) {
    const decided = validDecided({
      engine,
      input: new InputDocument(input as JsonObject),
      result: input.answer,
    })
    const event = eventOf(decided, { labels: {}, isNdBuiltinCacheWanted: false, requestHeaders: [] })
    const redacted = await redact(decided, event, { mask: 'system/log/mask', drop: 'system/log/drop' })
    const their = theirs.get(number)
    const what = `${rows[number]?.[0] ?? number}: ${JSON.stringify(input)}`
    if (redacted.kind !== 'kept') {
      t.equal(their, undefined, what)
      continue
    }
    const ours = JSON.parse(redacted.text.bytes.toString())
    for (const part of ['input', 'result', 'erased', 'masked'] as const)
      t.same(ours[part], their?.[part], `${part}, ${what}`)
    t.same(Object.hasOwn(ours, 'input'), Object.hasOwn(their ?? {}, 'input'), what)
  }
})
