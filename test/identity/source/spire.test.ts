import { generateKeyPairSync } from 'node:crypto'
import { create, toBinary } from '@bufbuild/protobuf'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { JWTSVIDResponseSchema } from '#gen/spiffe/workload/workload_pb.js'
import type { IdentityState } from '#identity/source/source.ts'
import { openSpireSource, type SpireSource } from '#identity/source/spire.ts'
import { settle, type VirtualTime, virtualTime } from '../../base/virtual-time.ts'
import {
  entry,
  jwtBundles,
  sha256Of,
  someCa,
  spiffeId,
  x509Bundles,
  x509Message,
} from '../workload-api/messages.ts'
import { type ScriptedWorkloadApi, scriptedWorkloadApi } from '../workload-api/scripted-api.ts'

const own = 'spiffe://example.org'
const other = 'spiffe://other.org'

interface Scene {
  readonly api: ScriptedWorkloadApi
  readonly source: SpireSource
  readonly time: VirtualTime
  readonly states: IdentityState[]
  readonly ca: ReturnType<typeof someCa>
  readonly foreign: ReturnType<typeof someCa>
  logs(): string
  /** Bundles of both kinds, so that only identities are wanting. */
  sendBundles(): Promise<void>
}

async function scene(t: Test): Promise<Scene> {
  const time = virtualTime()
  const api = scriptedWorkloadApi()
  let logs = ''
  const log = pino(
    { level: 'debug' },
    {
      write: (line: string) => {
        logs += line
      },
    },
  )
  const source = await openSpireSource({ socket: 'unix:///nowhere', ...time, log, connect: () => api })
  t.teardown(() => source[Symbol.asyncDispose]())
  const states: IdentityState[] = []
  source.subscribe((state) => states.push(state))
  await settle()
  const ca = someCa(time.clock)
  return {
    ...{ api, source, time, states, ca },
    foreign: someCa(time.clock, 'other.org'),
    logs: () => logs,
    sendBundles: async () => {
      await api.send('FetchX509Bundles', x509Bundles({ [own]: ca.bundle }))
      await api.send('FetchJWTBundles', jwtBundles({ [own]: { keys: [jwk('a')] } }))
    },
  }
}

/** As SPIRE writes it: without `use`. */
function jwk(kid: string): object {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  return { ...publicKey.export({ format: 'jwk' }), kid }
}

const ids = (state: IdentityState | undefined) => state?.svids.map(({ id }) => id.text)
const domains = (state: IdentityState | undefined) => [...(state?.bundles.keys() ?? [])].sort()

t.test('a wrong socket is refused at once', async (t) => {
  const log = pino({ level: 'silent' })
  await t.rejects(openSpireSource({ socket: '/run/agent.sock', log }), { code: 'config_invalid' })
})

t.test('there is a state as soon as every stream has said something, and it is the whole', async (t) => {
  const { api, source, states, ca, sendBundles } = await scene(t)
  t.equal(source.current(), undefined)
  t.match(source.problem(), /has not said anything yet/)
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  t.equal(source.current(), undefined, 'without bundles it is half a state')
  await sendBundles()
  t.equal(source.problem(), undefined)
  t.same(ids(source.current()), [spiffeId])
  t.same(domains(source.current()), ['example.org'])
  const bundle = source.current()?.bundles.get('example.org')
  t.same(
    bundle?.x509Authorities.map(({ sha256 }) => sha256),
    [sha256Of(ca.bundle)],
  )
  t.same(
    bundle?.jwtAuthorities.map(({ kid }) => kid),
    ['a'],
  )
  t.equal(states.length, 1)
  const heard: IdentityState[] = []
  source.subscribe((state) => heard.push(state))
  t.same(heard, states, 'who comes later hears at once')
})

