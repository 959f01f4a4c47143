import { generateKeyPairSync } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { renewalMs } from '#identity/dev-ca/rotation.ts'
import { openDevSource } from '#identity/source/dev.ts'
import type { IdentityState } from '#identity/source/source.ts'
import { virtualTime } from '../../base/virtual-time.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const spiffeId = 'spiffe://example.org/ns/acme/sa/app'

async function scene(t: Test, more: { readonly spiffeId?: string; readonly random?: number } = {}) {
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const time = virtualTime()
  const lines: string[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) })
  const dir = join(folder.path, 'ca')
  const source = await openDevSource({
    ...{ dir, spiffeId, ttlSeconds: 3600, log, random: () => more.random ?? 0.5 },
    ...time,
  })
  t.teardown(() => source[Symbol.asyncDispose]())
  return { dir, time, lines, source }
}

const serial = (state: IdentityState | undefined) => state?.svids[0]?.chain[0]?.serial

t.test('the development source has an identity at once, and says loudly what it is', async (t) => {
  const { source, lines } = await scene(t)
  const state = source.current()
  t.same(
    state?.svids.map(({ id }) => id.text),
    [spiffeId],
  )
  t.same([...(state?.bundles.keys() ?? [])], ['example.org'])
  t.equal(state?.bundles.get('example.org')?.x509Authorities.length, 1)
  t.equal(state?.bundles.get('example.org')?.jwtAuthorities.length, 1)
  t.equal(source.problem(), undefined)
  t.match(JSON.parse(lines[0] ?? ''), { level: 40, msg: /DEVELOPMENT CA.*never use it in production/ })
})

t.test('it renews at half of its life, a tenth of that sooner or later', async (t) => {
  for (const [random, dueMs] of [
    [0, 1_620_000],
    [0.5, 1_800_000],
    [1, 1_980_000],
  ] as const) {
    t.equal(renewalMs(0, 3600, random), dueMs)
    const { source, time } = await scene(t, { random })
    const heard: IdentityState[] = []
    source.subscribe((state) => heard.push(state))
    const first = serial(source.current())
    await time.advance(dueMs - 1)
    t.equal(serial(source.current()), first)
    await time.advance(1)
    t.not(serial(source.current()), first)
    t.equal(heard.length, 2)
    t.equal(heard[1]?.generation, heard[0]?.generation, 'the CA is the same')
    await time.advance(dueMs)
    t.equal(heard.length, 3)
    t.equal(source.problem(), undefined)
  }
})

t.test('a CA that cannot be read any more leaves the last good identity until it expires', async (t) => {
  const { source, time, dir } = await scene(t)
  const first = serial(source.current())
  writeFileSync(join(dir, 'ca.key'), 'no key')
  await time.advance(1_800_000)
  t.equal(serial(source.current()), first)
  t.match(source.problem(), /not renewed/)
  await time.advance(1_900_000)
  t.same(source.current()?.svids, [], 'it has expired')
  t.match(source.problem(), /not renewed.*has expired/)
  rmSync(dir, { recursive: true })
  await time.advance(30_000)
  t.equal(source.problem(), undefined, 'a new CA was made')
  t.equal(source.current()?.generation, 2)
})

t.test('what is no identity or no CA of it is refused at once', async (t) => {
  using folder = temporaryFolder()
  const { clock } = virtualTime()
  const log = pino({ level: 'silent' })
  const dir = join(folder.path, 'ca')
  openDevCa(dir, { trustDomain: 'example.org', clock })
  const open = (more: object) => openDevSource({ dir, spiffeId, ttlSeconds: 3600, log, clock, ...more })
  await t.rejects(open({ spiffeId: 'spiffe://example.org' }), { code: 'config_invalid' })
  await t.rejects(open({ spiffeId: 'spiffe://other.org/a' }), {
    code: 'dev_ca_unusable',
    message: /a CA of spiffe:\/\/example.org/,
  })
  const late = { nowMs: () => clock.nowMs() + 366 * 86_400_000, monotonicUs: () => 0 }
  await t.rejects(open({ clock: late }), { code: 'dev_ca_unusable', message: /has expired/ })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  writeFileSync(join(dir, 'ca.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await t.rejects(open({}), { code: 'dev_ca_unusable', message: /ca.key is not the key of ca.pem/ })
  writeFileSync(join(dir, 'ca.pem'), 'no certificate')
  await t.rejects(open({}), { code: 'dev_ca_unusable' })
})
