import { createHmac } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { typed } from '#envoy/bootstrap/types.ts'
import fc from '../../fast-check.ts'
import { startAgent } from '../../harness/agent.ts'
import { type Envoy, startEnvoy } from '../../harness/envoy.ts'
import { http } from '../../harness/http.ts'
import { extAuthzFilter, plainListener } from '../../harness/listener.ts'
import { buildBundle } from '../../harness/opa.ts'
import { startOpaEnvoyPlugin } from '../../harness/opa-envoy-plugin.ts'
import { freePorts } from '../../harness/ports.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { startUpstream, type Upstream } from '../../harness/upstream.ts'

type Request = Omit<Parameters<typeof http>[0], 'port'>

/** More of them by hand: `CONTRACT_RUNS=1000 tap test/policy/contract/envoy.e2e.test.ts`. */
const numRuns = Math.min(Number(process.env['CONTRACT_RUNS'] ?? 100), 5000)
const seed = Number(process.env['CONTRACT_SEED'] ?? 42)

interface World extends AsyncDisposable {
  readonly envoy: Envoy
  readonly upstream: Upstream
  readonly ports: { readonly theirs: number; readonly ours: number; readonly proc: number }
}

/** One Envoy with a listener before the real plugin and one before Sluice, on the same policy and upstream. */
async function startWorld(
  rego: string,
  options: { readonly policy?: object; readonly filter?: JsonObject } = {},
) {
  await using opening = new AsyncDisposableStack()
  const folder = opening.use(temporaryFolder())
  const upstream = opening.use(await startUpstream())
  const plugin = opening.use(await startOpaEnvoyPlugin(join(folder.path, 'opa'), { 'policy.rego': rego }))
  const own = join(folder.path, 'sluice')
  mkdirSync(own)
  writeFileSync(join(own, 'policy.tar.gz'), await buildBundle({ files: { 'policy.rego': rego } }))
  const config = { policy: { bundle: 'policy.tar.gz', ...options.policy }, log: { level: 'error' } }
  opening.use(await startAgent({ folder: own, config }))
  const [theirs, ours, proc] = (await freePorts(3)) as [number, number, number]
  const envoy = opening.use(
    await startEnvoy({
      static_resources: {
        listeners: [
          listener('theirs', theirs, authzFilter('theirs', options.filter)),
          listener('ours', ours, authzFilter('ours', options.filter)),
          listener('proc', proc, procFilter('ours')),
        ],
        clusters: [
          cluster({ name: 'theirs', address: `127.0.0.1:${plugin.port}`, isHttp2: true }),
          cluster({ name: 'ours', address: `unix:${join(own, 'agent.sock')}`, isHttp2: true }),
          cluster({ name: 'upstream', address: `127.0.0.1:${upstream.port}`, isHttp2: false }),
        ],
      },
    }),
  )
  const opened = opening.move()
  const world: World = {
    envoy,
    upstream,
    ports: { theirs, ours, proc },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
  return world
}

function authzFilter(name: string, more: JsonObject = {}): JsonObject {
  return extAuthzFilter(name, {
    with_request_body: { max_request_bytes: 256, allow_partial_message: true, pack_as_bytes: true },
    ...more,
  })
}

function procFilter(name: string): JsonObject {
  return typed('envoy.filters.http.ext_proc', 'extProc', {
    grpc_service: { envoy_grpc: { cluster_name: name }, timeout: '0s' },
    message_timeout: '20s',
    processing_mode: { request_header_mode: 'SEND', response_header_mode: 'SEND' },
  })
}

function listener(name: string, port: number, filter: JsonObject): JsonObject {
  const role = { key: 'x-role', value: '%DYNAMIC_METADATA(envoy.filters.http.ext_authz:role)%' }
  const routeConfig = { response_headers_to_add: [{ header: role }] }
  return plainListener({ name, port, filter, routeConfig })
}

/** What differs from one request to the next, and what Sluice adds to every one. */
const passing = /^(date|server|connection|x-request-id|x-envoy-upstream-service-time|x-sluice-.*)$/

/** Everything that client and upstream see of a request. */
async function ask({ upstream }: World, port: number, request: Request) {
  upstream.arrivals.length = 0
  const answer = await http({ ...request, port, headers: { ...request.headers, host: 'people.example' } })
  const arrival = upstream.arrivals[0]
  return {
    status: answer.status,
    body: answer.body,
    headers: Object.entries(answer.headers)
      .filter(([name]) => !passing.test(name))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
    upstream: arrival && {
      path: arrival.path,
      bodyBytes: arrival.bodyBytes,
      headers: arrival.headers
        .filter(([name]) => !passing.test(name))
        .map((header) => header.join(': '))
        .sort(),
    },
  }
}

const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
function token(claims: object, secret = 'secret'): string {
  const signed = `${b64({ alg: 'HS256', typ: 'JWT' })}.${b64(claims)}`
  return `Bearer ${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64url')}`

const credentials = fc.constantFrom(
  undefined,
  token({ sub: b64('alice'), role: 'guest' }),
  token({ sub: Buffer.from('bob').toString('base64url'), role: 'admin' }),
  token({ sub: 'x', role: 'other' }),
  token({ sub: 'x', role: 'admin' }, 'forged'),
  token({ sub: 'x', role: 'admin', exp: 1 }),
  ...['Bearer nonsense', 'nonsense', basic('alice:x'), basic('bob:y'), basic('eve'), basic('bob:a:b')],
)
const path = fc.constantFrom(
  ...[
    '/people',
    '/people/1',
    '/people/1/2/3',
    '/peopl%65',
    '/people%2f1',
    '/',
    '/health',
    '/health/x',
    '/productpage',
  ],
  ...[
    '/query',
    '/form',
    '/pay',
    '/login',
    '/large',
    '/p%C3%A9ople',
    '/people/%ff',
    '/people/../health',
    '/%zz',
  ],
)
const query = fc.constantFrom(
  ...[
    '',
    '?',
    '?limit=1',
    '?limit=a+b',
    '?limit=1&limit=2',
    '?token=x',
    '?debug&limit=%20',
    '?b=2&a=1&token=t&c',
  ],
  ...['?limit=%C3%A9', '?token', '?a=b=c', '?__proto__=1'],
)
const body = fc.oneof(
  fc.constant(undefined),
  fc
    .constantFrom(
      ...[
        '{"firstname":"Bob"}',
        '{"firstname":"Eve"}',
        '{"amount":5}',
        '{"amount":1000.01}',
        '{"amount":1e3}',
        '{',
        '',
      ],
      ...[
        '{"amount":"5"}',
        '{"amount":12345678901234567890}',
        `{"text":"${'x'.repeat(300)}"}`,
        '{"amount":1,"amount":2000}',
      ],
      ...['[1]', '{"__proto__":{"amount":1}}', '{"firstname":"\\ud800"}'],
    )
    .map((text) => ['application/json', text] as const),
  fc
    .constantFrom('a=1&b=2&a=3', 'a=%C3%A9+x', 'a=%zz', 'a', `a=${'x'.repeat(300)}`)
    .map((text) => ['application/x-www-form-urlencoded', text] as const),
  fc.constantFrom('text', '{"amount":1}').map((text) => ['text/plain', text] as const),
)
const requests: fc.Arbitrary<Request> = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE'),
    path,
    query,
    credentials,
    body,
    more: fc.dictionary(
      fc.constantFrom(
        'x-current-user',
        'x-secret',
        'cookie',
        'one-auth-header',
        'x-ext-auth-allow',
        'x-limit',
      ),
      fc.constantFrom('', 'forged', 'a, b', 'é'),
      { maxKeys: 3 },
    ),
  })
  .map((each) => ({
    method: each.method,
    path: `${each.path}${each.query}`,
    ...(each.method !== 'GET' && each.body !== undefined && { body: each.body[1] }),
    headers: {
      ...each.more,
      ...(each.credentials !== undefined && { authorization: each.credentials }),
      ...(each.method !== 'GET' && each.body !== undefined && { 'content-type': each.body[0] }),
    },
  }))

