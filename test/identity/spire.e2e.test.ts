import { createPublicKey } from 'node:crypto'
import { createServer, connect as tlsConnect } from 'node:tls'
import { jwtVerify } from 'jose'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { pause } from '#base/pause.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import type { IdentityState } from '#identity/source/source.ts'
import { openSpireSource, type SpireSource } from '#identity/source/spire.ts'
import type { X509Svid } from '#identity/x509/svid.ts'
import { startSpire } from '../harness/spire.ts'
import { eventually } from '../harness/temp.ts'

// One SPIRE for all; each test leaves its entries as it found them, except for the two of the first.
const spire = await startSpire()
t.teardown(() => spire[Symbol.asyncDispose]())
const id = (name: string) => `spiffe://${spire.trustDomain}/${name}`
const log = pino({ level: 'silent' })

async function open(
  t: Pick<Test, 'teardown'>,
): Promise<{ readonly source: SpireSource; readonly states: IdentityState[] }> {
  // The pauses of a back-off are looked at elsewhere.
  const hurried: typeof pause = (ms, signal) => pause(Math.min(ms, 100), signal)
  const source = await openSpireSource({ socket: spire.socket, log, pause: hurried })
  t.teardown(() => source[Symbol.asyncDispose]())
  const states: IdentityState[] = []
  source.subscribe((state) => states.push(state))
  return { source, states }
}

const ids = (state: IdentityState | undefined) => state?.svids.map((each) => each.id.text).sort() ?? []
const find = (state: IdentityState | undefined, name: string) =>
  state?.svids.find((each) => each.id.text === id(name))
const serial = (svid: X509Svid | undefined) => svid?.chain[0]?.serial
const authorities = (state: IdentityState | undefined, domain = spire.trustDomain) =>
  state?.bundles.get(domain)?.x509Authorities.map(({ sha256 }) => sha256) ?? []
const until = (source: SpireSource, what: string, check: (state: IdentityState) => boolean) =>
  eventually(`${what}; the problem is ${source.problem()}`, () => {
    const state = source.current()
    return state !== undefined && check(state) ? state : undefined
  })

// Open from the start, to see the renewal.
const brief = await open(t)
let firstBrief: IdentityState | undefined

t.test('who is not registered is nobody, until there is an entry for them', async (t) => {
  const { source } = await open(t)
  await until(source, 'nobody', (state) => state.svids.length === 0)
  t.same([...(source.current()?.bundles.keys() ?? [])], [])
  t.match(source.problem(), /nothing is registered for this process/)
  t.match(await source.fetchJwtSvid('models'), { ok: false, kind: 'denied' })
  await spire.register({ entryId: 'app', spiffeId: id('app'), hint: 'main' })
  // Renewed 15 s after it was issued, for it began 10 s before that.
  await spire.register({ entryId: 'brief', spiffeId: id('brief'), x509TtlSeconds: 40 })
  const state = await until(source, 'two identities', ({ svids }) => svids.length === 2)
  t.same(ids(state), [id('app'), id('brief')])
  t.equal(find(state, 'app')?.hint, 'main')
  t.equal(state.bundles.get('example.org')?.x509Authorities.length, 1)
  // Each stream finds out for itself.
  await eventually('all is well', () => source.problem() === undefined)
  firstBrief = await until(brief.source, 'the brief one', (each) => find(each, 'brief') !== undefined)
})

