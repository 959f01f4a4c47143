import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { create, toBinary } from '@bufbuild/protobuf'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { JWTSVIDRequestSchema, ValidateJWTSVIDRequestSchema } from '#gen/spiffe/workload/workload_pb.js'
import { type GrpcClient, openGrpcClient } from '#grpc/client.ts'
import type { Metadata } from '#grpc/service.ts'
import type { IdentityState } from '#identity/source/source.ts'
import { openSpireSource, type SpireSource } from '#identity/source/spire.ts'
import { startWorkloadApi, type WorkloadApi } from '#identity/workload-api/workload-api.ts'
import { settle, type VirtualTime, virtualTime } from '../../base/virtual-time.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'

const app = 'spiffe://example.org/ns/acme/sa/app'
const second = 'spiffe://example.org/ns/acme/sa/second'
const header: Metadata = [['workload.spiffe.io', 'true']]
const log = pino({ level: 'silent' })

interface Scene {
  readonly api: WorkloadApi
  readonly time: VirtualTime
  readonly socket: string
  readonly folder: string
  readonly client: GrpcClient
  source(): Promise<SpireSource>
}

async function scene(t: Test): Promise<Scene> {
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const time = virtualTime()
  const path = join(folder.path, 'api.sock')
  const api = await startWorkloadApi({
    dir: join(folder.path, 'ca'),
    trustDomain: 'example.org',
    identities: [{ spiffeId: app }, { spiffeId: second, hint: 'internal' }],
    socket: `unix://${path}`,
    random: () => 0.5,
    ...time,
  })
  t.teardown(() => api[Symbol.asyncDispose]())
  const client = openGrpcClient({ target: `unix:${path}`, maxMessageBytes: 1 << 20 })
  t.teardown(() => client[Symbol.dispose]())
  return {
    ...{ api, time, client, socket: `unix://${path}`, folder: folder.path },
    source: async () => {
      const source = await openSpireSource({ socket: `unix://${path}`, log, ...time })
      t.teardown(() => source[Symbol.asyncDispose]())
      await eventually('the first state', () => source.current())
      return source
    },
  }
}

const ids = (state: IdentityState | undefined) => state?.svids.map(({ id, hint }) => [id.text, hint])
const serials = (state: IdentityState | undefined) => state?.svids.map(({ chain }) => chain[0]?.serial)

t.test('our client is given the registered identities, the bundle and tokens', async (t) => {
  const { source: open, socket, folder } = await scene(t)
  t.equal(statSync(socket.slice('unix://'.length)).mode & 0o777, 0o600, 'for its owner only')
  const source = await open()
  t.equal(source.problem(), undefined)
  t.same(ids(source.current()), [
    [app, ''],
    [second, 'internal'],
  ])
  const bundle = source.current()?.bundles.get('example.org')
  t.equal(bundle?.x509Authorities.length, 1)
  t.equal(bundle?.jwtAuthorities.length, 1)
  t.equal(statSync(join(folder, 'ca', 'jwt.key')).mode & 0o777, 0o600)

  const fetched = await source.fetchJwtSvid('models')
  if (!fetched.ok) throw new Error(fetched.why)
  t.equal(fetched.svid.id.text, app)
  const validated = await source.validateJwtSvid(fetched.svid.token, 'models')
  t.match(validated, { ok: true, id: { text: app }, claims: { sub: app, aud: ['models'] } })
  t.match(await source.validateJwtSvid(fetched.svid.token, 'others'), {
    ok: false,
    kind: 'invalid',
    why: /another audience/,
  })
})

t.test('identities are renewed at half of their life on every stream, without a gap', async (t) => {
  const { source: open, time } = await scene(t)
  const [one, other] = [await open(), await open()]
  const heard: (readonly unknown[] | undefined)[] = []
  one.subscribe((state) => heard.push(serials(state)))
  const first = serials(one.current())
  await time.advance(1_799_000)
  await settle()
  t.same(serials(one.current()), first, 'not before')
  for (let round = 1; round <= 3; round++) {
    const before = serials(one.current())
    await time.advance(1_800_000)
    const renewed = await eventually('a renewal', () => {
      const now = serials(one.current())
      return now?.join() === before?.join() ? undefined : now
    })
    await eventually(
      'the same on the other stream',
      () => serials(other.current())?.join() === renewed.join(),
    )
    t.equal(one.problem(), undefined)
  }
  t.ok(
    heard.every((each) => each?.length === 2),
    'there were two at every time',
  )
})

