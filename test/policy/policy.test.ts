import { createHmac } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import { createPipeline } from '#decision/pipeline.ts'
import type { Verdict } from '#decision/verdict.ts'
import { readBundle } from '#policy/bundle/bundle.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { wellFormedJson } from '#policy/input/json-text.ts'
import { createTenantCeiling, openPolicy, type Policy } from '#policy/policy.ts'
import { noResources } from '#resources/resources.ts'
import fc from '../fast-check.ts'
import { buildBundle } from '../harness/opa.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'
import { validExchange } from './exchange.ts'

const decision = 'envoy/authz/allow'
const quiet = () => {}
const bundleOf = (rule: string, revision = 'r1') =>
  buildBundle({ files: { 'p.rego': `package envoy.authz\n\n${rule}\n` }, revision })

/** Opens a policy on bundle bytes and hands over its request stage. */
async function decide(bundle: Buffer, ask: (request: (x: Exchange) => Verdict) => void | Promise<void>) {
  using folder = temporaryFolder()
  const path = join(folder.path, 'bundle.tar.gz')
  writeFileSync(path, bundle)
  await using policy = await openPolicy({
    source: { file: path },
    decision,
    onLoad: quiet,
    clock: fixedClock,
  })
  await ask((x) => request(policy, x))
}
const fixedClock = { nowMs: () => 1_790_000_000_000, monotonicUs: () => 0 }
const request = (policy: Policy, x: Exchange) => policy.stage.request?.(x) as Verdict

/** Whole or not at all, as a deployment replaces a file. */
function replace(path: string, bytes: Buffer | string) {
  writeFileSync(`${path}.new`, bytes)
  renameSync(`${path}.new`, path)
}

t.test('nothing is allowed before a bundle; a broken one never replaces a good one', async (t) => {
  const [first, second] = await Promise.all([
    bundleOf('allow := false', 'one'),
    bundleOf('allow := true', 'two'),
  ])
  using folder = temporaryFolder()
  const path = join(folder.path, 'bundle.tar.gz')
  const loads: { readonly revision?: string; readonly problem?: string }[] = []
  await using policy = await openPolicy({
    source: { file: path },
    decision,
    watchIntervalMs: 5,
    clock: fixedClock,
    onLoad: (load) => loads.push(load),
  })
  t.notOk(policy.isReady())
  t.match(policy.status().lastError, /ENOENT/)
  t.match(request(policy, validExchange()), { kind: 'error', reason: 'policy_not_loaded' })

  replace(path, first)
  await eventually('the first bundle', () => policy.isReady())
  t.same(policy.status(), { engine: 'wasm', revision: 'one', activatedAtMs: 1_790_000_000_000 })
  t.match(request(policy, validExchange()), { kind: 'deny', reason: 'policy_denied' })

  replace(path, 'broken')
  await eventually('the broken bundle', () => policy.status().lastError)
  t.match(policy.status(), { revision: 'one', lastError: /expected a gzip archive/ })
  t.match(request(policy, validExchange()), { kind: 'deny', reason: 'policy_denied' })

  replace(path, second)
  await eventually('the second bundle', () => policy.status().revision === 'two')
  const x = validExchange()
  t.match(request(policy, x), { kind: 'allow' })
  t.same(x.policy, { decisionId: 'd1', revision: 'two', isAllowed: true })
  t.notOk('lastError' in policy.status())
  t.same(loads.at(-1), { revision: 'two' })
})

t.test('an undefined decision refuses', async (t) => {
  await decide(await bundleOf('allow if input.nothing'), (ask) => {
    t.match(ask(validExchange()), { kind: 'deny', reason: 'policy_undefined' })
  })
})

t.test('what cannot be read as input is refused before Rego sees anything', async (t) => {
  const json = [['content-type', 'application/json']] as const
  await decide(await bundleOf('default allow := true'), (ask) => {
    const bad = [
      { path: '/%zz' },
      { path: '/x?a=1;b' },
      { headers: json, body: '{' },
      { attributes: { text: 'x'.repeat(1 << 20) } },
    ]
    for (const change of bad) {
      t.match(
        ask(validExchange(change)),
        { kind: 'deny', reason: 'request_malformed' },
        Object.keys(change).join(),
      )
    }
  })
})

t.test('a policy that traps on one request refuses it and answers the next', async (t) => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'bundle.tar.gz')
  writeFileSync(path, await bundleOf('allow if json.unmarshal(input.attributes.text)'))
  await using policy = await openPolicy({ source: { file: path }, decision, onLoad: quiet })
  const pipeline = createPipeline({ stages: [policy.stage], resources: () => noResources, deadlineMs: 1000 })
  const ask = (text: string) =>
    pipeline.request(pipeline.open(validExchange({ attributes: { text } }).request))
  t.match(ask('['.repeat(400_000)), {
    kind: 'error',
    reason: 'policy_failed',
    cause: { message: /^policy evaluation failed: Maximum call stack/ },
  })
  t.match(ask('true'), { kind: 'allow' })
})