t.test('what a message leaves out is gone at once', async (t) => {
  const { api, source, states, ca, foreign, sendBundles } = await scene(t)
  await sendBundles()
  const second = { issue: { spiffeId: `${own}/second` } }
  const svids = [entry(ca), entry(ca, second)]
  await api.send('FetchX509SVID', x509Message({ svids, federatedBundles: { [other]: foreign.bundle } }))
  t.same(ids(source.current()), [spiffeId, `${own}/second`])
  t.same(domains(source.current()), ['example.org', 'other.org'])
  const { generation = 0 } = source.current() ?? {}
  await api.send(
    'FetchX509SVID',
    x509Message({ svids: svids.slice(1), federatedBundles: { [other]: foreign.bundle } }),
  )
  t.same(ids(source.current()), [`${own}/second`])
  t.equal(source.current()?.generation, generation, 'the bundles are the same')
  await api.send('FetchX509SVID', x509Message({ svids: svids.slice(1) }))
  t.same(domains(source.current()), ['example.org'], 'the federated domain is gone')
  t.equal(source.current()?.generation, generation + 1)
  t.equal(states.length, 3)
  await api.send('FetchX509SVID', x509Message({ svids: svids.slice(1) }))
  t.equal(states.length, 3, 'nobody hears of what is as it was')
  await api.send('FetchJWTBundles', jwtBundles({ [own]: { keys: [] } }))
  t.same(source.current()?.bundles.get('example.org')?.jwtAuthorities, [])
  t.equal(source.current()?.generation, generation + 2)
})

t.test('an empty bundle is one that nobody is trusted by', async (t) => {
  const { api, source, ca, sendBundles } = await scene(t)
  await sendBundles()
  const federatedBundles = { [other]: Buffer.alloc(0) }
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)], federatedBundles }))
  t.same(source.current()?.bundles.get('other.org')?.x509Authorities, [])
  t.equal(source.problem(), undefined)
})

t.test('of identities with one hint the first counts, and the first of all is the default', async (t) => {
  const { api, source, ca, sendBundles } = await scene(t)
  await sendBundles()
  const named = (name: string, hint: string) => entry(ca, { hint, issue: { spiffeId: `${own}/${name}` } })
  const svids = [named('a', ''), named('b', 'in'), named('c', 'in'), named('d', ''), named('e', 'out')]
  await api.send('FetchX509SVID', x509Message({ svids }))
  t.same(
    source.current()?.svids.map(({ id, hint }) => [id.path[0], hint]),
    [
      ['a', ''],
      ['b', 'in'],
      ['d', ''],
      ['e', 'out'],
    ],
  )
})

t.test('PermissionDenied takes everything back, and is asked again with a growing pause', async (t) => {
  const { api, source, time, states, ca, sendBundles } = await scene(t)
  await sendBundles()
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  await api.end('FetchX509SVID', 7, 'no identity issued')
  t.same(ids(source.current()), [])
  t.same(domains(source.current()), ['example.org'], 'bundles have a stream of their own')
  await api.end('FetchX509Bundles', 7)
  await api.end('FetchJWTBundles', 7)
  t.same(domains(source.current()), [])
  t.equal(states.at(-1), source.current())
  t.match(source.problem(), /nothing is registered for this process/)
  const pauses: number[] = []
  for (let attempt = 2; attempt <= 39; attempt++) {
    const before = time.clock.nowMs()
    while (api.opened('FetchX509SVID') < attempt) await time.advance(100)
    pauses.push(time.clock.nowMs() - before)
    await api.end('FetchX509SVID', 7)
  }
  const soon = [100, 200, 400, 800]
  const growing = Array.from({ length: 30 }, (_, index) => (index + 1) * 1000)
  t.same(pauses, [...soon, ...growing, 30_000, 30_000, 30_000, 30_000], 'a few times soon, then as others do')
  await time.advance(30_000)
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  t.same(ids(source.current()), [spiffeId], 'registered again')
  const opened = api.opened('FetchX509SVID')
  await api.end('FetchX509SVID', 14)
  await time.advance(1000)
  t.equal(api.opened('FetchX509SVID'), opened + 1, 'after a message the pause is short again')
})

t.test('a Workload API that does not answer takes nothing back', async (t) => {
  const { api, source, time, ca, sendBundles } = await scene(t)
  await api.end('FetchX509SVID', 14, 'connection refused')
  t.match(source.problem(), /does not answer \(status 14: connection refused\)/)
  await time.advance(1000)
  await sendBundles()
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  await api.end('FetchX509SVID', 14, 'gone')
  t.same(ids(source.current()), [spiffeId])
  t.equal(source.problem(), undefined, 'it is valid for long')
  await time.advance(3_300_000)
  t.match(source.problem(), /expires in \d+ s .*; the Workload API does not answer/)
})

