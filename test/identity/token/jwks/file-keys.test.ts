import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { FileKeys } from '#identity/token/jwks/file-keys.ts'
import { createTokenVerifier, type TokenEvent } from '#identity/token/token.ts'
import { manualClock } from '../../../decision/an-exchange.ts'
import { createSigner, setOf, someIssuer, someone, someToken } from '../kit.ts'

t.test('keys from a file are there at once, and follow the file; a bad one changes nothing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-keys-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'keys.json')
  const events: TokenEvent[] = []
  const watched = new EventEmitter()
  const keys = new FileKeys({
    issuer: 'a',
    path,
    clock: manualClock(),
    onEvent: (event) => void events.push(event),
    watch: (_, onChange) => {
      watched.on('change', onChange)
      return { [Symbol.dispose]: () => undefined }
    },
  })
  const kids = () => keys.current()?.map(({ kid }) => kid)
  t.equal(kids(), undefined)
  t.match(keys.status().lastError, /keys\.json.*ENOENT/)
  const write = (text: string) => {
    writeFileSync(path, text)
    watched.emit('change')
  }
  write(setOf(someone))
  t.same(kids(), ['key-1'])
  const before = keys.current()
  write(`${setOf(someone)}\n`)
  t.equal(keys.current(), before, 'the same keys are the same list')
  for (const bad of ['', '{', '{"keys":1}', JSON.stringify({ keys: [], x: 'x'.repeat(1 << 20) })]) {
    write(bad)
    t.same(kids(), ['key-1'], bad.slice(0, 10))
    t.match(keys.status().lastError, /keys\.json/)
  }
  rmSync(path)
  watched.emit('change')
  t.same(kids(), ['key-1'], 'nor does one that is gone')
  write(setOf(createSigner('P-256', 'key-2')))
  t.same(kids(), ['key-2'])
  t.equal(keys.status().lastError, undefined)
  t.ok(events.length >= 8)
})

t.test('a verifier with keys from a file needs no network, and no wait', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-keys-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'keys.json')
  writeFileSync(file, setOf(someone))
  await using verifier = createTokenVerifier({
    issuers: [someIssuer({ jwks: { file } })],
    clock: manualClock(),
  })
  t.equal(verifier.problem(), undefined)
  t.match(verifier.verify(someToken(), ''), { ok: true })
  t.match(verifier.status(), { issuers: [{ place: file, keys: 1, isStale: false }] })
})
