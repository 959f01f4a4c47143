import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { encodePem } from '#crypto/pem.ts'
import { openSecretDiscovery } from '#envoy/sds/sds.ts'
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js'
import type { Status } from '#grpc/service.ts'
import type { X509Svid } from '#identity/x509/svid.ts'
import { createLogger } from '#telemetry/telemetry.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { bundle, bundles, pair, scriptedSource } from '../../harness/identity-source.ts'
import { bareCall } from '../kit.ts'
import {
  ca,
  envoyId,
  freshPair,
  hourMs,
  otherId,
  own,
  partner,
  partners,
  setting,
  stranger,
  whole,
} from './setting.ts'
import { type Asking, contentOf, forms, keyOf, plain, secretIn, type Talk, talk } from './talk.ts'

const ownTrust = [['example.org', ca.bundlePem]]
const partnerTrust = [['a.partner.org', partner.bundlePem]]
const [first, second] = whole.svids as [X509Svid, X509Svid]
const pem = ({ chain }: X509Svid) => chain.map(({ der }) => encodePem('CERTIFICATE', der)).join('')
const contents = (envoy: Talk) => envoy.heard().flatMap(({ secrets }) => secrets.map(contentOf).map(plain))

for (const form of forms) {
  t.test(`${form}: each name has what it stands for, and everything names nothing twice`, async (t) => {
    const { discovery } = setting(whole)
    const rows: [name: string, content: unknown][] = [
      ['default', pem(first)],
      [envoyId, pem(first)],
      [otherId, pem(second)],
      ['ROOTCA', ownTrust],
      ['spiffe://example.org', ownTrust],
      ['spiffe://a.partner.org', partnerTrust],
      ['ALL', [...partnerTrust, ...ownTrust]],
    ]
    for (const [name, content] of rows) {
      const envoy = talk(discovery, form)
      envoy.want([name])
      const answers = envoy.heard()
      t.match(answers, [{ nonce: /^[0-9a-f]{16}$/, secrets: [{ name }] }], name)
      t.same(answers[0]?.secrets.map(contentOf).map(plain), [content], name)
    }
    const everything = talk(discovery, form)
    everything.want([])
    const all = [envoyId, otherId, 'spiffe://a.partner.org', 'spiffe://example.org']
    t.same(everything.heardNames(), [all.sort()])
    const several = talk(discovery, form)
    several.want(['ROOTCA', 'default', 'default', ''])
    t.same(several.heardNames(), [['ROOTCA', 'default']], 'one stream may ask for several')
  })

  t.test(`${form}: a certificate travels with its whole chain and its own key`, async (t) => {
    const { discovery } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    const [secret] = envoy.heard()[0]?.secrets ?? []
    t.equal(secret && keyOf(secret), first.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const der = Buffer.from(String(secret && contentOf(secret)).replace(/-----.*-----|\n/g, ''), 'base64')
    t.ok(der.equals(first.chain[0]?.der as Buffer))
  })

  t.test(`${form}: other names may be agreed on`, async (t) => {
    const names = { certificate: 'server', ownBundle: 'roots', allBundles: 'everybody' }
    const log = createLogger('debug', { write: () => {} })
    const discovery = openSecretDiscovery({
      source: scriptedSource(whole),
      names,
      log,
      clock: manualClock(),
    })
    const envoy = talk(discovery, form)
    envoy.want(['server', 'roots', 'everybody'])
    t.same(envoy.heardNames(), [['everybody', 'roots', 'server']])
    const usual = talk(discovery, form)
    usual.want(['default'])
    t.match(usual.closed(), { code: 3 })
  })

  t.test(
    `${form}: what cannot be asked for ends the stream with INVALID_ARGUMENT and the reason`,
    async (t) => {
      const { discovery, logged } = setting(whole)
      const asCaFile = { node: { disable_spiffe_cert_validation: true } }
      const rows: [names: readonly string[], more: Asking, why: RegExp][] = [
        [['file-cert:/a~/b'], {}, /no secret can have the name "file-cert:\/a~\/b"/],
        [['default', 'SOMETHING'], {}, /"SOMETHING"/],
        [['spiffe://'], {}, /"spiffe:\/\/"/],
        [['spiffe://EXAMPLE.org/a'], {}, /no secret/],
        [['spiffe://example.org/a/../b'], {}, /no secret/],
        [['default'], { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' }, /another type/],
        [['ALL'], asCaFile, /never merged/],
        [Array.from({ length: 1025 }, (_, i) => `spiffe://example.org/${i}`), {}, /more than 1024/],
      ]
      for (const [names, more, why] of rows) {
        const envoy = talk(discovery, form)
        envoy.want(names, more)
        t.same(envoy.heard(), [])
        t.match(envoy.closed(), { code: 3, message: why })
      }
      const rubbish = talk(discovery, form)
      rubbish.sayBytes(Buffer.from('this is no protobuf'))
      t.match(rubbish.closed(), { code: 3, message: /malformed (Delta)?DiscoveryRequest/ })
      t.equal(discovery.counters.streams, 0, 'none of them is open')
      t.equal(logged.filter((line) => line.includes('a stream is ended')).length, rows.length + 1)
    },
  )

  t.test(`${form}: bundles go out as plain CA files where the node asks for that`, async (t) => {
    const { discovery } = setting(whole)
    for (const isDisabled of [true, 'true']) {
      const envoy = talk(discovery, form)
      envoy.want(['ROOTCA'], { node: { disable_spiffe_cert_validation: isDisabled } })
      t.same(contents(envoy), [{ trustedCa: ca.bundlePem }])
    }
    for (const isDisabled of [false, 'false', 'yes', 1]) {
      const envoy = talk(discovery, form)
      envoy.want(['ROOTCA'], { node: { disable_spiffe_cert_validation: isDisabled } })
      t.same(contents(envoy), [ownTrust])
    }
  })

  t.test(`${form}: who asks before there is anything waits, and is told once it is there`, async (t) => {
    const { discovery, source, logged } = setting()
    const envoy = talk(discovery, form)
    envoy.want(['default', 'ALL'])
    t.same(envoy.heard(), [])
    t.equal(envoy.closed(), undefined)
    t.match(logged, [/asked for what is not there; it waits/])
    t.equal(discovery.problem(), 'no identity yet')
    source.say(whole)
    t.same(envoy.heardNames(), [['ALL', 'default']])
    t.equal(discovery.problem(), undefined)
  })

  t.test(`${form}: who asks for an identity that we have not waits for it`, async (t) => {
    const { discovery, source } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want(['spiffe://example.org/later', 'spiffe://later.org'])
    t.same(envoy.heard(), [])
    const later = bundle('later.org', partner.bundlePem)
    source.say({ svids: [...whole.svids, freshPair('spiffe://example.org/later')], bundles: bundles(own) })
    t.same(envoy.heardNames(), [['spiffe://example.org/later']])
    envoy.accept()
    source.say({ svids: [...whole.svids], bundles: bundles(own, later) })
    t.ok(envoy.heardNames()[0]?.includes('spiffe://later.org'))
  })

  t.test(`${form}: an acknowledgement is not answered, and nor is another one`, async (t) => {
    const { discovery } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    t.equal(envoy.heard().length, 1)
    for (let i = 0; i < 3; i++) envoy.accept()
    t.same(envoy.heard(), [])
    t.match(discovery.counters, { streams: 1, sent: 1, accepted: 1, refused: 0 })
  })

  t.test(`${form}: only a change of what is subscribed to is told`, async (t) => {
    const { discovery, source } = setting(whole)
    const [certificate, context] = [talk(discovery, form), talk(discovery, form)]
    certificate.want(['default'])
    context.want(['ROOTCA'])
    for (const envoy of [certificate, context]) {
      envoy.accept()
      t.equal(envoy.heard().length, 1)
    }
    const rows: [name: string, svids: readonly X509Svid[], trust: typeof whole.bundles, told: string[]][] = [
      ['nothing changed', whole.svids, whole.bundles, []],
      ['another identity of ours', [first, freshPair(otherId)], whole.bundles, []],
      ["another domain's bundle is gone", [first, second], bundles(own), []],
      ['the default identity', [freshPair(), second], whole.bundles, ['default']],
      [
        'our own bundle',
        [first, second],
        bundles(bundle('example.org', ca.bundlePem, stranger.bundlePem), partners),
        ['ROOTCA', 'default'],
      ],
    ]
    for (const [name, svids, trust, told] of rows) {
      source.say({ svids, bundles: trust })
      t.same([...context.heardNames(), ...certificate.heardNames()].flat(), told, name)
      for (const envoy of [certificate, context]) envoy.accept()
    }
  })

  t.test(`${form}: what came with a nonce that is not ours changes nothing`, async (t) => {
    const { discovery, source } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    const [old] = envoy.heard()
    source.say({ ...whole, svids: [freshPair(), second] })
    t.equal(envoy.heard().length, 1)
    envoy.refuse('no', 'not a nonce of ours')
    t.equal(discovery.problem(), undefined)
    t.match(discovery.counters, { accepted: 0, refused: 0 })
    if (form === 'state of the world') {
      envoy.want(['default', 'ROOTCA'], { nonce: old?.nonce ?? '' })
      t.same(envoy.heard(), [], 'a subscription that came with an old nonce is passed over')
      envoy.accept()
      t.same(envoy.heardNames(), [['ROOTCA', 'default']], 'and is in the next request')
    }
  })

  t.test(`${form}: what Envoy refuses is counted, told, and not sent again until it changes`, async (t) => {
    const { discovery, source, logged } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    envoy.refuse('Failed to load private key')
    t.equal(envoy.heard().length, 1)
    t.equal(discovery.problem(), 'Envoy refuses default: Failed to load private key')
    t.match(logged.at(-1), /"level":"error".*Failed to load private key/)
    source.say(whole)
    t.same(envoy.heard(), [], 'the same is not sent again')
    source.say({ ...whole, svids: [freshPair(), second] })
    t.equal(envoy.heard().length, 1)
    envoy.accept()
    t.equal(discovery.problem(), undefined)
    t.match(discovery.counters, { sent: 2, accepted: 1, refused: 1 })
  })

  t.test(
    `${form}: in the place of a refused certificate Envoy gets again the one that it took`,
    async (t) => {
      const { discovery, source } = setting(whole)
      const envoy = talk(discovery, form)
      envoy.want(['default'])
      const [before] = contents(envoy)
      envoy.accept()
      const refused = freshPair()
      source.say({ ...whole, svids: [refused, second] })
      t.equal(envoy.heard().length, 1)
      envoy.refuse(`no${'!'.repeat(100_000)}`)
      t.same(contents(envoy), [before])
      t.match(discovery.warning(), /^Envoy refuses default: no!{1000,1022}$/)
      t.equal(discovery.problem(), undefined, 'the one before is in force')
      envoy.accept()
      t.same(envoy.heard(), [], 'what was refused does not come back')
      t.match(discovery.warning(), /no!/, 'and is not forgotten')
      source.say({ ...whole, svids: [refused, second] })
      t.same(envoy.heard(), [])
      source.say({ ...whole, svids: [freshPair(), second] })
      envoy.accept()
      t.equal(discovery.warning(), undefined, 'until another one is taken')

      source.say({ ...whole, svids: [freshPair(), second] })
      envoy.heard()
      envoy.refuse('no')
      t.equal(envoy.heard().length, 1)
      envoy.refuse('nor this')
      t.same(envoy.heard(), [], 'one that refuses what it had is left in peace')
      envoy.leave()
      t.equal(discovery.warning(), undefined, 'and nobody is left who refuses')
      t.equal(discovery.counters.streams, 0)
    },
  )

  t.test(`${form}: where an earlier certificate has expired, a refusal is a problem`, async (t) => {
    const at = manualClock()
    const { discovery, source } = setting(whole, at)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    envoy.accept()
    at.advanceMs(hourMs - 1000)
    source.say({
      ...whole,
      svids: [pair(ca.issue({ spiffeId: envoyId, wrong: { notBeforeMs: at.nowMs() } }))],
    })
    envoy.refuse('no')
    t.equal(discovery.problem(), undefined)
    at.advanceMs(1000)
    t.equal(discovery.problem(), 'Envoy refuses default: no')
  })

  t.test(
    `${form}: what was refused is offered anew when something else is taken, three times at most`,
    async (t) => {
      const { discovery, source } = setting(whole)
      const [trust, certificate] = [talk(discovery, form), talk(discovery, form)]
      trust.want(['ALL'])
      const [once] = trust.heard().flatMap(({ secrets }) => secrets.map(contentOf))
      trust.refuse('the certificate is bad')
      t.same(trust.heard(), [])
      certificate.want(['default'])
      certificate.accept()
      const [twice] = trust.heard().flatMap(({ secrets }) => secrets.map(contentOf))
      t.same(plain(twice), plain(once), 'the same content')
      t.notSame(twice, once, 'in other bytes')
      let offers = 2
      for (let i = 0; i < 10; i++) {
        trust.refuse('still bad')
        source.say({ ...whole, svids: [freshPair()] })
        certificate.accept()
        offers += trust.heard().length
      }
      t.equal(offers, 3)
      source.say({ ...whole, svids: [freshPair()], bundles: bundles(own) })
      t.same(trust.heardNames(), [['ALL']], 'another content is offered')
      trust.accept()
      t.equal(discovery.problem(), undefined)
    },
  )

  t.test(`${form}: a refusal that comes after something else was taken is no last word`, async (t) => {
    const { discovery } = setting(whole)
    const [trust, certificate] = [talk(discovery, form), talk(discovery, form)]
    trust.want(['ALL'])
    certificate.want(['default'])
    trust.heard()
    certificate.accept()
    trust.refuse('said before the certificate was taken')
    t.same(trust.heardNames(), [['ALL']])
    trust.accept()
    t.equal(discovery.problem(), undefined)
  })

  t.test(
    `${form}: a bundle that Envoy refuses is a problem, for the one before still lets people in`,
    async (t) => {
      const { discovery, source } = setting(whole)
      const envoy = talk(discovery, form)
      envoy.want(['ALL'])
      envoy.accept()
      source.say({ ...whole, bundles: bundles(own) })
      envoy.refuse('cannot load')
      t.equal(discovery.problem(), 'Envoy refuses ALL: cannot load')
    },
  )

  t.test(`${form}: a wider subscription is answered, a narrower one is not`, async (t) => {
    const { discovery, source } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    envoy.accept()
    envoy.heard()
    envoy.want(['default', 'ROOTCA'])
    t.ok(envoy.heardNames().flat().includes('ROOTCA'))
    envoy.accept()
    envoy.want(['ROOTCA'])
    t.same(envoy.heard(), [])
    source.say({ ...whole, svids: [freshPair(), second] })
    t.same(envoy.heard(), [], 'what is no more subscribed to is not told')
    envoy.want(['ROOTCA', 'default'])
    t.ok(envoy.heardNames().flat().includes('default'), 'and is told anew when it is wanted again')
  })

  t.test(`${form}: a pair that does not fit never goes out, and the one before stays`, async (t) => {
    const at = manualClock()
    const expired = ca.issue({ spiffeId: envoyId, wrong: { notBeforeMs: at.nowMs() - 2 * hourMs } })
    const future = ca.issue({ spiffeId: envoyId, wrong: { notBeforeMs: at.nowMs() + hourMs } })
    const rows: [name: string, svid: X509Svid, why: RegExp][] = [
      [
        "another certificate's key",
        pair(ca.issue({ spiffeId: envoyId }), ca.issue({ spiffeId: envoyId })),
        /private key does not belong/,
      ],
      ['expired', pair(expired), /has expired/],
      ['not valid yet', pair(future), /not valid yet/],
      [
        "a CA of our domain's name that is in no bundle",
        pair(stranger.issue({ spiffeId: envoyId })),
        /issuer/,
      ],
      ["another domain's CA", pair(partner.issue({ spiffeId: envoyId })), /its issuer is not known/],
    ]
    for (const [name, svid, why] of rows) {
      const { discovery, source, logged } = setting(undefined, at)
      const envoy = talk(discovery, form)
      envoy.want(['default', envoyId])
      source.say({ ...whole, svids: [svid] })
      t.same(envoy.heard(), [], `${name}: nothing goes out`)
      t.match(discovery.problem(), why, name)
      t.match(logged.at(-1), why, name)
      source.say(whole)
      t.same(envoy.heardNames(), [['default', envoyId]], name)
      envoy.accept()
      source.say({ ...whole, svids: [svid] })
      t.same(envoy.heard(), [], `${name}: the one before stays`)
      t.equal(discovery.problem(), undefined)
      t.match(discovery.warning(), why, name)
      const late = talk(discovery, form)
      late.want(['default'])
      t.same(contents(late), [pem(first)], `${name}: who comes later gets the one before`)
    }
  })

  t.test(`${form}: the one before does not stay where its CA is not trusted any more`, async (t) => {
    const { discovery, source } = setting(whole)
    source.say({
      svids: [pair(partner.issue({ spiffeId: envoyId }))],
      bundles: bundles(bundle('example.org', stranger.bundlePem)),
    })
    t.match(discovery.problem(), /issuer/)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    t.same(envoy.heard(), [])
  })

  t.test(`${form}: what expired while nothing new came goes to nobody`, async (t) => {
    const at = manualClock()
    const { discovery, source } = setting(whole, at)
    const early = talk(discovery, form)
    early.want(['default'])
    t.equal(early.heard().length, 1)
    at.advanceMs(hourMs)
    t.match(discovery.problem(), /has expired/)
    const late = talk(discovery, form)
    late.want(['default'])
    t.same(late.heard(), [])
    source.say({ ...whole, svids: [] })
    t.equal(discovery.problem(), 'the source has no identity for us')
  })

  t.test(`${form}: an identity that is taken back is replaced by nobody's, where it was held`, async (t) => {
    const { discovery, source } = setting(whole)
    const [holder, waiting] = [talk(discovery, form), talk(discovery, form)]
    holder.want(['default', otherId])
    holder.accept()
    holder.heard()
    source.say({ ...whole, svids: [first] })
    t.ok(holder.heardNames().flat().includes(otherId))
    holder.accept()
    source.say({ ...whole, svids: [] })
    const nobodys = holder.heard().flatMap(({ secrets }) => secrets)
    t.ok(nobodys.some(({ name }) => name === 'default'))
    for (const secret of nobodys) {
      t.not(plain(contentOf(secret)), pem(first))
      t.match(keyOf(secret), /^-----BEGIN PRIVATE KEY-----/)
    }
    holder.accept()
    source.say({ ...whole, svids: [] })
    t.same(holder.heard(), [], 'once')
    waiting.want(['default'])
    t.same(waiting.heard(), [], 'who held nothing waits')
    source.say(whole)
    t.ok(contents(holder).includes(pem(first)), 'and it comes back')
    t.same(contents(waiting), [pem(first)])
  })

  t.test(
    `${form}: a trust domain that is gone is gone, and the last one leaves nobody who is let in`,
    async (t) => {
      const { discovery, source } = setting(whole)
      const names = ['ALL', 'ROOTCA', 'spiffe://a.partner.org'] as const
      const holders = names.map((name) => {
        const envoy = talk(discovery, form)
        envoy.want([name])
        envoy.accept()
        envoy.heard()
        return envoy
      })
      const trusted = () => holders.map((envoy) => contents(envoy)[0] as [string, string][] | undefined)
      source.say({ ...whole, bundles: bundles(own) })
      const [all, ours, theirs] = trusted()
      t.same(all, ownTrust)
      t.equal(ours, undefined, 'our own did not change')
      t.match(theirs, [['nobody.invalid', /BEGIN CERTIFICATE/]])
      t.not(theirs?.[0]?.[1], partner.bundlePem)
      for (const envoy of holders) envoy.accept()
      for (const [how, trust] of [
        ['without authorities', bundles(bundle('example.org'))],
        ['not there', bundles()],
      ] as const) {
        source.say({ svids: whole.svids, bundles: trust })
        for (const said of trusted().slice(0, 2))
          if (how === 'without authorities') t.match(said, [['nobody.invalid', /BEGIN CERTIFICATE/]], how)
          else t.equal(said, undefined, 'it stays so')
        for (const envoy of holders) envoy.accept()
      }
      const late = talk(discovery, form)
      late.want(['ALL'])
      t.same(late.heard(), [], 'who holds nothing waits')
    },
  )

  t.test(`${form}: a trust domain without authorities trusts nobody, whoever asks`, async (t) => {
    const { discovery } = setting({ svids: [], bundles: bundles(bundle('example.org'), partners) })
    const envoy = talk(discovery, form)
    envoy.want(['spiffe://example.org'])
    t.match(contents(envoy), [[['nobody.invalid', /BEGIN/]]])
    const asCaFile = talk(discovery, form)
    asCaFile.want(['spiffe://example.org'], { node: { disable_spiffe_cert_validation: true } })
    t.match(contents(asCaFile), [{ trustedCa: /BEGIN CERTIFICATE/ }], 'never a context that says nothing')
    const all = talk(discovery, form)
    all.want(['ALL'])
    t.same(contents(all), [partnerTrust])
  })

  t.test(`${form}: our own bundle keeps its name while our identities are taken back`, async (t) => {
    const { discovery, source } = setting(whole)
    source.say({ ...whole, svids: [] })
    const envoy = talk(discovery, form)
    envoy.want(['ROOTCA'])
    t.same(contents(envoy), [ownTrust])
  })

  t.test(`${form}: who never acknowledges gets eight answers, and the newest when it does`, async (t) => {
    const { discovery, source } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    let newest = first
    for (let i = 0; i < 20; i++) {
      newest = freshPair()
      source.say({ ...whole, svids: [newest] })
    }
    const answers = envoy.heard()
    t.equal(answers.length, 8)
    envoy.accept()
    t.same(contents(envoy), [pem(newest)])
  })

  t.test(`${form}: no key is ever logged`, async (t) => {
    const { discovery, source, logged } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want([])
    envoy.accept()
    source.say({ ...whole, svids: [pair(ca.issue({ spiffeId: envoyId }), ca.issue({ spiffeId: otherId }))] })
    envoy.refuse('no')
    t.ok(logged.length >= 3)
    for (const { privateKey } of whole.svids) {
      const text = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')
      t.notMatch(logged.join('\n'), text.slice(-40))
    }
    t.notMatch(logged.join('\n'), /PRIVATE KEY/)
  })
}

t.test(
  'state of the world: versions count, and who comes back with one is told at once what is gone',
  async (t) => {
    const { discovery, source } = setting(whole)
    const envoy = talk(discovery, 'state of the world')
    envoy.want(['default'])
    envoy.accept()
    source.say({ ...whole, svids: [freshPair()] })
    t.same(
      envoy.heard().map(({ version }) => version),
      ['1', '2'],
    )

    const anew = setting({ svids: [], bundles: bundles() })
    const holder = talk(anew.discovery, 'state of the world')
    holder.want(['spiffe://a.partner.org'], { held: '2' })
    t.match(contents(holder), [[['nobody.invalid', /BEGIN/]]])
    const newcomer = talk(anew.discovery, 'state of the world')
    newcomer.want(['spiffe://a.partner.org'])
    t.same(newcomer.heard(), [])
  },
)

t.test('delta: who comes back with versions is told what is new or gone, and nothing else', async (t) => {
  const { discovery } = setting(whole)
  const before = talk(discovery, 'delta')
  before.want(['default', 'ALL'])
  const held = before.heard()[0]?.versions ?? {}
  t.strictSame(Object.keys(held).sort(), ['ALL', 'default'])

  const same = talk(setting(whole).discovery, 'delta')
  same.want(['default', 'ALL'], { held })
  t.same(same.heard(), [], 'another process has the same versions of the same content')
  const rotated = talk(setting({ ...whole, svids: [freshPair()] }).discovery, 'delta')
  rotated.want(['default', 'ALL'], { held })
  t.same(rotated.heardNames(), [['default']])
  const gone = talk(setting({ svids: [], bundles: bundles(own) }).discovery, 'delta')
  gone.want(['default', 'spiffe://a.partner.org'], { held: { ...held, 'spiffe://a.partner.org': 'x' } })
  t.same(gone.heardNames(), [['default', 'spiffe://a.partner.org']])
})

t.test('delta: what is subscribed to once more is sent once more', async (t) => {
  const { discovery } = setting(whole)
  const envoy = talk(discovery, 'delta')
  envoy.want(['default'])
  envoy.accept()
  envoy.heard()
  envoy.want([])
  envoy.want(['default'])
  t.same(envoy.heardNames(), [['default']])
})

t.test('delta: everything follows what there is, and may be left by its name', async (t) => {
  const { discovery, source } = setting(whole)
  for (const names of [[], ['*']]) {
    source.say(whole)
    const envoy = talk(discovery, 'delta')
    envoy.want(names)
    t.equal(envoy.heardNames()[0]?.length, 4)
    envoy.accept()
    source.say({ svids: [first], bundles: bundles(own) })
    t.same(envoy.heardNames(), [['-spiffe://a.partner.org', `-${otherId}`]])
    envoy.accept()
    source.say(whole)
    t.same(envoy.heardNames(), [['spiffe://a.partner.org', otherId]])
    envoy.accept()
    if (names.length === 0) continue
    envoy.want(['default'])
    t.same(envoy.heardNames(), [['default']])
    source.say({ svids: [first, freshPair(otherId)], bundles: bundles(own) })
    t.same(envoy.heard(), [], 'everything is not wanted any more')
  }
})

t.test('state of the world: everything is told as a whole', async (t) => {
  const { discovery, source } = setting(whole)
  const envoy = talk(discovery, 'state of the world')
  envoy.want([])
  envoy.accept()
  envoy.heard()
  source.say({ svids: [first], bundles: bundles(own) })
  t.same(envoy.heardNames(), [['spiffe://example.org', envoyId]])
  envoy.accept()
  t.same(envoy.heard(), [])
  envoy.want(['default'])
  t.same(envoy.heardNames(), [['default']])
})

t.test('a fetch is answered from what there is, or says what there is not', async (t) => {
  const { discovery, source } = setting()
  const method = discovery.methods.find(({ path }) => path.endsWith('/FetchSecrets'))
  if (method?.kind !== 'unary') throw new Error('no such method')
  const fetch = (resourceNames: string[], typeUrl = '') =>
    method.handle(
      Buffer.from(
        toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { resourceNames, typeUrl })),
      ),
      bareCall,
    ) as Uint8Array | Status
  const namesIn = (answer: Uint8Array | Status) =>
    answer instanceof Uint8Array
      ? fromBinary(DiscoveryResponseSchema, answer).resources.map((any) => secretIn(any).name)
      : answer
  t.match(fetch(['default']), { code: 14 })
  source.say(whole)
  t.same(namesIn(fetch(['default', 'ALL'])), ['default', 'ALL'])
  t.equal((namesIn(fetch([])) as string[]).length, 4)
  t.match(fetch(['spiffe://example.org/nobody']), { code: 5, message: /spiffe:\/\/example.org\/nobody/ })
  t.match(fetch(['rubbish']), { code: 3 })
  t.match(fetch(['default'], 'type.googleapis.com/x'), { code: 3 })
  t.match(method.handle(Buffer.from('no protobuf'), bareCall), { code: 3 })
})

t.test('state of the world: everything has a name, and no names after some are nothing', async (t) => {
  const { discovery, source } = setting(whole)
  const envoy = talk(discovery, 'state of the world')
  envoy.want(['*', 'default'])
  t.equal(envoy.heardNames()[0]?.length, 5)
  envoy.accept()
  envoy.want(['default'])
  t.same(envoy.heard(), [])
  source.say({ ...whole, bundles: bundles(own) })
  t.same(envoy.heard(), [], 'bundles are not wanted any more')
  envoy.want([])
  source.say({ ...whole, svids: [freshPair()] })
  t.same(envoy.heard(), [], 'nothing is')
})

for (const form of forms) {
  t.test(`${form}: an agent that goes away ends its streams, and begins no other`, async (t) => {
    const { discovery } = setting(whole)
    const envoy = talk(discovery, form)
    envoy.want(['default'])
    discovery.drain()
    t.match(envoy.closed(), { code: 14 })
    const late = talk(discovery, form)
    late.want(['default'])
    t.match(late.closed(), { code: 14 })
    t.same(late.heard(), [])
    t.equal(discovery.counters.streams, 0)
  })
}

t.test('a discovery service that is closed follows its source no more', async (t) => {
  const { discovery, source } = setting(whole)
  const envoy = talk(discovery, 'delta')
  envoy.want(['default'])
  envoy.heard()
  discovery[Symbol.dispose]()
  source.say({ ...whole, svids: [freshPair()] })
  t.same(envoy.heard(), [])
})