t.test('InvalidArgument and Unimplemented are not asked again', async (t) => {
  const { api, source, time, ca } = await scene(t)
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  await api.end('FetchX509Bundles', 12)
  await api.end('FetchJWTBundles', 12)
  t.equal(source.problem(), undefined, 'who has no JWT profile has X.509')
  t.same(ids(source.current()), [spiffeId])
  await api.end('FetchX509SVID', 3, 'bad')
  t.match(source.problem(), /FetchX509SVID ended for good \(bad\)/)
  t.same(ids(source.current()), [spiffeId], 'what it said before holds')
  await time.advance(600_000)
  for (const method of ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles'])
    t.equal(api.opened(method), 1)
})

t.test('without the X.509 profile there are tokens and bundles', async (t) => {
  const { api, source, sendBundles } = await scene(t)
  await api.end('FetchX509SVID', 12)
  await sendBundles()
  t.same(domains(source.current()), ['example.org'])
  t.match(source.problem(), /FetchX509SVID is not implemented/)
})

t.test('a hostile message is refused whole, and the last good one stays', async (t) => {
  const { api, source, time, states, ca, foreign, sendBundles, logs } = await scene(t)
  const good = entry(ca)
  const sane = x509Message({ svids: [good] })
  await sendBundles()
  await api.send('FetchX509SVID', sane)
  const intermediate = someCa(time.clock)
  const unsure = (wrong: object) => entry(ca, { issue: { wrong } })
  const rows: [name: string, message: Uint8Array, why: RegExp][] = [
    ['rubbish', Buffer.from([0xff, 0xff]), /refused/],
    ['cut off', sane.subarray(0, sane.length - 3), /refused/],
    ['no identity', x509Message({ svids: [] }), /no identity/],
    ['one too many', x509Message({ svids: Array(257).fill(good) }), /more than 128 identities/],
    ['no SPIFFE ID', x509Message({ svids: [{ ...good, spiffeId: 'app' }] }), /does not start with spiffe/],
    ['a bare trust domain', x509Message({ svids: [{ ...good, spiffeId: own }] }), /has no path/],
    [
      'another SPIFFE ID',
      x509Message({ svids: [{ ...good, spiffeId: `${own}/admin` }] }),
      /the certificate is of spiffe:\/\/example.org\/ns/,
    ],
    [
      'another trust domain',
      x509Message({ svids: [{ ...good, spiffeId: 'spiffe://other.org/a' }] }),
      /no trust bundle for example.org/,
    ],
    ['no certificate', x509Message({ svids: [{ ...good, x509Svid: Buffer.alloc(0) }] }), /no certificate/],
    ['PEM', x509Message({ svids: [{ ...good, x509Svid: Buffer.from('-----BEGIN') }] }), /malformed DER/],
    [
      'a byte behind the certificate',
      x509Message({
        svids: [{ ...good, x509Svid: Buffer.concat([good.x509Svid as Buffer, Buffer.from([0])]) }],
      }),
      /malformed DER/,
    ],
    [
      'two leaves',
      x509Message({
        svids: [
          { ...good, x509Svid: Buffer.concat([good.x509Svid as Buffer, entry(ca).x509Svid as Buffer]) },
        ],
      }),
      /is no CA/,
    ],
    [
      'six certificates',
      x509Message({
        svids: [{ ...good, x509Svid: Buffer.concat([good.x509Svid as Buffer, ...Array(5).fill(ca.bundle)]) }],
      }),
      /a chain of 6/,
    ],
    [
      'the key of another',
      x509Message({ svids: [{ ...good, x509SvidKey: entry(ca).x509SvidKey as Buffer }] }),
      /does not belong/,
    ],
    ['no key', x509Message({ svids: [{ ...good, x509SvidKey: Buffer.alloc(0) }] }), /no PKCS #8 key/],
    [
      'a key with something before it',
      x509Message({
        svids: [{ ...good, x509SvidKey: Buffer.concat([Buffer.from([1]), good.x509SvidKey as Buffer]) }],
      }),
      /no PKCS #8 key/,
    ],
    ['no bundle', x509Message({ svids: [{ ...good, bundle: Buffer.alloc(0) }] }), /its issuer is not known/],
    ['the bundle of another', x509Message({ svids: [{ ...good, bundle: intermediate.bundle }] }), /issuer/],
    [
      'a bundle that is none',
      x509Message({ svids: [{ ...good, bundle: Buffer.from('hello') }] }),
      /the trust bundle of example.org/,
    ],
    [
      'two bundles of one domain',
      x509Message({ svids: [good, entry(intermediate)] }),
      /two trust bundles of example.org/,
    ],
    [
      'too many authorities',
      x509Message({ svids: [{ ...good, bundle: Buffer.concat(Array(257).fill(ca.bundle)) }] }),
      /more than 128 certificates/,
    ],
    [
      'a federated bundle that is none',
      x509Message({ svids: [good], federatedBundles: { [other]: Buffer.from('x') } }),
      /the trust bundle of other.org/,
    ],
    [
      'a federated key with a path',
      x509Message({ svids: [good], federatedBundles: { [`${other}/a`]: foreign.bundle } }),
      /the trust bundle "spiffe:\/\/other.org\/a"/,
    ],
    [
      'a federated key without scheme',
      x509Message({ svids: [good], federatedBundles: { 'other.org': foreign.bundle } }),
      /does not start with spiffe/,
    ],
    [
      'our own domain as another one',
      x509Message({ svids: [good], federatedBundles: { [own]: foreign.bundle } }),
      /two trust bundles of example.org/,
    ],
    [
      'a second one that is no good',
      x509Message({ svids: [good, { ...entry(ca), x509SvidKey: Buffer.alloc(1) }] }),
      /no PKCS #8 key/,
    ],
    [
      'an expired one',
      x509Message({ svids: [unsure({ notBeforeMs: time.clock.nowMs() - 7_200_000 })] }),
      /has expired/,
    ],
    [
      'one of tomorrow',
      x509Message({ svids: [unsure({ notBeforeMs: time.clock.nowMs() + 7_200_000 })] }),
      /not valid yet/,
    ],
    ['two URI SANs', x509Message({ svids: [unsure({ uris: [spiffeId, `${own}/b`] })] }), /2 URI SANs/],
    ['a CA', x509Message({ svids: [unsure({ isCa: true })] }), /a CA certificate/],
    [
      'a revocation list that is none',
      x509Message({ svids: [good], crl: [Buffer.from('x')] }),
      /malformed DER/,
    ],
  ]
  for (const [name, message, why] of rows) {
    await api.send('FetchX509SVID', message)
    t.match(source.problem(), why, name)
    t.match(source.problem(), /^FetchX509SVID was refused/, name)
    t.same(ids(source.current()), [spiffeId], `${name}: the last good one stays`)
  }
  await api.end('FetchX509SVID', 8, 'larger than 4194304 bytes')
  t.match(source.problem(), /FetchX509SVID was refused: larger/, 'too large')
  t.equal(states.length, 1)
  await time.advance(1000)
  await api.send('FetchX509SVID', x509Message({ svids: [good] }))
  t.equal(source.problem(), undefined, 'a good one mends it')
  for (const form of ['base64', 'hex', 'base64url'] as const) {
    const secret = Buffer.from(good.x509SvidKey as Buffer).toString(form)
    t.notOk(logs().includes(secret.slice(60, 90)), `no private key in the log as ${form}`)
  }
  t.match(logs(), /is refused; the last good one stays/)
})

t.test('a hostile first message is no state', async (t) => {
  const { api, source, sendBundles } = await scene(t)
  await sendBundles()
  await api.send('FetchX509SVID', Buffer.from('rubbish'))
  t.equal(source.current(), undefined)
  t.match(source.problem(), /FetchX509SVID was refused/)
})

t.test('hostile bundles are refused whole, and X.509 goes on without JWT', async (t) => {
  const { api, source, ca } = await scene(t)
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  await api.send('FetchX509Bundles', x509Bundles({ [own]: Buffer.from('x') }))
  t.match(source.problem(), /FetchX509Bundles was refused: the trust bundle of example.org/)
  await api.send('FetchX509Bundles', x509Bundles({ [own]: ca.bundle }))
  const ec = jwk('a') as Record<string, unknown>
  const rows: [name: string, message: Uint8Array, why: RegExp][] = [
    ['rubbish', Buffer.from([0xff]), /FetchJWTBundles was refused/],
    ['not JSON', jwkText('{'), /not JSON/],
    ['not UTF-8', jwkText(Buffer.from([0x22, 0xff, 0x22])), /not UTF-8/],
    ['a member twice', jwkText('{"keys":[],"keys":[]}'), /stands twice/],
    ['no keys', jwtBundles({ [own]: {} }), /no keys/],
    ['keys that are none', jwtBundles({ [own]: { keys: [1] } }), /key 0 is no object/],
    ['no kid', jwtBundles({ [own]: { keys: [{ ...ec, kid: undefined }] } }), /has no kid/],
    ['one kid twice', jwtBundles({ [own]: { keys: [ec, jwk('a')] } }), /have the same kid/],
    ['not on the curve', jwtBundles({ [own]: { keys: [{ ...ec, x: ec['y'] }] } }), /is no key/],
    ['a private part', jwtBundles({ [own]: { keys: [{ ...ec, d: 'AA' }] } }), /private key/],
    ['a key that is no domain', jwtBundles({ 'https://a': { keys: [] } }), /does not start with spiffe/],
    ['too many', jwtBundles({ [own]: { keys: Array(257).fill(ec) } }), /more than 256/],
    ['RSA of 512 bits', jwtBundles({ [own]: { keys: [shortRsa()] } }), /bits/],
  ]
  for (const [name, message, why] of rows) {
    await api.send('FetchJWTBundles', message)
    t.match(source.problem(), why, name)
    t.same(source.current()?.bundles.get('example.org')?.jwtAuthorities, [], name)
  }
  t.same(ids(source.current()), [spiffeId])
  const odd = [
    { kty: 'oct', k: 'AA', kid: 'o' },
    { ...jwk('b'), use: 'x509-svid' },
    { ...jwk('c'), use: 'jwt-svid' },
  ]
  await api.send('FetchJWTBundles', jwtBundles({ [own]: { keys: [...odd, ec] } }))
  t.equal(source.problem(), undefined)
  const found = source.current()?.bundles.get('example.org')?.jwtAuthorities
  t.same(
    found?.map(({ kid }) => kid),
    ['c', 'a'],
    'keys for other things are passed over',
  )
})

function jwkText(text: string | Buffer): Uint8Array {
  const length = text.length
  const key = Buffer.from(own)
  const inner = Buffer.concat([
    Buffer.from([0x0a, key.length]),
    key,
    Buffer.from([0x12, length]),
    Buffer.from(text),
  ])
  return Buffer.concat([Buffer.from([0x0a, inner.length]), inner])
}

function shortRsa(): object {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 512 })
  return { ...publicKey.export({ format: 'jwk' }), kid: 'r' }
}

