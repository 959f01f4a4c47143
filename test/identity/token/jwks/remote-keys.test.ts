import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createTokenVerifier, type TokenEvent, type TokenVerifier } from '#identity/token/token.ts'
import { manualClock } from '../../../decision/an-exchange.ts'
import {
  createSigner,
  issuerName,
  manualAfter,
  setOf,
  settled,
  signToken,
  someClaims,
  someHeader,
  someIssuer,
  someone,
  someToken,
} from '../kit.ts'

type Answer = { readonly text: string; readonly maxAgeSeconds?: number } | Error

const second = createSigner('P-256', 'key-2')

/** A verifier whose server of keys answers with what the scene says; time passes as the scene says. */
async function scene(issuer: object = {}, first: Answer = { text: setOf(someone) }) {
  const clock = manualClock()
  const timer = manualAfter()
  const urls: string[] = []
  const events: TokenEvent[] = []
  let answer: Answer | Promise<Answer> = first
  const open = () =>
    createTokenVerifier({
      issuers: [someIssuer(issuer)],
      clock,
      after: timer.after,
      random: () => 0.5,
      onEvent: (event) => void events.push(event),
      fetch: async (url) => {
        urls.push(url)
        const found = await answer
        if (found instanceof Error) throw found
        return found
      },
    })
  const verifier = open()
  await settled()
  const token = (claims: object, kid: string, signer: typeof someone) =>
    signToken(
      signer,
      someHeader({ kid }),
      someClaims({ iat: undefined, exp: clock.nowMs() / 1000 + 600, ...claims }),
    )
  return {
    clock,
    timer,
    urls,
    events,
    open,
    verifier,
    fetches: () => urls.length,
    serve: (next: Answer | Promise<Answer>) => {
      answer = next
    },
    verify: (signer = someone, kid = signer.kid) => verifier.verify(token({}, kid, signer), 'peer'),
    /** The background fetch that is due, some time from now. */
    due: async (afterSeconds: number) => {
      await settled()
      clock.advanceMs(afterSeconds * 1000)
      timer.run()
      await settled()
    },
  }
}

const unknown = { ok: false, reason: 'token_key_unknown' }
const unavailable = { ok: false, reason: 'token_keys_unavailable' }
const good = { ok: true, token: { isKeySetStale: false } }
const stale = { ok: true, token: { isKeySetStale: true } }

t.test('keys are fetched again in the background, before they are due and not all at once', async (t) => {
  const rows: [name: string, maxAgeSeconds: number | undefined, delayMs: number][] = [
    ['the server says nothing', undefined, 240_000],
    ['the server says a day', 86_400, 240_000],
    ['the server says a minute', 60, 48_000],
    ['the server says now', 0, 24_000],
  ]
  for (const [name, maxAgeSeconds, delayMs] of rows) {
    const { timer } = await scene(
      {},
      { text: setOf(someone), ...(maxAgeSeconds !== undefined && { maxAgeSeconds }) },
    )
    t.same(timer.delays().map(Math.round), [delayMs], name)
  }
})

t.test('a new key is in force as soon as it was fetched, and one that was removed is gone', async (t) => {
  const { verify, serve, due, verifier, events } = await scene()
  t.match(verify(), good)
  serve({ text: setOf(someone, second) })
  await due(240)
  t.match([verify(), verify(second)], [good, good])
  serve({ text: setOf(second) })
  await due(240)
  t.match([verify(), verify(second)], [unknown, good])
  serve({ text: '{"keys":[]}' })
  await due(240)
  t.match([verify(), verify(second)], [unknown, unknown], 'an empty set means that nothing is to be trusted')
  t.match(verifier.warning(), /no key to check signatures with/)
  t.equal(verifier.problem(), undefined)
  const changes = events.filter((event) => event.kind === 'keys_loaded' && event.isChanged)
  t.match(changes, [{ issuer: issuerName, keys: 1 }, { keys: 2 }, { keys: 1 }, { keys: 0 }])
})