t.test('who is not registered any more is told at once', async (t) => {
  const { source: open, api } = await scene(t)
  const source = await open()
  api.replaceIdentities([{ spiffeId: second }])
  await eventually('the first is gone', () => ids(source.current())?.length === 1)
  t.same(ids(source.current()), [[second, '']])
  t.match(await source.fetchJwtSvid('models'), { ok: true, svid: { id: { text: second } } })
  api.replaceIdentities([])
  await eventually('all are gone', () => source.current()?.bundles.size === 0)
  t.same(ids(source.current()), [])
  t.match(source.problem(), /nothing is registered for this process/)
  t.match(await source.fetchJwtSvid('models'), { ok: false, kind: 'denied' })
  t.match(await source.validateJwtSvid('a.b.c', 'models'), { ok: false, kind: 'failed' })
  t.throws(() => api.replaceIdentities([{ spiffeId: 'spiffe://other.org/a' }]), /of another trust domain/)
})

t.test('a call that does not say it was meant gets nothing', async (t) => {
  const { client } = await scene(t)
  const signal = new AbortController().signal
  const message = new Uint8Array()
  for (const metadata of [[], [['workload.spiffe.io', 'false']], [...header, ...header]] as Metadata[]) {
    for (const method of ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles']) {
      const got: Buffer[] = []
      const call = { path: `/SpiffeWorkloadAPI/${method}`, message, metadata, signal }
      const status = await client.serverStream(call, (each) => got.push(each))
      t.match(status, { code: 3, message: /workload.spiffe.io/ }, method)
      t.same(got, [])
    }
    for (const method of ['FetchJWTSVID', 'ValidateJWTSVID']) {
      const call = { path: `/SpiffeWorkloadAPI/${method}`, message, metadata, signal, timeoutMs: 5000 }
      t.match(
        await client.unary(call),
        { ok: false, status: { code: 3, message: /workload.spiffe.io/ } },
        method,
      )
    }
  }
})

t.test('a request that is wrong is InvalidArgument, one for somebody else PermissionDenied', async (t) => {
  const { client, time } = await scene(t)
  const signal = new AbortController().signal
  const ask = (method: string, message: Uint8Array) =>
    client.unary({ path: `/SpiffeWorkloadAPI/${method}`, message, metadata: header, signal, timeoutMs: 5000 })
  const jwt = (request: object) => toBinary(JWTSVIDRequestSchema, create(JWTSVIDRequestSchema, request))
  const validate = (request: object) =>
    toBinary(ValidateJWTSVIDRequestSchema, create(ValidateJWTSVIDRequestSchema, request))
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = time.clock.nowMs() / 1000 + 60
  const forged = (head: object, claims: object = {}) =>
    `${part({ alg: 'ES256', ...head })}.${part({ sub: app, aud: 'a', exp, ...claims })}.${'A'.repeat(86)}`
  const rows: [name: string, method: string, message: Uint8Array, code: number, why: RegExp][] = [
    ['rubbish', 'FetchJWTSVID', Buffer.from([0xff]), 3, /not a JWTSVIDRequest/],
    ['no audience', 'FetchJWTSVID', jwt({}), 3, /audience/],
    ['an empty audience', 'FetchJWTSVID', jwt({ audience: ['a', ''] }), 3, /audience/],
    ['no SPIFFE ID', 'FetchJWTSVID', jwt({ audience: ['a'], spiffeId: 'x' }), 3, /SPIFFE ID/],
    ['of another', 'FetchJWTSVID', jwt({ audience: ['a'], spiffeId: `${app}2` }), 7, /no identity issued/],
    ['rubbish', 'ValidateJWTSVID', Buffer.from([0xff]), 3, /not a ValidateJWTSVIDRequest/],
    ['no audience', 'ValidateJWTSVID', validate({ svid: 'a' }), 3, /audience/],
    ['no token', 'ValidateJWTSVID', validate({ audience: 'a' }), 3, /not three parts/],
    [
      'no alg',
      'ValidateJWTSVID',
      validate({ audience: 'a', svid: forged({ alg: 'none' }) }),
      3,
      /an alg of no/,
    ],
    [
      'another typ',
      'ValidateJWTSVID',
      validate({ audience: 'a', svid: forged({ typ: 'wit+jwt' }) }),
      3,
      /not of type JWT or JOSE/,
    ],
    ['no kid', 'ValidateJWTSVID', validate({ audience: 'a', svid: forged({}) }), 3, /nobody known signed it/],
    [
      'an expired one',
      'ValidateJWTSVID',
      validate({ audience: 'a', svid: forged({}, { exp: 1 }) }),
      3,
      /expired/,
    ],
  ]
  for (const [name, method, message, code, why] of rows)
    t.match(await ask(method, message), { ok: false, status: { code, message: why } }, `${method}: ${name}`)
  const good = await ask('FetchJWTSVID', jwt({ audience: ['a'], spiffeId: second }))
  t.ok(good.ok, 'the one that is asked for')
})