t.test('what expires is not served any more, and it is said before', async (t) => {
  const { api, source, time, states, ca, sendBundles } = await scene(t)
  await sendBundles()
  const long = entry(ca, { issue: { spiffeId: `${own}/long`, ttlSeconds: 7200 } })
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca), long] }))
  await time.advance(3_200_000)
  t.equal(source.problem(), undefined)
  await time.advance(100_000)
  t.match(
    source.problem(),
    /^spiffe:\/\/example.org\/ns\/acme\/sa\/app: the certificate expires in 300 s and was not renewed$/,
  )
  await time.advance(300_000)
  t.match(source.problem(), /app: the certificate has expired/)
  t.same(ids(states.at(-1)), [`${own}/long`], 'who listens is told without asking')
  t.same(ids(source.current()), [`${own}/long`])
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  t.equal(source.problem(), undefined)
})

t.test('a token is kept until half of its life is over', async (t) => {
  const { api, source, time, ca, sendBundles } = await scene(t)
  await sendBundles()
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  let asked = 0
  const token = (more: object = {}) => {
    const iat = time.clock.nowMs() / 1000
    const claims = { sub: spiffeId, aud: ['models'], iat, exp: iat + 300, ...more }
    const parts = [{ alg: 'ES256', kid: 'a', typ: 'JWT' }, claims].map((part) =>
      Buffer.from(JSON.stringify(part)).toString('base64url'),
    )
    return `${parts.join('.')}.AAAA`
  }
  const answer = (svid: string, id = spiffeId) => {
    const message = create(JWTSVIDResponseSchema, { svids: [{ spiffeId: id, svid, hint: 'h' }] })
    return { ok: true, message: Buffer.from(toBinary(JWTSVIDResponseSchema, message)) } as const
  }
  api.answer = () => {
    asked++
    return answer(token())
  }
  const [first, second] = await Promise.all([source.fetchJwtSvid('models'), source.fetchJwtSvid('models')])
  t.match(first, { ok: true, svid: { id: { text: spiffeId }, audience: ['models'], hint: 'h' } })
  t.same(second, first)
  t.equal(asked, 1, 'one call for two at once')
  await time.advance(149_000)
  t.same(await source.fetchJwtSvid('models'), first)
  await time.advance(2000)
  const third = await source.fetchJwtSvid('models')
  t.not(third, first)
  t.equal(asked, 2)

  api.answer = () => ({ ok: false, status: { code: 14, message: 'gone' } })
  await time.advance(200_000)
  t.same(await source.fetchJwtSvid('models'), third, 'the old one does where there is no new one')
  await time.advance(100_000)
  t.match(await source.fetchJwtSvid('models'), { ok: false, kind: 'failed', why: /gone/ }, 'until its end')

  const rows: [name: string, svid: string, why: RegExp][] = [
    ['no token', 'hello', /not three parts/],
    ['two parts', 'e30.e30', /no alg/],
    ['too long', 'a'.repeat(9000), /longer than/],
    ['another audience', token({ aud: ['others'] }), /another audience/],
    ['no audience', token({ aud: undefined }), /no aud/],
    ['an audience that is none', token({ aud: [1] }), /no aud/],
    ['expired', token({ exp: time.clock.nowMs() / 1000 }), /expired/],
    ['no end', token({ exp: undefined }), /no exp/],
    ['an end that is none', token({ exp: '9' }), /no exp/],
    ['no subject', token({ sub: undefined }), /sub/],
    ['a subject of no workload', token({ sub: own }), /sub: has no path/],
    ['of another', token({ sub: `${own}/other` }), /another identity/],
  ]
  for (const [name, svid, why] of rows) {
    api.answer = () => answer(svid)
    t.match(await source.fetchJwtSvid('models'), { ok: false, kind: 'failed', why }, name)
  }

  api.answer = () => answer(token())
  t.match(await source.fetchJwtSvid('models'), { ok: true })
  api.answer = () => ({ ok: false, status: { code: 7, message: 'no identity issued' } })
  await time.advance(200_000)
  t.match(await source.fetchJwtSvid('models'), { ok: false, kind: 'denied' })
  api.answer = () => ({ ok: false, status: { code: 14, message: 'gone' } })
  t.match(
    await source.fetchJwtSvid('models'),
    { ok: false, kind: 'failed' },
    'the denied one is not used again',
  )
})

