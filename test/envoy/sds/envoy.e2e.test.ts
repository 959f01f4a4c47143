import { X509Certificate } from 'node:crypto'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import t from 'tap'
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js'
import type { Method } from '#grpc/service.ts'
import { createDevCa, type Issued } from '#identity/dev-ca/dev-ca.ts'
import { bundle, bundles, pair, scriptedSource } from '../../harness/identity-source.ts'
import { type SdsForm, startSds, startSdsEnvoy } from '../../harness/sds-envoy.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { type Knock, knock } from '../../harness/tls-client.ts'
import { secretIn } from './talk.ts'

const ca = createDevCa({ trustDomain: 'example.org' })
const other = createDevCa({ trustDomain: 'other.org' })
const envoyId = 'spiffe://example.org/envoy'
const mine = ca.issue({ spiffeId: 'spiffe://example.org/client' })
const foreign = other.issue({ spiffeId: 'spiffe://other.org/client' })
const own = bundles(bundle('example.org', ca.bundlePem))
const both = bundles(bundle('example.org', ca.bundlePem), bundle('other.org', other.bundlePem))
const issue = () => ca.issue({ spiffeId: envoyId })
const serialOf = ({ certificatePem }: Issued) =>
  new X509Certificate(certificatePem).serialNumber.toLowerCase()
const isAnswered = ({ kind }: Knock) => kind === 'answered'
const isRefused = ({ kind }: Knock) => kind === 'refused'

function clientsOf(port: number) {
  const ask = (identity: Issued) => knock({ port, ca: ca.bundlePem, identity })
  return {
    ask,
    until: (what: string, identity: Issued, isIt: (seen: Knock) => boolean) =>
      eventually(what, async () => isIt(await ask(identity))),
    /** New connections are met with this certificate. */
    untilServed: (issued: Issued) =>
      eventually(`${serialOf(issued)} is in use`, async () => {
        const seen = await ask(mine)
        return seen.kind === 'answered' && seen.serial === serialOf(issued)
      }),
  }
}

