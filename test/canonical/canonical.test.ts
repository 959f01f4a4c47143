import t from 'tap'
import { createCanonicalStage } from '#canonical/canonical.ts'
import { configSchema } from '#config/schema.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { upstreamHeaders } from '#envoy/upstream-headers.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { anExchange, inTurn, someRequest } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'
import { headerForms, hostForms, methodForms } from './forms.ts'
import { spellings } from './spellings.ts'

const { identity } = configSchema.parse({
  identity: { trustDomains: ['example.org'] },
  listen: { agent: 'unix:/run/agent.sock' },
})
const tenantHeaders = identity?.tenantHeaders ?? []
const strict = createCanonicalStage({ isStrict: true, tenantHeaders })
const loose = createCanonicalStage({ isStrict: false, tenantHeaders })

type Request = Parameters<typeof someRequest>[0]
const asked = (request: Request) => {
  const { canonical: _, ...x } = anExchange({ request: someRequest(request) })
  return x as Exchange
}
const judge = (request: Request, stage = strict) => {
  const x = asked(request)
  return { x, verdict: stage.request?.(x) as Verdict }
}
const expectation = (verdict: string) =>
  verdict === 'allow' ? { kind: 'allow' } : { kind: 'deny', reason: verdict }

t.test('each spelling of a path is refused, or is the canonical one', async (t) => {
  for (const { target, sluice } of spellings) {
    const x = asked({ path: target })
    t.match(inTurn(x, strict, createInferenceStage()), expectation(sluice), JSON.stringify(target))
    if (sluice === 'allow') t.equal(x.canonical?.path, target.replace(/\?.*/, ''), target)
  }
})

t.test('each form of a host is refused, or means the same in lower case', async (t) => {
  for (const { authority, sluice } of hostForms) {
    const { x, verdict } = judge({ authority })
    t.match(verdict, expectation(sluice), JSON.stringify(authority))
    if (sluice === 'allow') t.equal(x.canonical?.authority, authority.toLowerCase())
  }
})

t.test('each method that readers do not know alike is refused', async (t) => {
  for (const { method, sluice } of methodForms)
    t.match(judge({ method }).verdict, expectation(sluice), method)
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
    t.equal(judge({ method }).verdict.kind, 'allow', method)
})

/** As Envoy sends them, beside what a row says. */
const base = [
  [':method', 'POST'],
  [':authority', 'models.example.org'],
  [':scheme', 'https'],
  [':path', '/v2/models/fraud/infer'],
  ['content-type', 'application/json'],
  ['content-length', '77'],
] as const

t.test('each form of a header is refused, or kept from policy and server, or harmless', async (t) => {
  for (const { headers, sluice } of headerForms) {
    const { x, verdict } = judge({ headers: [...base, ...headers] })
    t.match(verdict, expectation(sluice), JSON.stringify(headers))
    const names = headers.map(([name]) => name.toLowerCase())
    const ours = names.filter((name) => /^x-(sluice|tenant|org|scope)/.test(name))
    if (sluice === 'allow') t.same(x.canonical?.withheld, [...new Set(ours)], JSON.stringify(headers))
  }
})

t.test('a host beside :authority has to be the same', async (t) => {
  const beside = (host: string) => judge({ headers: [...base, ['host', host]] }).verdict
  t.equal(beside('models.example.org').kind, 'allow')
  for (const host of ['other', '', 'models.example.org.', 'MODELS.example.org'])
    t.match(beside(host), { kind: 'deny', reason: 'host_not_canonical' }, host)
})

t.test('a length is a plain number', async (t) => {
  for (const name of ['content-length', 'inference-header-content-length']) {
    for (const value of ['+77', '077', '7 7', '0x4d', '7,7', '-1', '1e3', '', '99999999999999999'])
      t.match(judge({ headers: [[name, value]] }).verdict, { reason: 'header_not_canonical' }, value)
    for (const value of ['0', '77']) t.equal(judge({ headers: [[name, value]] }).verdict.kind, 'allow', value)
  }
})

t.test('the scheme is one of two', async (t) => {
  const scheme = (value: string) => judge({ headers: [[':scheme', value]] }).verdict
  for (const value of ['http', 'https']) t.equal(scheme(value).kind, 'allow', value)
  for (const value of ['HTTPS', 'ftp', '']) t.match(scheme(value), { reason: 'header_not_canonical' }, value)
})

t.test("Envoy's own word on a body that it cut is believed where Envoy can have said it", async (t) => {
  const headers = [['x-envoy-auth-partial-body', 'true']] as const
  t.equal(judge({ api: 'ext_authz', headers }).verdict.kind, 'allow')
  t.match(judge({ api: 'ext_proc', headers }).verdict, { reason: 'header_not_canonical' })
  t.match(judge({ api: 'ext_authz', headers: [...headers, ...headers] }).verdict, {
    reason: 'header_duplicated',
  })
})

t.test('what the client says of its tenant does not go on; what we say does', async (t) => {
  const { x } = judge({
    headers: [...base, ['x-tenant-id', 'globex'], ['X-Sluice-Tenant', 'globex'], ['x-tenant-id', 'b']],
  })
  const { set, remove } = upstreamHeaders(x, {
    removeHeaders: ['x-secret'],
    setHeaders: [['x-tenant-id', 'c']],
  })
  t.same(set, [
    ['x-tenant-id', 'c'],
    ['x-sluice-decision-id', x.id],
    ['x-sluice-tenant', 'acme'],
  ])
  t.same(remove, ['x-secret'], 'never a name that is set')
  t.same(upstreamHeaders(x, {}).remove, ['x-tenant-id'])
})