t.test('keys that changed end what was remembered, others do not', async (t) => {
  const { verifier, serve, due, clock } = await scene()
  const token = signToken(someone, someHeader(), someClaims({ exp: clock.nowMs() / 1000 + 3600 }))
  const counts = () => verifier.status().counts
  verifier.verify(token, '')
  verifier.verify(token, '')
  t.match(counts(), { verified: 1, hits: 1 })
  await due(1)
  verifier.verify(token, '')
  t.match(counts(), { verified: 1, hits: 2 }, 'the same set')
  serve({ text: setOf(second, someone) })
  await due(1)
  verifier.verify(token, '')
  t.match(counts(), { verified: 2, hits: 2 }, 'another set')
  serve({ text: setOf(second) })
  await due(1)
  t.match(verifier.verify(token, ''), unknown)
})

t.test('while the server is away the last good keys stay, for a bounded time', async (t) => {
  for (const fault of [
    new Error('https://idp.example/keys: the server answered 500'),
    { text: '<html>' },
    { text: '{"keys":{}}' },
    { text: JSON.stringify({ keys: Array.from({ length: 65 }, () => someone.jwk) }) },
  ]) {
    const { verify, serve, due, clock, verifier } = await scene({ staleSeconds: 3600 })
    const name = fault instanceof Error ? fault.message : fault.text.slice(0, 20)
    serve(fault)
    await due(240)
    t.match(verify(), good, `${name}: they are fresh yet`)
    t.match(verifier.warning(), /idp\.example/, name)
    clock.advanceMs(60_000)
    t.match(verify(), stale, name)
    t.match(verifier.status(), { issuers: [{ issuer: issuerName, keys: 1, isStale: true }] }, name)
    clock.advanceMs(3_599_000)
    t.match(verify(), stale, name)
    clock.advanceMs(1000)
    t.match(verify(), unavailable, `${name}: no longer`)
    t.equal(verifier.problem(), undefined, 'who was ready stays so: a restart would not help')
    serve({ text: setOf(someone) })
    await due(0)
    t.match(verify(), good, `${name}: it is back`)
    t.equal(verifier.warning(), undefined, name)
  }
})

t.test('what was remembered says that keys are stale, and ends with them', async (t) => {
  const { verifier, serve, due, clock } = await scene({ staleSeconds: 30, refreshSeconds: 30 })
  const token = someToken()
  serve(new Error('away'))
  await due(20)
  t.match(verifier.verify(token, ''), good)
  clock.advanceMs(15_000)
  t.match(verifier.verify(token, ''), stale)
  clock.advanceMs(24_000)
  t.match(verifier.verify(token, ''), stale)
  t.match(verifier.status().counts, { verified: 1, hits: 2 })
  clock.advanceMs(1000)
  t.match(verifier.verify(token, ''), unavailable)
})