for (const form of ['GRPC', 'DELTA_GRPC'] satisfies SdsForm[]) {
  t.test(`${form}: Envoy is ready with its first secrets, and follows every change of them`, async (t) => {
    using folder = temporaryFolder()
    const source = scriptedSource()
    await using sds = await startSds({ folder: folder.path, source })
    await using started = await startSdsEnvoy({ address: sds.address, form, isReady: false })
    const { port, envoy } = started
    const { ask, until, untilServed } = clientsOf(port)
    const { counters } = sds.discovery
    await eventually('Envoy asks', () => counters.streams === 2)
    t.match(await envoy.admin('/ready'), /INITIALIZING/)
    t.match(await ask(mine), { kind: 'refused', why: 'ECONNREFUSED' })

    const first = issue()
    source.say({ svids: [pair(first)], bundles: both })
    await untilServed(first)
    await eventually('it is ready', async () => (await envoy.admin('/ready')).startsWith('LIVE'))
    t.match(await ask(foreign), { kind: 'answered' })

    await eventually('both are acknowledged', () => counters.accepted === 2)
    for (const [name, issued, key] of [
      ["another certificate's key", issue(), issue()],
      ['an expired one', ca.issue({ spiffeId: envoyId, wrong: { notBeforeMs: 0 } }), undefined],
      ["another domain's CA", other.issue({ spiffeId: envoyId }), undefined],
    ] as const) {
      source.say({ svids: [pair(issued, key)], bundles: both })
      t.equal(counters.sent, 2, `${name} is not sent`)
      t.match(sds.discovery.warning(), /./)
      t.match(await ask(mine), { kind: 'answered', serial: serialOf(first) })
    }

    const second = issue()
    source.say({ svids: [pair(second)], bundles: own })
    await untilServed(second)
    await until('a trust domain that is gone is not let in', foreign, isRefused)
    t.match(await ask(mine), { kind: 'answered' })

    source.say({ svids: [pair(second)], bundles: bundles() })
    await until('with no trust domain nobody is let in', mine, isRefused)
    source.say({ svids: [pair(second)], bundles: bundles(bundle('example.org')) })
    t.match(await ask(mine), { kind: 'refused' }, 'nor with one that has no authorities')
    source.say({ svids: [pair(second)], bundles: both })
    await untilServed(second)
    await until('the other domain is back', foreign, isAnswered)

    source.say({ svids: [], bundles: both })
    await until(
      'with our identity taken back, who verifies the server goes away',
      mine,
      (seen) => seen.kind === 'refused' && seen.why === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    )
    source.say({ svids: [pair(second)], bundles: both })
    await untilServed(second)
    t.equal(counters.refused, 0, 'Envoy took every form of it')
    t.equal(sds.discovery.problem(), undefined)
  })

  t.test(
    `${form}: without its agent Envoy keeps what it has, and with the next one it catches up`,
    async (t) => {
      using folder = temporaryFolder()
      const [first, second] = [issue(), issue()]
      const source = scriptedSource({ svids: [pair(first)], bundles: both })
      const agent = await startSds({ folder: folder.path, source })
      await using started = await startSdsEnvoy({ address: agent.address, form })
      const { ask, until, untilServed } = clientsOf(started.port)
      await untilServed(first)
      await agent[Symbol.asyncDispose]()
      t.match(await ask(mine), { kind: 'answered', serial: serialOf(first) })
      t.match(await ask(foreign), { kind: 'answered' })

      const anew = scriptedSource({ svids: [pair(second)], bundles: own })
      await using agentAgain = await startSds({ folder: folder.path, source: anew })
      await untilServed(second)
      await until('what was taken back meanwhile is gone', foreign, isRefused)
      t.equal(agentAgain.discovery.counters.refused, 0)
      anew.say({ svids: [], bundles: bundles() })
      await until('and nothing is left', mine, isRefused)
    },
  )

  t.test(`${form}: a trust domain goes, also when Envoy refuses the certificate beside it`, async (t) => {
    using folder = temporaryFolder()
    const first = issue()
    const source = scriptedSource({ svids: [pair(first)], bundles: both })
    let isBroken = false
    await using sds = await startSds({
      folder: folder.path,
      source,
      through: (method) => withOtherKey(method, form, () => isBroken),
    })
    await using started = await startSdsEnvoy({ address: sds.address, form })
    const { ask, until, untilServed } = clientsOf(started.port)
    await untilServed(first)
    isBroken = true
    source.say({ svids: [pair(issue())], bundles: both })
    await eventually('it is refused', () => sds.discovery.counters.refused > 0)
    t.match(sds.discovery.warning(), /Envoy refuses default: .*KEY_VALUES_MISMATCH/)
    t.match(await ask(mine), { kind: 'answered', serial: serialOf(first) }, 'the old one stays')
    isBroken = false
    const next = issue()
    source.say({ svids: [pair(next)], bundles: both })
    await untilServed(next)
    t.equal(sds.discovery.warning(), undefined)

    isBroken = true
    source.say({ svids: [pair(issue())], bundles: own })
    await until('the trust domain is gone', foreign, isRefused)
    t.match(await ask(mine), { kind: 'answered' })
    await eventually('the bundle is in force by its own word', () => sds.discovery.problem() === undefined)
  })

  t.test(`${form}: no key shows in what Envoy tells about itself`, async (t) => {
    using folder = temporaryFolder()
    const issued = issue()
    await using sds = await startSds({
      folder: folder.path,
      source: scriptedSource({ svids: [pair(issued)], bundles: both }),
    })
    await using started = await startSdsEnvoy({ address: sds.address, form })
    const key = Buffer.from(issued.privateKeyPem).toString('base64')
    for (const path of ['/config_dump?resource=dynamic_active_secrets', '/config_dump', '/certs']) {
      const told = await started.envoy.admin(path)
      t.notMatch(told, /PRIVATE KEY/, path)
      t.notMatch(told, key.slice(60, 120), path)
    }
    const dump = JSON.parse(await started.envoy.admin('/config_dump?resource=dynamic_active_secrets'))
    const secret = dump.configs.find(({ name }: { name: string }) => name === 'default').secret
    const shown = Buffer.from(secret.tls_certificate.private_key.inline_bytes, 'base64').toString()
    t.equal(shown, '[redacted]')
    t.notMatch(sds.logged.join('\n'), /PRIVATE KEY/)
    t.notMatch(started.envoy.logs(), /PRIVATE KEY/)
  })
}

