import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createNonces } from '#identity/dpop/dpop.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const [first, second] = ['a'.repeat(32), 'b'.repeat(40)] as const

t.test('replicas with the same secret take what the others gave out', async (t) => {
  using folder = temporaryFolder()
  const secretFile = join(folder.path, 'secret')
  writeFileSync(secretFile, first)
  const [here, there] = [manualClock(), manualClock()]
  const options = { secretFile, rotationSeconds: 60 }
  const one = createNonces({ ...options, clock: here })
  const two = createNonces({ ...options, clock: there })
  const nonce = one.current()
  t.match(nonce, /^[A-Za-z0-9_-]{43}$/)
  t.equal(one.current(), nonce, 'it stays for its span')
  t.equal(two.check(nonce), 'fresh')
  there.advanceMs(60_000)
  t.equal(two.check(nonce), 'old')
  t.equal(one.check(two.current()), 'fresh', 'a clock that is ahead')
  there.advanceMs(60_000)
  t.equal(two.check(nonce), 'wrong')
  for (const wrong of ['', 'x', `${nonce}=`, ` ${nonce}`, nonce.slice(1), nonce.toLowerCase()])
    t.equal(one.check(wrong), 'wrong', wrong)
})

t.test('a secret is replaced without a nonce being refused', async (t) => {
  using folder = temporaryFolder()
  const secretFile = join(folder.path, 'secret')
  const clock = manualClock()
  writeFileSync(secretFile, `${first}\n`)
  const nonces = createNonces({ secretFile, rotationSeconds: 60, clock })
  const old = nonces.current()
  writeFileSync(secretFile, `${second}\n${first}\n`)
  clock.advanceMs(60_000)
  const fresh = nonces.current()
  t.equal(nonces.check(old), 'old')
  rmSync(secretFile)
  clock.advanceMs(60_000)
  t.equal(nonces.check(fresh), 'old', 'a file that cannot be read leaves the secrets as they were')
  writeFileSync(secretFile, 'c'.repeat(32))
  clock.advanceMs(60_000)
  t.equal(nonces.check(fresh), 'wrong')
})

t.test('a file without a secret that nobody guesses is refused at the start', async (t) => {
  using folder = temporaryFolder()
  const secretFile = join(folder.path, 'secret')
  const options = { secretFile, rotationSeconds: 60 }
  t.throws(() => createNonces(options), { code: 'nonce_secret_invalid', found: /ENOENT/ })
  for (const [text, found] of [
    ['', /no secret/],
    ['short', /5 characters/],
    [`${first}\nshort`, /2\./],
  ] as const) {
    writeFileSync(secretFile, text)
    t.throws(() => createNonces(options), { code: 'nonce_secret_invalid', place: secretFile, found }, text)
  }
})
