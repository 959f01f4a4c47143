import t from 'tap'
import {
  createMemoryReplayStore,
  createProofCheck,
  type ProofOptions,
  type ReplayStore,
} from '#identity/dpop/dpop.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { aProof, aRequest, type ClientKey, clientKey, signedJws } from './signed-proof.ts'

const key = clientKey()
const clock = manualClock()
const checkWith = (more: Partial<ProofOptions> = {}) =>
  createProofCheck({
    externalUrls: ['https://models.example'],
    iatWindowSeconds: 60,
    algorithms: ['ES256', 'EdDSA', 'RS256'],
    replay: createMemoryReplayStore({ clock }),
    clock,
    ...more,
  })

t.test('a whole proof is taken, by each algorithm that is configured', async (t) => {
  for (const alg of ['ES256', 'EdDSA', 'RS256']) {
    const own = clientKey(alg)
    t.same(checkWith()(aProof(own, clock.nowMs()), aRequest(own)), { ok: true }, alg)
  }
  const rsa = clientKey('RS256')
  t.match(checkWith({ algorithms: ['ES256'] })(aProof(rsa, clock.nowMs()), aRequest(rsa)), { ok: false })
})

t.test('the proof of RFC 9449 is a proof', async (t) => {
  // Figure 12 of the RFC: the proof with the access token of the same figure.
  const token = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU'
  const proof =
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA'
  const at = { nowMs: () => 1_562_262_618_000, monotonicUs: () => 0 }
  const check = checkWith({
    externalUrls: ['https://resource.example.org'],
    clock: at,
    replay: createMemoryReplayStore({ clock: at }),
  })
  const request = {
    method: 'GET',
    path: '/protectedresource',
    token,
    keyThumbprint: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
    peer: 'spiffe://test.example/ns/a',
  }
  t.same(check(proof, request), { ok: true })
})