/** Refusals that the policy did not write: the plugin's are empty or tell the error, ours have the reason's text. */
const ownTexts = [
  'The request was denied by policy.',
  'The request could not be read.',
  'A decision could not be made.',
]

for (const name of ['standalone', 'mesh', 'gateway', 'system']) {
  t.test(`${name}: client and upstream see the same behind the plugin and behind Sluice`, async (t) => {
    await using world = await startWorld(
      readFileSync(join(import.meta.dirname, 'testdata', 'policies', `${name}.rego`), 'utf8'),
    )
    const seen = new Map<string, number>()
    for (const request of fc.sample(requests, { numRuns, seed })) {
      const theirs = await ask(world, world.ports.theirs, request)
      const ours = await ask(world, world.ports.ours, request)
      const isOwn = ownTexts.some((text) => ours.body.includes(text))
      const outcome = ours.upstream !== undefined ? 'allowed' : isOwn ? 'own' : 'denied'
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
      if (isOwn) {
        t.equal(theirs.upstream, undefined)
        t.ok(theirs.status === 400 ? ours.status === 400 : theirs.status === 403, JSON.stringify(request))
      } else if (!t.same(ours, theirs, JSON.stringify(request))) break
    }
    for (const outcome of ['allowed', 'denied'])
      t.ok((seen.get(outcome) ?? 0) > numRuns / 50, `${outcome}: ${seen.get(outcome)} of ${numRuns}`)
  })
}