t.test("the names and forms of others: Istio's, a trust domain, an identity, plain CA files", async (t) => {
  using folder = temporaryFolder()
  const issued = issue()
  const source = scriptedSource({ svids: [pair(issued)], bundles: both })
  await using sds = await startSds({ folder: folder.path, source })
  const rows: [name: string, options: Partial<Parameters<typeof startSdsEnvoy>[0]>][] = [
    ["Istio's", { certificate: 'default', context: 'ROOTCA' }],
    ['by SPIFFE IDs', { certificate: envoyId, context: 'spiffe://example.org' }],
    ['plain CA files', { context: 'ROOTCA', node: { metadata: { disable_spiffe_cert_validation: true } } }],
  ]
  for (const [name, options] of rows) {
    await using started = await startSdsEnvoy({ address: sds.address, ...options })
    const { ask, untilServed, until } = clientsOf(started.port)
    await untilServed(issued)
    t.match(await ask(foreign), { kind: 'refused' }, name)
    source.say({ svids: [pair(issued)], bundles: bundles(bundle('other.org', other.bundlePem)) })
    await until(`${name}: nobody is let in without our bundle`, mine, isRefused)
    source.say({ svids: [pair(issued)], bundles: both })
    await untilServed(issued)
  }
  t.equal(sds.discovery.counters.refused, 0)
})

t.test(
  'a name that cannot be ours is told to Envoy, and an identity that may come is waited for',
  async (t) => {
    using folder = temporaryFolder()
    const issued = issue()
    const source = scriptedSource({ svids: [pair(issued)], bundles: both })
    await using sds = await startSds({ folder: folder.path, source })
    {
      const options = { address: sds.address, certificate: 'kubernetes://tls', isReady: false }
      await using started = await startSdsEnvoy(options)
      await eventually('Envoy logs our words', () =>
        started.envoy.logs().includes('no secret can have the name "kubernetes://tls"'),
      )
      t.match(await started.envoy.admin('/ready'), /INITIALIZING/, 'it never listens without')
    }
    const later = 'spiffe://example.org/later'
    await using started = await startSdsEnvoy({ address: sds.address, certificate: later, isReady: false })
    await eventually('it is asked for', () => sds.logged.some((line) => line.includes('it waits')))
    const coming = ca.issue({ spiffeId: later })
    source.say({ svids: [pair(issued), pair(coming)], bundles: both })
    await clientsOf(started.port).untilServed(coming)
    t.equal(sds.discovery.problem(), undefined)
  },
)

/** Has the real service send a certificate with a key that is not its own, as no source of ours would. */
function withOtherKey(method: Method, form: SdsForm, isBroken: () => boolean): Method {
  if (method.kind !== 'stream') return method
  const key = { specifier: { case: 'inlineBytes' as const, value: Buffer.from(issue().privateKeyPem) } }
  const broken = (any: Parameters<typeof secretIn>[0]) => {
    const secret = secretIn(any)
    if (secret.type.case === 'tlsCertificate')
      Object.assign(secret.type.value, { privateKey: { ...secret.type.value.privateKey, ...key } })
    return anyPack(SecretSchema, secret)
  }
  /** Of each certificate the first message only: what is sent again is as it was. */
  const seen = new Set<string>()
  const isNew = (bytes: Uint8Array) => {
    const text = Buffer.from(bytes).toString('latin1')
    const certificate = /-----BEGIN CERTIFICATE-----[^-]+/.exec(text)?.[0] ?? ''
    const isKnown = seen.has(certificate)
    seen.add(certificate)
    return !isKnown
  }
  return {
    ...method,
    open: (writer, call) =>
      method.open(
        {
          ...writer,
          close: (status) => writer.close(status),
          pause: () => writer.pause(),
          resume: () => writer.resume(),
          send: (bytes) => {
            if (!isNew(bytes) || !isBroken()) return writer.send(bytes)
            if (form === 'GRPC') {
              const response = fromBinary(DiscoveryResponseSchema, bytes)
              response.resources = response.resources.map(broken)
              return writer.send(toBinary(DiscoveryResponseSchema, response))
            }
            const response = fromBinary(DeltaDiscoveryResponseSchema, bytes)
            for (const each of response.resources) if (each.resource) each.resource = broken(each.resource)
            return writer.send(toBinary(DeltaDiscoveryResponseSchema, response))
          },
        },
        call,
      ),
  }
}
