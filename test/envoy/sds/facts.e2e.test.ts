import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import type { Identity } from '../../harness/http.ts'
import { type SdsForm, startSdsEnvoy } from '../../harness/sds-envoy.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { type Knock, knock } from '../../harness/tls-client.ts'
import { certificateSecret, plainTrustSecret, startScriptedSds, trustSecret } from './scripted-sds.ts'

const ca = createDevCa({ trustDomain: 'example.org' })
const other = createDevCa({ trustDomain: 'other.org' })
const envoyId = 'spiffe://example.org/envoy'
const mine = ca.issue({ spiffeId: 'spiffe://example.org/client' })
const foreign = other.issue({ spiffeId: 'spiffe://other.org/client' })
const both = [
  ['example.org', ca.bundlePem],
  ['other.org', other.bundlePem],
] as const
const serialOf = ({ certificatePem }: Identity) =>
  new X509Certificate(certificatePem).serialNumber.toLowerCase()

for (const form of ['GRPC', 'DELTA_GRPC'] satisfies SdsForm[]) {
  t.test(`${form}: what Envoy makes of answers that no sane server gives`, async (t) => {
    using folder = temporaryFolder()
    await using sds = await startScriptedSds(folder.path, form)
    await using envoy = await startSdsEnvoy({ address: sds.address, form, isReady: false })
    const ask = (identity?: Identity) =>
      knock({ port: envoy.port, ca: ca.bundlePem, ...(identity && { identity }) })
    /** A worker learns of a change after the main thread has acknowledged it. */
    const until = (what: string, identity: Identity | undefined, isIt: (seen: Knock) => boolean) =>
      eventually(what, async () => isIt(await ask(identity)))
    const isAnswered = ({ kind }: Knock) => kind === 'answered'
    const isRefused = ({ kind }: Knock) => kind === 'refused'

    t.match(
      await ask(mine),
      { kind: 'refused', why: 'ECONNREFUSED' },
      'it does not listen before it has both',
    )
    const first = ca.issue({ spiffeId: envoyId })
    t.equal(await sds.say('default', [certificateSecret(first)]), 'accepted')
    t.notMatch(await envoy.envoy.admin('/ready'), /LIVE/, 'a certificate is not enough')
    t.equal(await sds.say('ALL', [trustSecret(both)]), 'accepted')
    await until('it listens', mine, isAnswered)
    t.match(await ask(foreign), { kind: 'answered' })
    t.match(await ask(undefined), { kind: 'refused' })

    const wrongs: [
      name: string,
      secret: Parameters<typeof sds.say>[1][number],
      why: RegExp,
      right: Parameters<typeof sds.say>[1][number],
    ][] = [
      [
        "another certificate's key",
        certificateSecret(ca.issue({ spiffeId: envoyId }), first),
        /KEY_VALUES_MISMATCH/,
        certificateSecret(first),
      ],
      [
        'an empty certificate',
        certificateSecret({ certificatePem: '', privateKeyPem: '' }),
        /Failed to load/,
        certificateSecret(first),
      ],
      ['an empty bundle', trustSecret([['example.org', '']]), /Failed to load trusted CA/, trustSecret(both)],
    ]
    for (const [name, secret, why, right] of wrongs) {
      const of = secret.name ?? ''
      t.match(await sds.say(of, [secret]), why, name)
      t.match(await ask(mine), { kind: 'answered', serial: serialOf(first) }, `${name}: the old one stays`)
      t.equal(await sds.say(of, [secret]), 'accepted', `${name}: the same bytes again are no change`)
      t.match(await ask(mine), { kind: 'answered', serial: serialOf(first) }, `${name}: and not in force`)
      t.equal(await sds.say(of, [right]), 'accepted')
    }

    const mixed = certificateSecret(ca.issue({ spiffeId: envoyId }), first)
    t.match(await sds.say('default', [mixed]), /KEY_VALUES_MISMATCH/)
    t.match(
      await sds.say('ALL', [trustSecret([both[0]])]),
      /KEY_VALUES_MISMATCH/,
      'a refused certificate has a trust domain stay that was to go',
    )
    t.match(await ask(foreign), { kind: 'answered' })
    t.equal(await sds.say('default', [certificateSecret(first)]), 'accepted')
    await until('with a good one again, what was refused is in force', foreign, isRefused)
    t.match(await sds.say('ALL', [trustSecret([['example.org', '']])]), /Failed to load trusted CA/)
    const next = certificateSecret(ca.issue({ spiffeId: envoyId }))
    t.match(
      await sds.say('default', [next]),
      /Failed to load trusted CA/,
      'and a refused bundle keeps certificates from changing',
    )
    t.equal(await sds.say('ALL', [trustSecret(both)]), 'accepted')

    const past = { notBeforeMs: Date.now() - 7_200_000 }
    const expired = ca.issue({ spiffeId: envoyId, ttlSeconds: 60, wrong: past })
    t.equal(await sds.say('default', [certificateSecret(expired)]), 'accepted', 'an expired one is taken')
    await until(
      'clients refuse it',
      mine,
      (seen) => seen.kind === 'refused' && seen.why === 'CERT_HAS_EXPIRED',
    )
    t.equal(await sds.say('default', [certificateSecret(first)]), 'accepted')
    await until('the first one is back', mine, isAnswered)

    if (form === 'DELTA_GRPC') {
      t.equal(await sds.say('default', [], ['default']), 'accepted')
      t.equal(await sds.say('ALL', [], ['ALL']), 'accepted')
      const { serial } = (await ask(foreign)) as { serial: string }
      t.equal(serial, serialOf(first), 'what it is told to remove stays in force')
    } else {
      t.equal(await sds.say('default', []), 'accepted')
      t.match(
        await ask(mine),
        { kind: 'answered', serial: serialOf(first) },
        'an empty answer removes nothing',
      )
    }

    t.equal(await sds.say('ALL', [trustSecret([])]), 'accepted', 'no trust domain at all is taken by 1.40')
    await until('and lets nobody in', mine, isRefused)
    t.equal(await sds.say('ALL', [plainTrustSecret()]), 'accepted')
    await until(
      'a context that says nothing lets everybody in, also without a certificate',
      undefined,
      isAnswered,
    )
    t.match(await ask(foreign), { kind: 'answered' })
  })
}