t.test('a server that fails is asked less and less', async (t) => {
  const { timer, due, fetches } = await scene({}, new Error('away'))
  const delays: number[] = []
  for (let i = 0; i < 9; i++) {
    delays.push(...timer.delays())
    await due((timer.delays()[0] ?? 0) / 1000)
  }
  t.same(delays, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
  t.equal(fetches(), 10)
})

t.test(
  'a token that names an unknown key is refused at once, and its key is there for the next',
  async (t) => {
    const { verify, serve, fetches } = await scene()
    serve({ text: setOf(someone, second) })
    t.match(verify(second), unknown)
    t.equal(fetches(), 2)
    await settled()
    t.match(verify(second), good)
    t.equal(fetches(), 2)
  },
)

t.test('ten thousand unknown keys make one fetch in the cooldown, and never two at once', async (t) => {
  const { verifier, serve, fetches, clock, timer } = await scene({ cooldownSeconds: 30 })
  const { promise, resolve } = Promise.withResolvers<Answer>()
  serve(promise)
  const rest = someToken().slice(someToken().indexOf('.'))
  const flood = (from: number) => {
    for (let i = 0; i < 10_000; i++) {
      const header = JSON.stringify(someHeader({ kid: `random-${from + i}` }))
      const verdict = verifier.verify(Buffer.from(header).toString('base64url') + rest, 'peer')
      if (verdict.ok || verdict.reason !== 'token_key_unknown') t.fail(JSON.stringify(verdict))
    }
  }
  flood(0)
  t.equal(fetches(), 2)
  clock.advanceMs(31_000)
  verifier.verify(someToken({}, { kid: 'random' }), 'peer')
  t.equal(fetches(), 2, 'the one before is still on its way')
  resolve({ text: setOf(someone) })
  await settled()
  flood(10_000)
  await settled()
  flood(20_000)
  t.equal(fetches(), 3)
  t.equal(timer.delays().length, 1, 'and one timer')
  t.match(verifier.verify(someToken(), 'peer'), good)
  clock.advanceMs(31_000)
  const other = { iss: 'https://other.example' }
  t.match(verifier.verify(someToken(other, { kid: 'random' }), 'peer'), { reason: 'token_issuer_unknown' })
  t.equal(fetches(), 3, 'no key is fetched for a token of somebody else')
})

t.test('a key that a fetch did not bring is not fetched for again before the next refresh', async (t) => {
  const { verify, fetches, clock } = await scene({ cooldownSeconds: 10, refreshSeconds: 300 })
  verify(someone, 'old')
  await settled()
  t.equal(fetches(), 2)
  for (let i = 0; i < 29; i++) {
    clock.advanceMs(10_000)
    verify(someone, 'old')
    await settled()
  }
  t.equal(fetches(), 2, 'the cooldown is over, but it is known not to be there')
  clock.advanceMs(10_000)
  verify(someone, 'old')
  await settled()
  t.equal(fetches(), 3)
})

t.test('a key that is there but does not fit, and a wrong signature, make no fetch', async (t) => {
  const { verifier, fetches } = await scene()
  t.match(verifier.verify(someToken({}, { alg: 'ES384' }), ''), unknown)
  t.match(verifier.verify(someToken({}, {}, createSigner('P-256', 'key-1')), ''), {
    reason: 'token_signature_invalid',
  })
  t.equal(fetches(), 1)
})

t.test('an issuer is found by its metadata, which must be its own to the letter', async (t) => {
  const rows: [issuer: string, discovery: string, url: string][] = [
    ['https://idp.example', 'oidc', 'https://idp.example/.well-known/openid-configuration'],
    ['https://idp.example/', 'oidc', 'https://idp.example/.well-known/openid-configuration'],
    ['https://idp.example/realms/a', 'oidc', 'https://idp.example/realms/a/.well-known/openid-configuration'],
    ['https://idp.example', 'oauth', 'https://idp.example/.well-known/oauth-authorization-server'],
    [
      'https://idp.example/realms/a',
      'oauth',
      'https://idp.example/.well-known/oauth-authorization-server/realms/a',
    ],
  ]
  for (const [issuer, discovery, url] of rows) {
    const jwks_uri = 'https://keys.example/set'
    const asked: string[] = []
    const verifierOf = async (metadata: object) => {
      const verifier = createTokenVerifier({
        issuers: [someIssuer({ issuer, jwks: { discovery } })],
        clock: manualClock(),
        after: manualAfter().after,
        fetch: async (place) => {
          asked.push(place)
          return { text: place === jwks_uri ? setOf(someone) : JSON.stringify(metadata) }
        },
      })
      await settled()
      return verifier
    }
    const verifier = await verifierOf({ issuer, jwks_uri })
    t.match(verifier.verify(someToken({ iss: issuer }), ''), good, issuer)
    t.same(asked, [url, jwks_uri])
    const wrong: [object, RegExp][] = [
      [{ issuer: `${issuer}x`, jwks_uri }, /of another issuer/],
      [{ issuer: issuer.toUpperCase(), jwks_uri }, /of another issuer/],
      [{ jwks_uri }, /of another issuer/],
      [{ issuer }, /no jwks_uri/],
      [{ issuer, jwks_uri: 'keys' }, /no jwks_uri/],
      [[], /not a JSON object/],
    ]
    for (const [metadata, why] of wrong) t.match((await verifierOf(metadata)).problem(), why)
  }
})

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-keys-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Reading and writing files takes turns of the event loop. */
async function until(check: () => boolean): Promise<void> {
  const end = performance.now() + 30_000
  while (!check() && performance.now() < end) await new Promise((resolve) => setImmediate(resolve))
}

const hasSettled = (verifier: TokenVerifier) => () =>
  verifier.warning() !== undefined || verifier.problem() === undefined

t.test(
  'what was kept serves a start without the server, and no longer than it would have without one',
  async (t) => {
    const persist = join(folder(t), 'deep', 'keys.json')
    const { open, serve, clock, verifier, verify, timer } = await scene({ persist, staleSeconds: 3600 })
    await until(() => statSync(persist, { throwIfNoEntry: false }) !== undefined && timer.delays().length > 0)
    t.match(verify(), good)
    t.equal(statSync(persist).mode & 0o777, 0o600)
    t.match(JSON.parse(readFileSync(persist, 'utf8')), { issuer: issuerName, fetchedAtMs: clock.nowMs() })
    await verifier[Symbol.asyncDispose]()
    serve(new Error('away'))
    const restarted = async () => {
      const again = open()
      t.teardown(() => again[Symbol.asyncDispose]())
      await until(() => again.warning() !== undefined)
      return again
    }
    const fresh = () => someToken({ iat: undefined, exp: clock.nowMs() / 1000 + 60 })
    t.match((await restarted()).verify(fresh(), ''), good)
    clock.advanceMs(301_000)
    t.match((await restarted()).verify(fresh(), ''), stale)
    clock.advanceMs(3_600_000)
    t.match((await restarted()).verify(fresh(), ''), unavailable)
    clock.advanceMs(-10_000_000)
    const early = await restarted()
    t.match(early.verify(fresh(), ''), unavailable, 'from the future it could be of any age')
    t.match(early.problem(), /away/)
  },
)

t.test('what was kept of another issuer or place, or by somebody else, is not taken', async (t) => {
  const path = join(folder(t), 'keys.json')
  const jwks = setOf(someone)
  const now = manualClock().nowMs()
  const whole = { issuer: issuerName, place: `${issuerName}/keys`, fetchedAtMs: now, jwks }
  const rows: [name: string, text: string, isTaken: boolean][] = [
    ['its own', JSON.stringify(whole), true],
    ['another issuer', JSON.stringify({ ...whole, issuer: 'https://other.example' }), false],
    ['another place', JSON.stringify({ ...whole, place: 'https://other.example' }), false],
    ['no time', JSON.stringify({ ...whole, fetchedAtMs: null }), false],
    ['no set', JSON.stringify({ ...whole, jwks: {} }), false],
    ['a bad set', JSON.stringify({ ...whole, jwks: '[]' }), false],
    ['no JSON', 'keys', false],
    ['no UTF-8', '\u{0}', false],
  ]
  for (const [name, text, isTaken] of rows) {
    writeFileSync(path, name === 'no UTF-8' ? Buffer.from('ff', 'hex') : text)
    const { verify, verifier } = await scene({ persist: path }, new Error('away'))
    await until(hasSettled(verifier))
    await until(() => /away/.test(verifier.warning() ?? ''))
    t.match(verify(), isTaken ? good : unavailable, name)
  }
})

t.test('where nothing can be kept, the keys are in force all the same', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'file'), '')
  const { verify, verifier } = await scene({ persist: join(path, 'file', 'keys.json') })
  await until(hasSettled(verifier))
  await until(() => verifier.warning() !== undefined)
  t.match(verify(), good)
  t.match(verifier.warning(), /file/)
})

t.test('a closed verifier asks for nothing any more', async (t) => {
  const { verifier, timer, fetches, verify } = await scene()
  await verifier[Symbol.asyncDispose]()
  t.same(timer.delays(), [])
  verify(someone, 'unknown')
  t.equal(fetches(), 1)
})