t.test('over ext_proc the headers of request and answer are changed in the same way', async (t) => {
  const change = {
    allowed: true,
    headers: { 'x-a': ['1', '2'], 'x-b': 'set' },
    request_headers_to_remove: ['x-c'],
    response_headers_to_add: { 'x-upstream': 'policy', 'set-cookie': ['a=1', 'b=2'], 'x-new': 'n' },
  }
  await using world = await startWorld(`package envoy.authz\n\nallow := ${JSON.stringify(change)}\n`)
  const request = { path: '/', headers: { 'x-a': 'forged', 'x-b': 'forged', 'x-c': '1' } }
  const theirs = await ask(world, world.ports.theirs, request)
  t.same(await ask(world, world.ports.ours, request), theirs)
  t.same(await ask(world, world.ports.proc, request), theirs)
  t.match(Object.fromEntries(theirs.headers), { 'x-upstream': 'a, policy', 'set-cookie': ['a=1', 'b=2'] })
})

t.test('our own failures are counted by Envoy as errors, and refuse though nothing is written', async (t) => {
  await using world = await startWorld('package envoy.authz\n\nallow := {"allowed": 1}\n')
  const { status, upstream } = await ask(world, world.ports.ours, { path: '/' })
  t.same([status, upstream], [503, undefined])
  const stats = await world.envoy.stats()
  t.equal(stats.get('http.ours.ext_authz.error'), 1)
  t.notOk(stats.get('http.ours.ext_authz.denied'))
})

t.test(
  'with failure_mode_allow Envoy lets go on what failed, and never what is undefined, but on demand',
  async (t) => {
    const filter = { failure_mode_allow: true }
    const rego =
      'package envoy.authz\n\nallow if input.parsed_path == ["yes"]\n\nallow := {"x": 1} if input.parsed_path == ["wrong"]\n'
    {
      await using world = await startWorld(rego, { filter })
      t.ok(
        (await ask(world, world.ports.theirs, { path: '/undefined' })).upstream,
        'the plugin fails the call',
      )
      t.equal((await ask(world, world.ports.ours, { path: '/undefined' })).status, 403)
      // Envoy 1.40 takes error_response for an error; whoever wants failures refused leaves failure_mode_allow off.
      for (const port of [world.ports.theirs, world.ports.ours])
        t.ok(
          (await ask(world, port, { path: '/wrong' })).upstream,
          'a result that is none is a failure to both',
        )
    }
    await using world = await startWorld(rego, {
      filter,
      policy: { onUndefined: 'grpc_error', onError: 'grpc_error' },
    })
    for (const path of ['/undefined', '/wrong', '/yes'])
      t.same(
        await ask(world, world.ports.ours, { path }),
        await ask(world, world.ports.theirs, { path }),
        path,
      )
  },
)