t.test('who is denied identities has no tokens either', async (t) => {
  const { api, source, time, ca, sendBundles } = await scene(t)
  await sendBundles()
  await api.send('FetchX509SVID', x509Message({ svids: [entry(ca)] }))
  const iat = time.clock.nowMs() / 1000
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const svid = `${part({ alg: 'ES256' })}.${part({ sub: spiffeId, aud: 'models', iat, exp: iat + 300 })}.AAAA`
  const message = create(JWTSVIDResponseSchema, { svids: [{ spiffeId, svid }] })
  api.answer = () => ({ ok: true, message: Buffer.from(toBinary(JWTSVIDResponseSchema, message)) })
  t.match(await source.fetchJwtSvid('models'), { ok: true })
  api.answer = () => ({ ok: false, status: { code: 14, message: 'gone' } })
  t.match(await source.fetchJwtSvid('models'), { ok: true }, 'kept')
  await api.end('FetchX509SVID', 7)
  t.match(await source.fetchJwtSvid('models'), { ok: false }, 'gone with the identities')
})

t.test('who closes it hears nothing more', async (t) => {
  const { api, source, states, sendBundles } = await scene(t)
  await sendBundles()
  await source[Symbol.asyncDispose]()
  t.ok(api.isClosed)
  await t.rejects(api.send('FetchX509SVID', Buffer.alloc(0)), { message: /nobody follows/ })
  t.same(states, [])
})
