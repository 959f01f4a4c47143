import t from 'tap'
import type { Issuer } from '#identity/token/issuer.ts'
import { createTokenVerifier } from '#identity/token/token.ts'
import { VerificationBudget } from '#identity/token/verification-budget.ts'
import { type VerifiedToken, VerifiedTokens } from '#identity/token/verified-tokens.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import fc from '../../fast-check.ts'
import {
  createSigner,
  manualAfter,
  setOf,
  settled,
  signToken,
  someHeader,
  someIssuer,
  someone,
  someToken,
  someVerifier,
  startSeconds,
} from './kit.ts'

const keys = [] as const
const issuer = { keys: { current: () => keys } } as unknown as Issuer

function verified(tenantClaim: string | undefined, expiresAtMs = 1e15): VerifiedToken {
  const token = {
    kind: 'jwt',
    issuer: 'https://idp.example',
    subject: 's',
    audiences: ['a'],
    claims: {},
    expiresAtMs,
    hash: '',
    scopes: [],
    isKeySetStale: false,
    ...(tenantClaim !== undefined && { tenantClaim }),
  } as const
  const verdict = { ok: true, token } as const
  return { issuer, keys, token, notBeforeMs: 0, fresh: verdict, stale: verdict }
}

t.test('there are never more than may be, and none is there after its time', async (t) => {
  const step = fc.record({
    digest: fc.nat(30).map(String),
    tenant: fc.constantFrom('a', 'b', undefined),
    isAdd: fc.boolean(),
    waitSeconds: fc.nat(20),
    lifeSeconds: fc.integer({ min: -5, max: 100 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const remembered = new VerifiedTokens({ maxEntries: 8, ttlSeconds: 60 })
      const ends = new Map<string, number>()
      let seconds = 0
      for (const { digest, tenant, isAdd, waitSeconds, lifeSeconds } of steps) {
        seconds += waitSeconds
        const now = { us: seconds * 1e6, ms: seconds * 1000 }
        if (isAdd) {
          remembered.add(digest, verified(tenant, (seconds + lifeSeconds) * 1000), now)
          ends.set(digest, seconds + Math.min(60, Math.max(0, lifeSeconds)))
        } else if (remembered.get(digest, now.us) !== undefined) t.ok(seconds < (ends.get(digest) ?? 0))
        t.ok(remembered.size <= 8)
      }
    }),
  )
})

t.test('a tenant with very many tokens drives out its own, and nobody else’s', async (t) => {
  const remembered = new VerifiedTokens({ maxEntries: 100, ttlSeconds: 60 })
  const at = (us: number) => ({ us, ms: us / 1000 })
  for (let i = 0; i < 10; i++) remembered.add(`quiet-${i}`, verified('quiet'), at(i))
  for (let i = 0; i < 10_000; i++) remembered.add(`loud-${i}`, verified('loud'), at(100 + i))
  t.equal(remembered.size, 100)
  for (let i = 0; i < 10; i++) t.ok(remembered.get(`quiet-${i}`, 20_000), `quiet-${i}`)
  t.ok(remembered.get('loud-9999', 20_000))
  t.notOk(remembered.get('loud-0', 20_000))
  for (let i = 0; i < 200; i++) remembered.add(`third-${i}`, verified('third'), at(20_000 + i))
  t.ok(remembered.get('quiet-0', 30_000), 'nor does a second one')
})

t.test('one tenant alone may have all of it, and loses what it used longest ago', async (t) => {
  const remembered = new VerifiedTokens({ maxEntries: 3, ttlSeconds: 60 })
  const at = (us: number) => ({ us, ms: us / 1000 })
  for (const [index, digest] of ['a', 'b', 'c'].entries())
    remembered.add(digest, verified(undefined), at(index))
  t.ok(remembered.get('a', 2_000_000))
  remembered.add('d', verified(undefined), at(2_000_001))
  t.ok(remembered.get('a', 2_000_002))
  t.notOk(remembered.get('b', 2_000_002))
})

t.test('what is over its time is not kept because nobody asks for it', async (t) => {
  const remembered = new VerifiedTokens({ maxEntries: 100, ttlSeconds: 60 })
  for (let i = 0; i < 50; i++) remembered.add(String(i), verified(String(i)), { us: 0, ms: 0 })
  remembered.add('new', verified('new'), { us: 61e6, ms: 61_000 })
  t.equal(remembered.size, 1)
})

t.test(
  'a token that was verified is answered from memory, until its time or the memory’s is over',
  async (t) => {
    const verifier = await someVerifier({ clockSkewSeconds: 0 })
    const counts = () => verifier.status().counts
    const long = someToken({ exp: startSeconds + 3600 })
    const short = someToken({ exp: startSeconds + 10 })
    const first = verifier.verify(long, '')
    t.equal(verifier.verify(long, ''), first, 'the same answer, not a copy')
    t.ok(verifier.verify(short, '').ok)
    t.match(counts(), { verified: 2, hits: 1 })
    verifier.clock.advanceMs(9999)
    t.ok(verifier.verify(short, '').ok)
    t.match(counts(), { verified: 2, hits: 2 })
    verifier.clock.advanceMs(1)
    t.match(verifier.verify(short, ''), { ok: false, reason: 'token_expired' })
    verifier.clock.advanceMs(49_999)
    verifier.verify(long, '')
    t.match(counts(), { verified: 2, hits: 3 })
    verifier.clock.advanceMs(1)
    verifier.verify(long, '')
    t.match(counts(), { verified: 3, hits: 3 }, 'after a minute it is verified again')
  },
)

t.test('the times of a remembered token are looked at by the clock on the wall each time', async (t) => {
  const wall = { shiftMs: 0 }
  const clock = manualClock()
  const verifier = createTokenVerifier({
    issuers: [someIssuer({ clockSkewSeconds: 10 })],
    clock: { nowMs: () => clock.nowMs() + wall.shiftMs, monotonicUs: clock.monotonicUs },
    fetch: async () => ({ text: setOf(someone) }),
    after: manualAfter().after,
  })
  await settled()
  const token = someToken({ nbf: startSeconds })
  t.ok(verifier.verify(token, '').ok)
  wall.shiftMs = 400_000
  t.match(verifier.verify(token, ''), { ok: false, reason: 'token_expired' }, 'the clock was set forward')
  wall.shiftMs = -9000
  t.ok(verifier.verify(token, '').ok)
  wall.shiftMs = -11_000
  t.match(verifier.verify(token, ''), { ok: false, reason: 'token_invalid' }, 'and back')
})

t.test('a refusal is not remembered', async (t) => {
  const verifier = await someVerifier()
  const early = someToken({ nbf: startSeconds + 100 })
  t.match(verifier.verify(early, ''), { ok: false })
  verifier.clock.advanceMs(100_000)
  t.match(verifier.verify(early, ''), { ok: true })
})

t.test('who sends wrong signatures is refused without a look, and nobody else', async (t) => {
  const verifier = await someVerifier({}, { budget: { perSecond: 10, burst: 20 } })
  const stranger = createSigner('P-256', 'key-1')
  const junk = (i: number) => someToken({ jti: `j-${i}`, exp: startSeconds + 3000 }, {}, stranger)
  const good = someToken({ exp: startSeconds + 3000 })
  const reasons = (peer: string, count: number) => {
    const found = new Map<string, number>()
    for (let i = 0; i < count; i++) {
      const verdict = verifier.verify(junk(i), peer)
      const reason = verdict.ok ? 'ok' : verdict.reason
      found.set(reason, (found.get(reason) ?? 0) + 1)
    }
    return Object.fromEntries(found)
  }
  t.ok(verifier.verify(good, 'bad').ok)
  t.same(reasons('bad', 50), { token_signature_invalid: 20, token_verification_throttled: 30 })
  t.ok(verifier.verify(good, 'bad').ok, 'what is remembered costs nothing, and is answered')
  t.ok(verifier.verify(good, 'else').ok)
  t.match(
    verifier.verify(someToken({ exp: startSeconds + 2000 }), 'else'),
    { ok: true },
    'another peer is not touched',
  )
  t.match(verifier.verify(someToken({ exp: startSeconds + 1000 }), 'bad'), {
    reason: 'token_verification_throttled',
  })
  verifier.clock.advanceMs(1000)
  t.same(reasons('bad', 50), { token_signature_invalid: 10, token_verification_throttled: 40 })
  verifier.clock.advanceMs(60_000)
  t.same(reasons('bad', 50), { token_signature_invalid: 20, token_verification_throttled: 30 })
  t.match(verifier.status().counts, { throttled: 101 })
})

t.test('good tokens, and refusals that cost no signature, are free', async (t) => {
  const verifier = await someVerifier({}, { budget: { perSecond: 1, burst: 1 } })
  for (let i = 0; i < 20; i++) {
    t.ok(verifier.verify(someToken({ jti: `j-${i}` }), 'peer').ok)
    for (const token of [someToken({ exp: 1 }), someToken({}, { kid: 'x' }), 'junk'])
      t.notMatch(verifier.verify(token, 'peer'), { reason: 'token_verification_throttled' })
  }
})

t.test('long junk costs as much to read as a signature to check, and is counted like one', async (t) => {
  const verifier = await someVerifier({}, { budget: { perSecond: 1, burst: 10 } })
  const long = JSON.stringify(Array.from({ length: 1900 }, () => ({})))
  // Nobody signed it: it has to be read before anybody can know.
  const junk = [
    `${someToken({ aud: 'else', a: JSON.parse(long) })}`,
    signToken(someone, someHeader(), `{"a":${long},"a":1}`),
  ]
  for (const [index, token] of junk.entries()) {
    const peer = `bad-${index}`
    const reasons = Array.from({ length: 1000 }, () => verifier.verify(token, peer)).map((each) =>
      each.ok ? 'ok' : each.reason,
    )
    const isRead = (reason: string) => reason !== 'token_verification_throttled'
    t.equal(reasons.filter(isRead).length, 5, `${token.length} characters`)
  }
  t.match(verifier.verify(someToken({ a: 'x'.repeat(5000) }), 'good'), { ok: true }, 'a good one is free')
  const expired = someToken({ exp: 1, a: 'x'.repeat(1000) })
  for (let i = 0; i < 1000; i++)
    t.match(verifier.verify(expired, 'late'), { reason: 'token_expired' }, 'of usual length: told each time')
})

t.test('never more signatures than the budget are checked, whatever the times', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(400_000), { maxLength: 300 }),
      fc.integer({ min: 1, max: 50 }),
      (waits, perSecond) => {
        const budget = new VerificationBudget({ perSecond, burst: 5 })
        let nowUs = 0
        let checked = 0
        for (const wait of waits) {
          nowUs += wait
          if (budget.isSpent('peer', nowUs)) continue
          budget.charge('peer', 1, nowUs)
          checked++
        }
        t.ok(checked <= 5 + (nowUs / 1e6) * perSecond + 1e-6)
      },
    ),
  )
})