t.test('two workloads prove themselves to each other with what they were given', async (t) => {
  const { source } = await open(t)
  const state = await until(source, 'an identity', (each) => find(each, 'app') !== undefined)
  const svid = find(state, 'app') as X509Svid
  const pem = (der: Buffer) =>
    `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`
  const tls = {
    cert: svid.chain.map(({ der }) => pem(der)).join(''),
    key: svid.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    ca: state.bundles.get('example.org')?.x509Authorities.map(({ der }) => pem(der)) ?? [],
    checkServerIdentity: () => undefined,
  }
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (socket) => {
    socket.end(socket.getPeerCertificate().subjectaltname ?? 'nobody')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const seen = await new Promise<string>((resolve, reject) => {
    const socket = tlsConnect({ ...tls, port, host: '127.0.0.1' })
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.once('end', () => resolve(text))
    socket.once('error', reject)
  })
  t.equal(seen, `URI:${id('app')}`)
})

t.test('tokens are fetched, kept, and valid for whom they are meant', async (t) => {
  const { source } = await open(t)
  const state = await until(source, 'a JWT authority', ({ svids, bundles }) => {
    return svids.length === 2 && (bundles.get('example.org')?.jwtAuthorities.length ?? 0) > 0
  })
  const fetched = await source.fetchJwtSvid('models')
  if (!fetched.ok) throw new Error(fetched.why)
  const { svid } = fetched
  t.ok(ids(state).includes(svid.id.text))
  t.same(await source.fetchJwtSvid('models'), fetched, 'kept')
  t.match(await source.validateJwtSvid(svid.token, 'models'), {
    ok: true,
    id: { text: svid.id.text },
    claims: { sub: svid.id.text, aud: ['models'] },
  })
  t.match(await source.validateJwtSvid(svid.token, 'others'), { ok: false, kind: 'invalid' })
  t.match(await source.validateJwtSvid(`${svid.token}x`, 'models'), { ok: false, kind: 'invalid' })
  const { payload } = await jwtVerify(
    svid.token,
    ({ kid }) => {
      const found = state.bundles
        .get('example.org')
        ?.jwtAuthorities.find((authority) => authority.kid === kid)
      if (found === undefined) throw new Error(`no authority ${kid}`)
      return createPublicKey(found.object.export({ type: 'spki', format: 'pem' }))
    },
    { audience: 'models' },
  )
  t.equal(payload.sub, svid.id.text, 'the authorities of the JWT bundle verify it')
})

t.test('the bundle of a federated trust domain comes and goes', async (t) => {
  const { source } = await open(t)
  const other = createDevCa({ trustDomain: 'other.org' })
  const path = spire.write('other.pem', other.bundlePem)
  await spire.server('bundle', 'set', '-id', 'spiffe://other.org', '-path', path)
  await spire.register({
    entryId: 'federated',
    spiffeId: id('federated'),
    federatesWith: ['spiffe://other.org'],
  })
  const state = await until(source, 'the other domain', (each) => each.bundles.has('other.org'))
  t.equal(authorities(state, 'other.org').length, 1)
  const { generation } = state
  const path2 = spire.write('other2.pem', createDevCa({ trustDomain: 'other.org' }).bundlePem)
  await spire.server('bundle', 'set', '-id', 'spiffe://other.org', '-path', path2)
  const changed = await until(source, 'its other CA', (each) => {
    const [now] = authorities(each, 'other.org')
    return now !== undefined && now !== authorities(state, 'other.org')[0]
  })
  t.ok(changed.generation > generation)
  await spire.server('bundle', 'delete', '-id', 'spiffe://other.org', '-mode', 'dissociate')
  await until(source, 'it is gone', (each) => !each.bundles.has('other.org'))
  t.equal(source.problem(), undefined)
  await spire.unregister('federated')
  await until(source, 'the entry is gone', (each) => find(each, 'federated') === undefined)
})

t.test('an identity is renewed before it ends, without a gap', async (t) => {
  const { source, states } = brief
  await until(source, 'another certificate', (each) => {
    const now = serial(find(each, 'brief'))
    return now !== undefined && now !== serial(find(firstBrief, 'brief'))
  })
  const since = states.slice(states.findIndex((each) => find(each, 'brief') !== undefined))
  t.ok(since.every((each) => find(each, 'brief') !== undefined))
})

t.test('the authority is exchanged: known before it signs, gone after it was taken back', async (t) => {
  const { source } = await open(t)
  const first = await until(source, 'an identity', (each) => find(each, 'app') !== undefined)
  const [old = ''] = authorities(first)
  t.equal(authorities(first).length, 1)
  const authority = async (verb: string, ...args: readonly string[]) => {
    const answer = await spire.server('localauthority', 'x509', verb, ...args, '-output', 'json')
    const named: Record<string, { authority_id?: string }> = JSON.parse(answer)
    return Object.values(named).find((each) => each.authority_id !== undefined)?.authority_id ?? ''
  }
  const shown = JSON.parse(await spire.server('localauthority', 'x509', 'show', '-output', 'json'))
  const oldId: string = shown.active.authority_id
  const own = await spire.ownSerials()
  const newId = await authority('prepare')
  await until(source, 'both authorities', (each) => authorities(each).length === 2)
  t.equal(serial(find(source.current(), 'app')), serial(find(first, 'app')), 'nothing else has changed')
  await authority('activate', '-authorityID', newId)
  // The agent says no for a moment, until it has new ones: see the pause after that.
  await authority('taint', '-authorityID', oldId)
  const renewed = await until(source, 'an identity of the new authority', (each) => {
    const now = serial(find(each, 'app'))
    return now !== undefined && now !== serial(find(first, 'app'))
  })
  const [leaf] = find(renewed, 'app')?.chain ?? []
  const issuers = renewed.bundles.get('example.org')?.x509Authorities ?? []
  const issuer = issuers.find(({ subjectKeyId }) =>
    leaf?.authorityKeyId?.equals(subjectKeyId ?? Buffer.alloc(0)),
  )
  t.not(issuer?.sha256, old, 'signed by the new one')
  // Server and agent know each other by the old authority until they have renewed theirs.
  await eventually('they have certificates of the new one', async () => {
    const { server, agent } = await spire.ownSerials()
    return server !== own.server && agent !== own.agent
  })
  await authority('revoke', '-authorityID', oldId)
  const last = await until(source, 'the old authority is gone', (each) => !authorities(each).includes(old))
  t.same(authorities(last), [issuer?.sha256])
  await eventually('all is well', () => source.problem() === undefined)
})

t.test('an agent that is gone takes nothing back, and one that is back is found', async (t) => {
  const { source, states } = await open(t)
  const before = await until(source, 'an identity', (each) => find(each, 'app') !== undefined)
  await spire.killAgent()
  await eventually('nobody answers', async () => {
    const fetched = await source.fetchJwtSvid('after the crash')
    return !fetched.ok && fetched.kind === 'failed'
  })
  t.ok(ids(source.current()).includes(id('app')), 'the identity is still valid')
  t.same(authorities(source.current()), authorities(before))
  t.equal(source.problem(), undefined, 'for long')
  await spire.startAgent()
  await spire.register({ entryId: 'later', spiffeId: id('later') })
  await until(source, 'what was registered later', (each) => find(each, 'later') !== undefined)
  t.ok(
    states.every((each) => find(each, 'app') !== undefined),
    'there was an identity at every time',
  )
  await spire.unregister('later')
})

t.test('whose entry is deleted is nobody at once', async (t) => {
  const { source } = await open(t)
  await until(source, 'two identities', ({ svids }) => svids.length === 2)
  t.match(await source.fetchJwtSvid('models'), { ok: true })
  await spire.unregister('brief')
  await until(source, 'one is left', ({ svids }) => svids.length === 1)
  t.same(ids(source.current()), [id('app')])
  await spire.unregister('app')
  await until(source, 'none is left', ({ svids, bundles }) => svids.length === 0 && bundles.size === 0)
  t.match(source.problem(), /nothing is registered for this process/)
  t.match(
    await source.fetchJwtSvid('models'),
    { ok: false, kind: 'denied' },
    'nor is the token used that was kept',
  )
})