t.test('a header by which something else is decided is no tenant header', async (t) => {
  for (const name of ['authorization', 'x-session-id', 'x-session*', 'host', 'con*', 'x-envoy-retry-on'])
    t.throws(() => createCanonicalStage({ isStrict: true, tenantHeaders: [name] }), /tenantHeaders/, name)
  const parse = (name: string) =>
    configSchema.safeParse({
      identity: { trustDomains: ['example.org'], tenantHeaders: [name] },
      listen: { agent: 'unix:/run/agent.sock' },
    }).success
  for (const name of ['X-Tenant', 'x_tenant', '*', 'x*', 'x-te*nt', 'x-envoy-tenant', 'x tenant', ''])
    t.notOk(parse(name), name)
  for (const name of ['x-tenant', 'x-customer-*', 'openai-organization']) t.ok(parse(name), name)
})

t.test('where nothing is demanded, only what could be the model server’s must be canonical', async (t) => {
  const ask = (path: string) => judge({ path, authority: 'MODELS.', method: 'foo' }, loose)
  for (const path of ['/people/a%20b', '/a;b', '//people', '']) {
    const { x, verdict } = ask(path)
    t.equal(verdict.kind, 'allow', path)
    t.same(x.canonical, { path: undefined, authority: 'MODELS.', withheld: undefined }, path)
    t.equal(createInferenceStage().request?.(x) as unknown, verdict, 'which is no call of a model')
  }
  t.equal(ask('/people?a=b').x.canonical?.path, '/people')
  for (const path of [
    '/x/..%2fv2/models/f/infer',
    '/%76%32/models/f/infer',
    '//v2/models/f/infer',
    '/V2%2fmodels',
  ])
    t.match(ask(path).verdict, { kind: 'deny', reason: 'path_not_canonical' }, path)
  const { x } = judge({ headers: [['x-sluice-tenant', 'globex']] }, loose)
  t.same(upstreamHeaders(x, {}).remove, [], 'ours is set in place of it')
})

t.test('a request whose form nobody looked at is no call of a model, but a mistake', async (t) => {
  t.throws(() => createInferenceStage().request?.(asked({})), /form of the request/)
})

t.test('what is allowed has no second reading', async (t) => {
  const octets = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  })
  const piece = fc.constantFrom(
    ...[
      '/',
      '//',
      '.',
      '..',
      '%2f',
      '%2e',
      '\\',
      ';',
      '?',
      '#',
      '\0',
      'v2',
      'V2',
      'models',
      'fraud',
      'infer',
    ],
  )
  const target = fc.array(fc.oneof(piece, octets), { maxLength: 8 }).map((parts) => `/${parts.join('')}`)
  fc.assert(
    fc.property(target, (path) => {
      const { x, verdict } = judge({ path })
      if (verdict.kind !== 'allow') return
      const bare = x.canonical?.path ?? ''
      // A reader that resolves, decodes and cuts finds what stands there.
      t.equal(new URL(path, 'http://models').pathname, bare, JSON.stringify(path))
      t.equal(decodeURIComponent(bare), bare)
      t.notMatch(bare, /\/\/|[;\\#?\0]/)
    }),
    { numRuns: 3000 },
  )
  fc.assert(
    fc.property(octets, (authority) => {
      const { x, verdict } = judge({ authority })
      if (verdict.kind !== 'allow') return
      const url = new URL(`ws://${authority}/`)
      const plain = x.canonical?.authority.replace(/:80$/, '')
      t.equal(url.host, plain, JSON.stringify(authority))
    }),
    { numRuns: 3000 },
  )
  const hosts = fc.array(
    fc.constantFrom('a', 'B', '1', '0', '.', ':', '-', '_', '[', ']', '@', '0x', '%41'),
    {
      maxLength: 9,
    },
  )
  fc.assert(
    fc.property(hosts, (parts) => {
      const authority = parts.join('')
      const { x, verdict } = judge({ authority })
      if (verdict.kind === 'allow')
        t.equal(new URL(`ws://${authority}/`).host, x.canonical?.authority.replace(/:80$/, ''), authority)
    }),
    { numRuns: 3000 },
  )
})

t.test('what is remembered of names does not change what is said of one', async (t) => {
  const stage = createCanonicalStage({ isStrict: true, tenantHeaders })
  const ask = (...names: readonly string[]) => judge({ headers: names.map((name) => [name, 'a']) }, stage)
  const long = `x-tenant-${'a'.repeat(300)}`
  for (let round = 0; round < 3000; round++) {
    const places = [`x-${round}`, 'accept', `x-${round % 7}`]
    t.same(ask(...places).x.canonical?.withheld, [])
    if (round % 100 !== 0) continue
    t.same(ask('x-tenant-id', 'accept', long).x.canonical?.withheld, ['x-tenant-id', long])
    t.same(ask(`x-${round}`, `x-sluice-${round}`).x.canonical?.withheld, [`x-sluice-${round}`])
    t.match(ask('accept', `x_${round}`).verdict, { reason: 'header_not_canonical' })
    t.match(ask('accept', 'dpop', 'dpop').verdict, { reason: 'header_duplicated' })
  }
})

t.test('no octets make the stage throw', async (t) => {
  const text = fc.string({ unit: 'binary' })
  fc.assert(
    fc.property(
      text,
      text,
      text,
      fc.array(fc.tuple(text, text), { maxLength: 4 }),
      (path, authority, method, headers) =>
        ['allow', 'deny'].includes(judge({ path, authority, method, headers }).verdict.kind),
    ),
  )
  t.pass()
})