t.test(
  'a session from before a bundle changed is not resumed, whether or not resumption is on',
  async (t) => {
    for (const isOn of [false, true]) {
      using folder = temporaryFolder()
      await using sds = await startScriptedSds(folder.path, 'GRPC')
      const tls = {
        disable_stateless_session_resumption: !isOn,
        disable_stateful_session_resumption: !isOn,
      }
      await using envoy = await startSdsEnvoy({ address: sds.address, tls, isReady: false })
      await sds.say('default', [certificateSecret(ca.issue({ spiffeId: envoyId }))])
      await sds.say('ALL', [trustSecret(both)])
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const ask = (session?: Buffer) =>
          knock({
            port: envoy.port,
            ca: ca.bundlePem,
            identity: foreign,
            maxVersion,
            ...(session && { session }),
          })
        await sds.say('ALL', [trustSecret(both)])
        const before = await eventually('the other domain is let in', async () => {
          const seen = await ask()
          return seen.kind === 'answered' && seen
        })
        const { session } = before
        if (isOn) {
          t.match(
            await ask(session),
            { kind: 'answered', isResumed: true },
            `${maxVersion}: while nothing changes`,
          )
        } else {
          t.equal(session, undefined, `${maxVersion}: Envoy gives no session`)
        }
        await sds.say('ALL', [trustSecret([both[0]])])
        await eventually('the other domain is not let in', async () => (await ask()).kind === 'refused')
        if (isOn)
          t.match(await ask(session), { kind: 'refused' }, `${maxVersion}: with the session of before`)
      }
    }
  },
)