t.test('every rule of RFC 9449, 4.3 is kept', async (t) => {
  const other = clientKey()
  const nowMs = clock.nowMs()
  const seconds = Math.floor(nowMs / 1000)
  const whole = aProof(key, nowMs)
  const rows: [rule: string, proof: string, why: RegExp][] = [
    ['2: well-formed', 'x', /three parts/],
    ['2: well-formed', `${whole}.`, /three parts/],
    ['2: one spelling', `${whole}=`, /signature/],
    ['3: required claims', aProof(key, nowMs, { claims: { jti: undefined } }), /jti/],
    ['3: required claims', aProof(key, nowMs, { claims: { htm: undefined } }), /htm/],
    ['3: required claims', aProof(key, nowMs, { claims: { htu: undefined } }), /htu/],
    ['3: required claims', aProof(key, nowMs, { claims: { iat: undefined } }), /iat/],
    ['3: required claims', aProof(key, nowMs, { claims: { ath: undefined } }), /ath/],
    ['3: types', aProof(key, nowMs, { claims: { iat: String(seconds) } }), /iat/],
    ['3: types', aProof(key, nowMs, { claims: { htu: ['https://models.example/'] } }), /htu/],
    [
      '3: claims have one meaning',
      signedJws(key, { typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, '{"htm":"POST","htm":"GET"}'),
      /twice/,
    ],
    ['4: typ', aProof(key, nowMs, { header: { typ: 'jwt' } }), /typ/],
    ['4: typ', aProof(key, nowMs, { header: { typ: undefined } }), /typ/],
    ['5: alg', aProof(key, nowMs, { header: { alg: 'none' } }), /alg/],
    ['5: alg', aProof(key, nowMs, { header: { alg: 'HS256' } }), /alg/],
    ['5: alg of another key', aProof(key, nowMs, { header: { alg: 'EdDSA' } }), /signature/],
    ['6: signature', `${whole.slice(0, -6)}AAAAAA`, /signature/],
    ['6: signed by another key', aProof({ ...other, jwk: key.jwk }, nowMs), /signature/],
    [
      '7: no private key',
      aProof(key, nowMs, { header: { jwk: key.privateKey.export({ format: 'jwk' }) } }),
      /private/,
    ],
    ['7: no symmetric key', aProof(key, nowMs, { header: { jwk: { kty: 'oct', k: 'AAAA' } } }), /jwk/],
    ['7: a key', aProof(key, nowMs, { header: { jwk: undefined } }), /jwk/],
    ['8: htm', aProof(key, nowMs, { claims: { htm: 'GET' } }), /htm/],
    ['8: htm, case', aProof(key, nowMs, { claims: { htm: 'post' } }), /htm/],
    [
      '9: htu, path',
      aProof(key, nowMs, { claims: { htu: 'https://models.example/v2/models/other/infer' } }),
      /htu/,
    ],
    [
      '9: htu, scheme',
      aProof(key, nowMs, { claims: { htu: 'http://models.example/v2/models/fraud/infer' } }),
      /htu/,
    ],
    [
      '9: htu, host',
      aProof(key, nowMs, { claims: { htu: 'https://other.example/v2/models/fraud/infer' } }),
      /htu/,
    ],
    [
      '9: htu, user',
      aProof(key, nowMs, { claims: { htu: 'https://a@models.example/v2/models/fraud/infer' } }),
      /htu/,
    ],
    ['9: htu, relative', aProof(key, nowMs, { claims: { htu: '/v2/models/fraud/infer' } }), /htu/],
    ['11: iat, old', aProof(key, nowMs, { claims: { iat: seconds - 61 } }), /iat/],
    ['11: iat, ahead', aProof(key, nowMs, { claims: { iat: seconds + 61 } }), /iat/],
    ['11: iat, beyond numbers', aProof(key, nowMs, { claims: { iat: 1e300 } }), /iat/],
    [
      '12: ath',
      aProof(key, nowMs, { claims: { ath: 'fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo' } }),
      /ath/,
    ],
    ['12: the key of the token', aProof(other, nowMs), /another key/],
    ['11.1: jti, short', aProof(key, nowMs, { claims: { jti: '1234567' } }), /jti/],
    ['11.1: jti, long', aProof(key, nowMs, { claims: { jti: 'j'.repeat(257) } }), /jti/],
    ['extensions', aProof(key, nowMs, { header: { crit: ['x'], x: 1 } }), /extension/],
  ]
  const check = checkWith()
  for (const [rule, proof, why] of rows)
    t.match(
      check(proof, aRequest(key)),
      { ok: false, reason: 'dpop_proof_invalid', why },
      `rule ${rule}: ${why}`,
    )
  t.same(check(whole, aRequest(key)), { ok: true }, 'and what was refused before used nothing up')
})

t.test('htu is compared as the clients see this server', async (t) => {
  const rows: [external: string, path: string, htu: string, isSame: boolean][] = [
    ['https://models.example', '/v2', 'HTTPS://Models.Example:443/v2', true],
    ['https://models.example:443/', '/v2?a=b', 'https://models.example/v2#x', true],
    ['https://models.example', '/v2?a=b', 'https://models.example/v2?c=d', true],
    ['https://models.example/triton/', '/v2', 'https://models.example/triton/v2', true],
    ['https://models.example/triton', '/v2', 'https://models.example/v2', false],
    ['https://models.example', '/a%7eb/%2f', 'https://models.example/a~b/%2F', true],
    ['https://models.example', '/a%2fb', 'https://models.example/a/b', false],
    ['https://models.example', '/v2/', 'https://models.example/v2', false],
    ['https://models.example:8443', '/v2', 'https://models.example/v2', false],
    ['https://[2001:DB8::1]:8443', '/v2', 'https://[2001:db8::1]:08443/v2', true],
    ['http://10.0.0.1:80', '/', 'http://10.0.0.1', true],
  ]
  for (const [external, path, htu, isSame] of rows) {
    const check = checkWith({ externalUrls: ['https://elsewhere.example', external] })
    const { ok } = check(aProof(key, clock.nowMs(), { claims: { htu } }), aRequest(key, { path })) as {
      ok: boolean
    }
    t.equal(ok, isSame, `${external} ${path} ${htu}`)
  }
  for (const wrong of [
    'models.example',
    'https://models.example?x',
    'ftp://models.example',
    'https://a@b',
    '',
  ])
    t.throws(() => checkWith({ externalUrls: [wrong] }), { code: 'external_url_invalid' }, wrong)
  t.throws(() => checkWith({ algorithms: ['HS256'] }), { code: 'algorithm_invalid' })
})

t.test('a proof is used once, for as long as its window lets it be used', async (t) => {
  const time = manualClock()
  const check = checkWith({ clock: time, replay: createMemoryReplayStore({ clock: time }) })
  // Made by a client whose clock is ahead, so that its window is the longest there is.
  const proof = aProof(key, time.nowMs() + 60_000)
  t.same(check(proof, aRequest(key)), { ok: true })
  for (const afterMs of [0, 60_000, 59_000, 1_000]) {
    time.advanceMs(afterMs)
    t.match(check(proof, aRequest(key)), { ok: false, reason: 'dpop_proof_replayed' }, `+${afterMs} ms`)
  }
  time.advanceMs(1)
  t.match(check(proof, aRequest(key)), { reason: 'dpop_proof_invalid', why: /iat/ })
})

t.test("nobody uses up another's jti", async (t) => {
  const other = clientKey()
  const check = checkWith()
  const claims = { jti: 'the same jti' }
  t.same(check(aProof(other, clock.nowMs(), { claims }), aRequest(other)), { ok: true })
  t.same(check(aProof(key, clock.nowMs(), { claims }), aRequest(key)), { ok: true })
  t.match(check(aProof(key, clock.nowMs(), { claims }), aRequest(key)), { reason: 'dpop_proof_replayed' })
})

t.test('a store that cannot tell lets nothing go on', async (t) => {
  const broken: Readonly<Record<string, ReplayStore['claim']>> = {
    throws: () => {
      throw new Error('full')
    },
    rejects: () => Promise.reject(new Error('gone')),
  }
  for (const [how, claim] of Object.entries(broken)) {
    const verdict = await checkWith({ replay: { claim } })(aProof(key, clock.nowMs()), aRequest(key))
    t.match(verdict, { ok: false, reason: 'replay_store_failed', cause: Error }, how)
  }
  const slow = checkWith({ replay: { claim: async () => false } })
  t.match(await slow(aProof(key, clock.nowMs()), aRequest(key)), { reason: 'dpop_proof_replayed' })
  const isFirst = checkWith({ replay: { claim: async () => true } })
  t.same(await isFirst(aProof(key, clock.nowMs()), aRequest(key)), { ok: true })
})

t.test('the memory is bounded: full of what is still needed it takes no more', async (t) => {
  const time = manualClock()
  const store = createMemoryReplayStore({ maxKeys: 2, clock: time })
  t.equal(store.claim('a', 1000, 'a'), true)
  t.equal(store.claim('b', 3000, 'b'), true)
  t.throws(() => store.claim('c', 1000, 'c'), /remembered/)
  t.equal(store.claim('a', 1000, 'a'), false, 'what is known is still told')
  time.advanceMs(1000)
  t.equal(store.claim('c', 1000, 'c'), true)
  t.equal(store.claim('b', 1000, 'b'), false)
  time.advanceMs(2000)
  t.equal(store.claim('b', 1000, 'b'), true)
})

t.test('where nonces are given out a proof needs one, and is told which', async (t) => {
  const nonces = {
    current: () => 'now',
    check: (nonce: string) => (nonce === 'now' ? 'fresh' : nonce === 'before' ? 'old' : 'wrong'),
  } as const
  const check = checkWith({ nonces })
  const ask = (nonce: unknown, own: ClientKey = key) =>
    check(aProof(own, clock.nowMs(), { claims: { nonce } }), aRequest(key))
  t.match(ask(undefined), { ok: false, reason: 'dpop_nonce_required', nonce: 'now' })
  t.match(ask('never'), { ok: false, reason: 'dpop_nonce_required', nonce: 'now' })
  t.match(ask(7), { ok: false, reason: 'dpop_nonce_required' })
  t.same(ask('now'), { ok: true })
  t.same(ask('before'), { ok: true, nextNonce: 'now' })
  t.match(ask('now', clientKey()), { reason: 'dpop_proof_invalid' }, 'a nonce makes no proof')
})

t.test('a key that is known proves nothing by itself', async (t) => {
  const check = checkWith()
  t.same(check(aProof(key, clock.nowMs()), aRequest(key)), { ok: true })
  const forged = aProof({ ...clientKey(), jwk: key.jwk }, clock.nowMs())
  t.match(check(forged, aRequest(key)), { reason: 'dpop_proof_invalid', why: /signature/ })
  t.match(check(aProof(key, clock.nowMs()), aRequest(clientKey())), { why: /another key/ })
  t.same(check(aProof(key, clock.nowMs()), aRequest(key)), { ok: true })
})

t.test('one peer alone cannot fill the memory of used proofs for the others', async (t) => {
  const time = manualClock()
  const store = createMemoryReplayStore({ maxKeys: 160, clock: time })
  let taken = 0
  const flood = () => {
    for (let i = 0; i < 1000; i++) {
      try {
        store.claim(`evil-${taken}`, 1000, 'evil')
        taken++
      } catch {
        return
      }
    }
  }
  flood()
  t.equal(taken, 120, 'three quarters')
  for (let i = 0; i < 10; i++) t.equal(store.claim(`good-${i}`, 1000, 'good'), true)
  t.throws(() => store.claim('good-10', 1000, 'good'), /of this peer/, 'who has a sixteenth has many')
  t.equal(store.claim('else', 1000, 'else'), true)
  time.advanceMs(1000)
  taken = 0
  flood()
  t.equal(taken, 120, 'what has ended is not counted')
})

t.test('wrong proofs of one peer are bounded, and those of others are not touched', async (t) => {
  const [mine, stranger] = [clientKey(), clientKey()]
  const time = manualClock()
  const check = checkWith({
    clock: time,
    replay: createMemoryReplayStore({ clock: time }),
    budget: { perSecond: 1, burst: 5 },
  })
  const wrong: [what: string, proof: () => string][] = [
    ['another key', () => aProof(stranger, time.nowMs())],
    ['no key', () => aProof(mine, time.nowMs(), { header: { jwk: { kty: 'EC' } } })],
    ['a signature that is not its own', () => `${aProof(mine, time.nowMs()).slice(0, -8)}AAAAAAAA`],
  ]
  for (const [what, proof] of wrong) {
    const peer = `spiffe://test.example/${what.replaceAll(' ', '-')}`
    const reasons = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const verdict = await check(proof(), aRequest(mine, { peer }))
        return verdict.ok ? 'ok' : verdict.reason
      }),
    )
    t.equal(reasons.filter((each) => each === 'dpop_proof_invalid').length, 5, what)
    t.equal(reasons.filter((each) => each === 'token_verification_throttled').length, 45, what)
    t.match(await check(aProof(mine, time.nowMs()), aRequest(mine)), { ok: true }, 'another peer')
  }
})