t.test('a changed token is not valid', async (t) => {
  const { source: open } = await scene(t)
  const source = await open()
  const fetched = await source.fetchJwtSvid('models')
  if (!fetched.ok) throw new Error(fetched.why)
  const [head = '', claims = '', signature = ''] = fetched.svid.token.split('.')
  const admin = Buffer.from(claims, 'base64url').toString().replace('sa/app', 'sa/adm')
  const flipped = (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1)
  for (const token of [
    [head, Buffer.from(admin).toString('base64url'), signature],
    [head, claims, flipped],
    [head, claims, `${signature}==`],
    [head, claims, signature, ''],
  ])
    t.match(await source.validateJwtSvid(token.join('.'), 'models'), { ok: false, kind: 'invalid' })
})

t.test('the server refuses what it cannot serve', async (t) => {
  using folder = temporaryFolder()
  const socket = `unix://${join(folder.path, 'api.sock')}`
  const base = {
    dir: join(folder.path, 'ca'),
    trustDomain: 'example.org',
    identities: [{ spiffeId: app }],
    socket,
  }
  const file = join(folder.path, 'file')
  writeFileSync(file, '')
  const wrongCa = join(folder.path, 'wrong')
  mkdirSync(wrongCa)
  writeFileSync(join(wrongCa, 'ca.pem'), 'no')
  writeFileSync(join(wrongCa, 'ca.key'), 'no')
  const rows: [name: string, options: object, why: { code: string; message?: RegExp }][] = [
    ['a port', { socket: 'tcp://127.0.0.1:1' }, { code: 'option_invalid', message: /not a Unix socket/ }],
    ['no address', { socket: '/x' }, { code: 'option_invalid', message: /neither unix/ }],
    ['no trust domain', { trustDomain: 'Example' }, { code: 'option_invalid' }],
    [
      'another trust domain',
      { trustDomain: 'other.org' },
      { code: 'option_invalid', message: /of another trust domain/ },
    ],
    ['no SPIFFE ID', { identities: [{ spiffeId: 'app' }] }, { code: 'option_invalid' }],
    ['a CA that is none', { dir: wrongCa }, { code: 'dev_ca_unusable' }],
    ['a file in the place of a folder', { dir: file }, { code: 'dev_ca_unusable' }],
  ]
  for (const [name, options, why] of rows)
    await t.rejects(startWorkloadApi({ ...base, ...options }), why, name)
  await using _api = await startWorkloadApi(base)
  await t.rejects(startWorkloadApi(base), { code: 'listen_failed' }, 'somebody listens there')
  const other = { trustDomain: 'other.org', identities: [], socket: `${socket}2` }
  await t.rejects(startWorkloadApi({ ...base, ...other }), {
    code: 'dev_ca_unusable',
    message: /a CA of spiffe:\/\/example.org/,
  })
  t.match(readFileSync(join(folder.path, 'ca', 'ca.key'), 'utf8'), /PRIVATE KEY/)
})
