import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { openDevSource } from '#identity/source/dev.ts'
import { openFilesSource } from '#identity/source/files.ts'
import { Publisher } from '#identity/source/publisher.ts'
import { type IdentityState, identityEnd } from '#identity/source/source.ts'
import { virtualTime } from '../../base/virtual-time.ts'
import { bundle, bundles, pair } from '../../harness/identity-source.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const spiffeId = 'spiffe://example.org/app'
const hourMs = 3_600_000
/** The wall clock is looked at so often. */
const lookMs = 30_000
const serial = (state: IdentityState | undefined) => state?.svids[0]?.chain[0]?.serial

t.test('the development source renews within seconds, wherever the clock is set to', async (t) => {
  using folder = temporaryFolder()
  const time = virtualTime()
  const log = pino({ level: 'silent' })
  const dir = join(folder.path, 'ca')
  const random = () => 0.5
  await using source = await openDevSource({ ...{ dir, spiffeId, ttlSeconds: 3600, log, random }, ...time })
  const end = () => identityEnd(source.current(), time.clock.nowMs())
  for (const [name, stepMs, before] of [
    ['to after its end', 5 * hourMs, /no identity of our own/],
    ['to before its beginning', -3 * hourMs, /not valid before .*set back/],
    ['to its last minute', hourMs - 60_000, /expires in \d+ s/],
  ] as const) {
    const old = serial(source.current())
    await time.advance(lookMs)
    t.equal(serial(source.current()), old, name)
    time.step(stepMs)
    t.match(end(), before, name)
    await time.advance(lookMs)
    t.not(serial(source.current()), old, name)
    t.equal(end(), undefined, name)
    t.equal(source.problem(), undefined, name)
  }
  const old = serial(source.current())
  time.step(-50_000)
  await time.advance(lookMs)
  t.equal(serial(source.current()), old, 'a minute is nothing')
  await time.advance(hourMs / 2 + lookMs + 60_000)
  t.not(serial(source.current()), old, 'and half of its life is what it was')
})

t.test('files are what they are: what is said of them follows the clock', async (t) => {
  using folder = temporaryFolder()
  const time = virtualTime()
  const ca = createDevCa({ trustDomain: 'example.org', clock: time.clock })
  const at = (name: string) => join(folder.path, name)
  ca.write(at('app'), ca.issue({ spiffeId }))
  writeFileSync(at('ca.pem'), ca.bundlePem)
  await using source = await openFilesSource({
    certificate: at('app.pem'),
    privateKey: at('app.key'),
    trustBundles: { 'example.org': at('ca.pem') },
    clock: time.clock,
  })
  const end = () => identityEnd(source.current(), time.clock.nowMs())
  t.equal(end(), undefined)
  time.step(hourMs - 300_000)
  t.match(end(), /app: the certificate expires in 300 s and was not renewed/)
  time.step(-2 * hourMs)
  t.match(end(), /app: the certificate is not valid before .*: was the clock set back\?/)
  t.match(source.problem(), /not valid before/)
  time.step(3 * hourMs)
  t.equal(end(), 'no identity of our own', 'what has expired is gone')
  t.match(source.problem(), /app: the certificate has expired/)
})

t.test(
  'what a Workload API gave is dropped when the clock says so, and taken when it comes anew',
  async (t) => {
    const time = virtualTime()
    const ca = createDevCa({ trustDomain: 'example.org', clock: time.clock })
    using publisher = new Publisher(time)
    const known = bundles(bundle('example.org', ca.bundlePem))
    const end = () => identityEnd(publisher.current(), time.clock.nowMs())
    t.equal(end(), undefined, 'nothing is known yet')
    publisher.publish({ svids: [pair(ca.issue({ spiffeId }))], bundles: known })
    t.equal(end(), undefined)
    const heard: number[] = []
    publisher.subscribe(({ svids }) => heard.push(svids.length))
    time.step(2 * hourMs)
    await time.advance(lookMs)
    t.same(heard, [1, 0], 'who listens is told within seconds')
    t.equal(end(), 'no identity of our own')
    t.match(publisher.expiry(), /app: the certificate has expired/)
    publisher.publish({ svids: [pair(ca.issue({ spiffeId }))], bundles: known })
    t.equal(end(), undefined)
    time.step(-3 * hourMs)
    t.match(end(), /not valid before/)
    t.match(publisher.expiry(), /not valid before/)
  },
)