t.test('no text of a client makes the engine trap: policy sees lone surrogates as U+FFFD', async (t) => {
  const bundle = readBundle(await bundleOf('allow := {"seen": input.v}'), 'p', decision)
  const engine = createEngine({ ...bundle, place: 'p' })
  const text = fc.string({ unit: 'binary', maxLength: 40 })
  const surrogates = fc
    .array(fc.integer({ min: 0xd7ff, max: 0xe001 }))
    .map((codes) => String.fromCharCode(...codes))
  const value = fc.jsonValue({ stringUnit: 'binary', maxDepth: 5 })
  fc.assert(
    fc.property(fc.oneof(text, surrogates), fc.oneof(text, surrogates), value, (key, string, other) => {
      const sent = { v: { [`k${key}`]: string, [`\\ud${key}`]: `\\ud800${string}`, other } }
      const result = engine.evaluate(decision, new InputDocument(sent), { nowNs: 0n })
      t.same(result, { seen: JSON.parse(wellFormedJson(JSON.stringify(sent.v))) })
      t.ok(JSON.stringify(sent.v).isWellFormed())
    }),
    { numRuns: 200 },
  )
  t.same(JSON.parse(wellFormedJson(JSON.stringify({ '\ud800': 'a\udfff\\ud800😀' }))), {
    '\ufffd': 'a\ufffd\\ud800😀',
  })
})

t.test('a builtin gives back what a client wrote into a token without a trap', async (t) => {
  const token = `${b64('{"alg":"none"}')}.${b64('{"\\ud800":"\\udfff"}')}.`
  const engine = createEngine({
    ...readBundle(await bundleOf('allow := io.jwt.decode(input.t)[1]'), 'p', decision),
    place: 'p',
  })
  t.same(engine.evaluate(decision, new InputDocument({ t: token }), { nowNs: 0n }), { '\ufffd': '\ufffd' })
})

t.test('exact numbers of a body are compared exactly', async (t) => {
  const headers = [['content-type', 'application/json']] as const
  await decide(
    await bundleOf('default allow := false\n\nallow if input.parsed_body.n == 12345678901234567891'),
    (ask) => {
      t.match(ask(validExchange({ headers, body: '{"n":12345678901234567891}' })), { kind: 'allow' })
      t.match(ask(validExchange({ headers, body: '{"n":12345678901234567890}' })), { kind: 'deny' })
    },
  )
})

const b64 = (text: string) => Buffer.from(text).toString('base64url')

/** The shape people write for the OPA Envoy plugin: a token, a path, roles, an object as the answer. */
const withToken = `
default allow := {"allowed": false, "http_status": 401, "body": "no token"}

allow := answer if {
	claims
	answer := {"allowed": permitted, "headers": {"x-user": claims.sub}, "dynamic_metadata": {"roles": claims.roles}}
}

claims := payload if {
	[scheme, token] := split(input.attributes.request.http.headers.authorization, " ")
	scheme == "Bearer"
	[true, _, payload] = io.jwt.decode_verify(token, {"secret": "secret", "aud": "models"})
}

default permitted := false

permitted if {
	input.attributes.request.http.method == "POST"
	["v2", "models", model, "infer"] = input.parsed_path
	some role in claims.roles
	model in grants[role]
}

grants := {"scorer": ["fraud"]}
`

t.test(
  'a policy written for the OPA Envoy plugin runs unchanged: token, path and object result',
  async (t) => {
    const token = (claims: object, secret = 'secret') => {
      const signed = `${b64('{"alg":"HS256"}')}.${b64(JSON.stringify({ aud: 'models', exp: 1_790_000_100, ...claims }))}`
      return `Bearer ${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
    }
    await decide(await bundleOf(withToken), (ask) => {
      const send = (authorization: string, model = 'fraud') => {
        const path = `/v2/models/${model}/infer`
        const http = { method: 'POST', path, headers: { authorization } }
        return ask(validExchange({ path, attributes: { request: { http } } }))
      }
      const scorer = { sub: 'ann', roles: ['scorer'] }
      t.match(send(token(scorer)), {
        kind: 'allow',
        mutations: {
          setHeaders: [['x-user', 'ann']],
          dynamicMetadata: { roles: ['scorer'], decision_id: 'd1' },
        },
      })
      t.match(send(token(scorer), 'ocr'), { kind: 'deny', own: { headers: [['x-user', 'ann']] } })
      for (const [name, bad] of [
        ['another key', token(scorer, 'other')],
        ['expired', token({ ...scorer, exp: 1_789_999_999 })],
        ['another audience', token({ ...scorer, aud: 'x' })],
        ['no token', ''],
      ] as const) {
        t.match(send(bad), { kind: 'deny', own: { httpStatus: 401, body: 'no token' } }, name)
      }
    })
  },
)

t.test("a tenant's list of models binds without any policy", async (t) => {
  const { request } = createTenantCeiling()
  const cases: [model: string, isListed: boolean][] = [
    ['fraud', true],
    ['ocr-1', true],
    ['ocr-', true],
    ['fraud2', false],
    ['ocr', false],
    ['Fraud', false],
    ['*', false],
  ]
  for (const [model, isListed] of cases) {
    const verdict = request?.(validExchange({ call: { protocol: 'v2-http', verb: 'infer', model } }))
    t.match(verdict, isListed ? { kind: 'allow' } : { kind: 'deny', reason: 'model_not_permitted' }, model)
  }
  const unseen = validExchange({ call: { protocol: 'v2-grpc', verb: 'infer' } })
  t.match(request?.(unseen), { kind: 'deny', reason: 'model_not_permitted' }, 'a model that was not seen')
  const live = validExchange({ call: { protocol: 'v2-http', verb: 'server_live' } })
  t.match(request?.(live), { kind: 'allow' }, 'a call about the server')
})
