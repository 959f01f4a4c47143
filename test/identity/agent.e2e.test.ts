import { X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { createDevCa, type Issued, openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { openSpireSource } from '#identity/source/spire.ts'
import type { X509Svid } from '#identity/x509/svid.ts'
import { type Clients, startLoad } from '../envoy/sds/steady-load.ts'
import { http, type Identity } from '../harness/http.ts'
import { askedPath, startIdentityWorld } from '../harness/identity-world.ts'
import { startSpire } from '../harness/spire.ts'
import { eventually } from '../harness/temp.ts'
import { knock } from '../harness/tls-client.ts'

const trustDomain = 'example.org'
const envoyId = `spiffe://${trustDomain}/ns/models/sa/server`
const clientId = `spiffe://${trustDomain}/ns/acme/sa/app`
const serialOf = ({ certificatePem }: Issued) =>
  new X509Certificate(certificatePem).serialNumber.toLowerCase()
/** Requests of every client between two changes. */
const between = 3
const loadOptions = { path: askedPath, doRenew: true }

/** Of the certificate that who connects now is shown, or why there is none. */
async function serialShown(
  port: number,
  tls: { readonly ca: string; readonly identity: Identity },
): Promise<string> {
  const seen = await knock({ port, ...tls })
  return seen.kind === 'answered' ? seen.serial : seen.why
}

t.test('dev: the agent goes and comes back, and Envoy serves TLS all the time', async (t) => {
  await using world = await startIdentityWorld({
    identity: {
      trustDomains: [trustDomain],
      source: { type: 'dev', dir: 'ca', spiffeId: envoyId, dnsNames: ['localhost'] },
    },
  })
  const ca = openDevCa(`${world.folder}/ca`, { trustDomain })
  const tls = { ca: ca.bundlePem, identity: ca.issue({ spiffeId: clientId }) }
  const ask = async () => (await http({ port: world.port, path: askedPath, tls })).status
  t.equal(await ask(), 200)
  const shown = () => serialShown(world.port, tls)
  const first = await shown()
  t.match(first, /^[0-9a-f]{32}$/)
  const ends = await world.metric('sluice_identity_expires_timestamp_seconds')
  t.ok(ends !== undefined && ends > Date.now() / 1000, `it ends at ${ends}`)

  world.agent.kill('SIGKILL')
  await eventually('nobody decides', async () => (await ask()) >= 500)
  t.equal(await shown(), first, 'Envoy keeps the certificate that it has')
  await world.agent.restart()
  await eventually('requests are served again', async () => (await ask()) === 200)
  await eventually('Envoy has the certificate of the new process', async () => (await shown()) !== first)
  t.equal(await ask(), 200)
  t.equal(readFileSync(`${world.folder}/ca/ca.pem`, 'utf8'), ca.bundlePem, 'by the same CA')
})

t.test(
  'files: pairs that are half written, do not fit or are swapped by links fail no request',
  async (t) => {
    const ca = createDevCa({ trustDomain })
    const issue = () => ca.issue({ spiffeId: envoyId, dnsNames: ['localhost'] })
    const clients: Clients = { identity: ca.issue({ spiffeId: clientId }), trust: ca.bundlePem }
    const first = issue()
    let folder = ''
    let revision = 0
    /** As the kubelet does it: a new folder, and one link that is renamed over the old one. */
    const swap = (pair: Issued) => {
      const name = `..rev${revision++}`
      mkdirSync(join(folder, name))
      writeFileSync(join(folder, name, 'tls.crt'), pair.certificatePem)
      writeFileSync(join(folder, name, 'tls.key'), pair.privateKeyPem)
      symlinkSync(name, join(folder, '..data_tmp'))
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
    }
    await using world = await startIdentityWorld({
      identity: {
        trustDomains: [trustDomain],
        source: {
          ...{ type: 'files', certificate: 'tls.crt', privateKey: 'tls.key' },
          trustBundles: { [trustDomain]: 'ca.pem' },
        },
      },
      prepare: (path) => {
        folder = path
        writeFileSync(join(folder, 'ca.pem'), ca.bundlePem)
        swap(first)
        for (const name of ['tls.crt', 'tls.key']) symlinkSync(`..data/${name}`, join(folder, name))
      },
    })
    const { port, agent } = world
    const shown = () => serialShown(port, { ca: clients.trust, identity: clients.identity })
    const ready = async () => (await agent.probe('/readyz?verbose')).body
    await using load = startLoad(port, () => clients, loadOptions)
    await load.served(between)
    t.equal(await shown(), serialOf(first))
    let good = first
    for (const [name, pair, why] of [
      ['half a certificate', { ...issue(), certificatePem: first.certificatePem.slice(0, 300) }, /tls.crt/],
      ['half a key', { ...issue(), privateKeyPem: first.privateKeyPem.slice(0, 60) }, /tls.key/],
      ['nothing', { certificatePem: '', privateKeyPem: '' }, /tls.crt/],
      ["another one's key", { ...issue(), privateKeyPem: issue().privateKeyPem }, /key/],
      ['a pair of another CA', createDevCa({ trustDomain }).issue({ spiffeId: envoyId }), /tls.crt/],
      ['an expired pair', ca.issue({ spiffeId: envoyId, ttlSeconds: -30 }), /expired/],
    ] as const) {
      swap(pair)
      await eventually(`${name} is told`, async () => why.test(await ready()))
      await load.served(between)
      t.equal(await shown(), serialOf(good), `${name}: the last good one stays`)
      t.equal((await agent.probe('/readyz')).status, 200, name)
      good = issue()
      swap(good)
      await eventually(`after ${name} a good one is in use`, async () => (await shown()) === serialOf(good))
      await load.served(between)
    }
    await eventually('all is well', async () => /^\[\+\]identity ok$/m.test(await ready()))
    const total = load.total()
    await load[Symbol.asyncDispose]()
    t.same(load.failures, [], `of ${total} requests`)

    swap(
      ca.issue({ spiffeId: envoyId, wrong: { notBeforeMs: Date.now() - 3_600_000 }, ttlSeconds: 3600 + 300 }),
    )
    await eventually('an identity that ends soon makes the agent unready', async () => {
      const { status, body } = await agent.probe('/readyz')
      return status === 503 && /^\[-\]own_identity: .* expires in \d+ s and was not renewed$/m.test(body)
    })
    t.equal(
      (await http({ port, path: askedPath, tls: { ca: ca.bundlePem, identity: clients.identity } })).status,
      200,
    )
    swap(issue())
    await eventually('and a new one ready', async () => (await agent.probe('/readyz')).status === 200)
  },
)

const pem = (type: string, der: Buffer) =>
  `-----BEGIN ${type}-----\n${der.toString('base64')}\n-----END ${type}-----\n`
const identityOf = ({ chain, privateKey }: X509Svid): Identity => ({
  certificatePem: chain.map(({ der }) => pem('CERTIFICATE', der)).join(''),
  privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
})

t.test(
  'SPIRE: its agent dies, its authority is exchanged, and no request fails',
  { timeout: 180_000 },
  async (t) => {
    await using spire = await startSpire(trustDomain)
    // Renewed 15 s after it was issued, for it began 10 s before that.
    await spire.register({ entryId: 'app', spiffeId: clientId, x509TtlSeconds: 40 })
    const log = pino({ level: 'silent' })
    await using source = await openSpireSource({ socket: spire.socket, log })
    const svid = () => source.current()?.svids[0]
    const authorities = () => source.current()?.bundles.get(trustDomain)?.x509Authorities ?? []
    await eventually('an identity', () => svid())
    let lastOf: X509Svid | undefined
    let clients: Clients | undefined
    const client = (): Clients => {
      const own = svid()
      if (own !== undefined && own !== lastOf) clients = { identity: identityOf(own), trust: '' }
      lastOf = own
      return {
        identity: (clients as Clients).identity,
        trust: authorities()
          .map(({ der }) => pem('CERTIFICATE', der))
          .join(''),
      }
    }
    await using world = await startIdentityWorld({
      identity: { trustDomains: [trustDomain], source: { type: 'spire', socket: spire.socket } },
    })
    const { port, agent, metric } = world
    const known = () => metric(`sluice_identity_bundle_authorities{trust_domain="${trustDomain}"}`)
    const shown = () => serialShown(port, { ca: client().trust, identity: client().identity })
    const stranger = createDevCa({ trustDomain: 'other.org' }).issue({ spiffeId: 'spiffe://other.org/app' })
    const { trust } = client()
    t.equal(
      (await http({ port, path: askedPath, tls: { ca: trust, identity: client().identity } })).status,
      200,
    )
    t.match(await knock({ port, ca: trust, identity: stranger }), { kind: 'refused' }, 'another trust domain')
    t.match(await knock({ port, ca: trust }), { kind: 'refused' }, 'nobody')

    await using load = startLoad(port, client, loadOptions)
    await load.served(between)
    await spire.killAgent()
    await load.served(between)
    await spire.startAgent()
    await load.served(between)

    const authority = async (verb: string, ...args: readonly string[]) => {
      const answer = await spire.server('localauthority', 'x509', verb, ...args, '-output', 'json')
      const named: Record<string, { authority_id?: string }> = JSON.parse(answer)
      return Object.values(named).find((each) => each.authority_id !== undefined)?.authority_id ?? ''
    }
    const before = JSON.parse(await spire.server('localauthority', 'x509', 'show', '-output', 'json'))
    const oldId: string = before.active.authority_id
    const [old] = authorities()
    const own = await spire.ownSerials()
    const newId = await authority('prepare')
    await eventually('both authorities', async () => authorities().length === 2 && (await known()) === 2)
    await load.served(between)
    await authority('activate', '-authorityID', newId)
    const isNew = (each: X509Svid | undefined) =>
      each?.chain[0]?.authorityKeyId?.equals(old?.subjectKeyId ?? Buffer.alloc(0)) === false
    await eventually('an identity of the new one', () => isNew(svid()))
    // DER has a zero before a high bit, TLS libraries have not.
    const serialNow = () => svid()?.chain[0]?.serial.replace(/^00/, '')
    await eventually('Envoy shows it too', async () => (await shown()) === serialNow())
    await load.served(between)
    await authority('taint', '-authorityID', oldId)
    await eventually('server and agent have certificates of the new one', async () => {
      const { server, agent: its } = await spire.ownSerials()
      return server !== own.server && its !== own.agent
    })
    await load.served(between)
    await authority('revoke', '-authorityID', oldId)
    await eventually('the old one is gone', async () => authorities().length === 1 && (await known()) === 1)
    await load.served(between)
    const total = load.total()
    await load[Symbol.asyncDispose]()
    t.same(load.failures, [], `of ${total} requests`)

    const last = client()
    await spire.unregister('app')
    await eventually('Envoy shows nothing that anybody trusts', async () => {
      const seen = await knock({ port, ca: last.trust, identity: last.identity })
      return seen.kind === 'refused' && seen.why === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'
    })
    t.match(await agent.probe('/readyz'), {
      status: 503,
      body: /^\[-\]own_identity: no identity of our own$/m,
    })
  },
)
