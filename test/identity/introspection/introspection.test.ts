import { hash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { deflateSync, gzipSync } from 'node:zlib'
import t from 'tap'
import type { ReasonCode } from '#decision/reasons.ts'
import type { Script } from '../../harness/authorization-server.ts'
import { eventually } from '../../harness/temp.ts'
import { anAnswer, isJson, issuer, opened, startSeconds } from './kit.ts'

t.test('what the issuer says of a token becomes its facts, without its text', async (t) => {
  await using asked = await opened({
    script: anAnswer({ jti: 'j1', org: { id: 'acme' }, cnf: { jkt: hash('sha256', 'k', 'base64url') } }),
    rules: { tenantClaim: '/org/id' },
  })
  const verdict = await asked.introspect('opaque-token')
  t.match(verdict, {
    ok: true,
    token: {
      kind: 'opaque',
      issuer,
      subject: 'user-1',
      audiences: ['models', 'other'],
      claims: { client_id: 'app' },
      expiresAtMs: (startSeconds + 300) * 1000,
      tokenId: 'j1',
      tenantClaim: 'acme',
      hash: hash('sha256', 'opaque-token', 'base64url'),
      scopes: ['infer', 'read'],
      confirmation: { keyThumbprint: hash('sha256', 'k', 'base64url') },
      isKeySetStale: false,
    },
  })
  t.ok(Object.isFrozen(verdict.ok && verdict.token))
  t.notMatch(JSON.stringify(verdict), /opaque-token/)
  const [call] = asked.server.calls
  t.same(Object.fromEntries(call?.form ?? []), { token: 'opaque-token', token_type_hint: 'access_token' })
  t.match(call?.headers, { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' })
})

t.test('an answer is checked as the claims of a JWT are', async (t) => {
  const rows: [rule: string, answer: object, reason: ReasonCode][] = [
    ['7662, 2.2', { active: false }, 'token_inactive'],
    ['7662, 2.2: nothing else counts', anAnswer({ active: false }), 'token_inactive'],
    ['iss', anAnswer({ iss: 'https://other.example' }), 'token_issuer_unknown'],
    ['iss', anAnswer({ iss: [issuer] }), 'token_issuer_unknown'],
    ['aud', anAnswer({ aud: 'other' }), 'token_audience_wrong'],
    ['aud', anAnswer({ aud: undefined }), 'token_audience_wrong'],
    ['exp', anAnswer({ exp: startSeconds }), 'token_expired'],
    ['exp', anAnswer({ exp: undefined }), 'token_invalid'],
    ['exp', anAnswer({ exp: String(startSeconds + 300) }), 'token_invalid'],
    ['nbf', anAnswer({ nbf: startSeconds + 1 }), 'token_invalid'],
    ['iat', anAnswer({ iat: startSeconds + 1 }), 'token_invalid'],
    ['lifetime', anAnswer({ exp: startSeconds + 90_000 }), 'token_invalid'],
    ['sub', anAnswer({ sub: undefined }), 'token_invalid'],
    ['scope', anAnswer({ scope: 7 }), 'token_invalid'],
    ['cnf', anAnswer({ cnf: { kid: '1' } }), 'token_invalid'],
    ['cnf', anAnswer({ cnf: { 'x5t#S256': 'short' } }), 'token_invalid'],
  ]
  await using asked = await opened()
  for (const [index, [rule, answer, reason]] of rows.entries()) {
    asked.server.script(answer)
    t.match(await asked.introspect(`token-${index}`), { ok: false, reason }, `${rule}: ${reason}`)
  }
  t.equal(asked.counts.failures, 0, 'all of these are answers')
  asked.server.script(anAnswer({ iss: undefined }))
  t.match(await asked.introspect('without iss'), { ok: true }, 'the server that was asked is the issuer')
  await using bound = await opened({ rules: { requireBinding: true } })
  t.match(await bound.introspect('a'), { ok: false, reason: 'token_binding_mismatch' })
})

t.test(
  'a server that does not say whether a token is active has failed, and no token is inactive for it',
  async (t) => {
    const raw =
      (text: string | Buffer, headers: Record<string, string> = isJson, status = 200): Script =>
      (response) =>
        response.writeHead(status, headers).end(text)
    const good = JSON.stringify(anAnswer())
    const rows: [fault: string, script: Script, why: RegExp][] = [
      ['401: our own credentials', raw('{"active":false}', isJson, 401), /401/],
      ['403', raw('{"active":false}', isJson, 403), /403/],
      ['404', raw('', {}, 404), /404/],
      ['500', raw('{"active":true}', isJson, 500), /500/],
      ['201', raw(good, isJson, 201), /201/],
      ['204', raw('', {}, 204), /204/],
      ['a redirect is not followed', raw('', { location: 'http://127.0.0.1:1/' }, 307), /307/],
      ['no content type', raw(good, {}), /application\/json/],
      ['another content type', raw(good, { 'content-type': 'text/html' }), /application\/json/],
      ['active as text', raw('{"active":"true"}'), /neither true nor false/],
      ['active as a number', raw('{"active":1}'), /neither true nor false/],
      ['no active', raw('{"sub":"a"}'), /neither true nor false/],
      ['active twice', raw('{"active":false,"active":true}'), /twice/],
      ['a list', raw('[{"active":true}]'), /object/],
      ['null', raw('null'), /object/],
      ['nothing', raw(''), /JSON/],
      ['half of it', raw(good.slice(0, -1)), /JSON/],
      ['no UTF-8', raw(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), /UTF-8/],
      ['too large', raw(`{"active":true,"a":"${'x'.repeat(70_000)}"}`), /65536 bytes/],
      [
        'too large when unpacked',
        raw(gzipSync('x'.repeat(1_000_000)), { ...isJson, 'content-encoding': 'gzip' }),
        /./,
      ],
      ['another encoding', raw(deflateSync(good), { ...isJson, 'content-encoding': 'deflate' }), /./],
      [
        'cut off',
        (response) => {
          response.writeHead(200, { ...isJson, 'content-length': '1000' }).write('{"active":')
          setImmediate(() => response.destroy())
        },
        /./,
      ],
      ['no answer', (response) => void response.destroy(), /hang up|ECONNRESET/],
      ['no HTTP', (response) => void response.socket?.end('hello\r\n\r\n'), /./],
    ]
    for (const [fault, script, why] of rows) {
      await using asked = await opened({ script })
      t.match(await asked.introspect('a'), { ok: false, reason: 'introspection_failed', why }, fault)
      t.match(asked.problem(), why)
      asked.server.script(anAnswer())
      t.match(await asked.introspect('a'), { ok: true }, `${fault}: and nothing of it is remembered`)
      t.equal(asked.problem(), undefined)
    }
  },
)

t.test('a server that is not there, or says nothing in time, has failed', async (t) => {
  await using gone = await opened({ config: { endpoint: 'http://127.0.0.1:1/introspect' } })
  t.match(await gone.introspect('a'), { ok: false, reason: 'introspection_failed', why: /ECONNREFUSED/ })
  const silent: [what: string, script: Script][] = [
    ['nothing', () => {}],
    ['only a head', (response) => void response.writeHead(200, isJson).flushHeaders()],
    ['half a body', (response) => void response.writeHead(200, isJson).write('{"active":')],
  ]
  for (const [what, script] of silent) {
    await using slow = await opened({ script, config: { timeoutMs: 100 } })
    t.match(await slow.introspect('a'), { ok: false, reason: 'introspection_failed' }, what)
    await eventually('the call was given up', () => slow.server.open() === 0)
  }
})

t.test('an answer is remembered, never longer than its token lives', async (t) => {
  await using asked = await opened({ script: anAnswer({ exp: startSeconds + 40 }) })
  const first = await asked.introspect('a')
  t.equal(asked.introspect('a'), first, 'without a promise')
  asked.clock.advanceMs(29_999)
  t.equal(asked.introspect('a'), first)
  asked.clock.advanceMs(1)
  await asked.introspect('a')
  t.equal(asked.server.calls.length, 2)
  asked.clock.advanceMs(9_999)
  t.match(asked.introspect('a'), { ok: true })
  asked.clock.advanceMs(1)
  t.match(await asked.introspect('a'), { ok: false, reason: 'token_expired' })
  t.match(asked.counts, { calls: 3, hits: 3 })
})

t.test('what is not active, or not for us, is remembered for less', async (t) => {
  await using asked = await opened({ script: { active: false } })
  const first = await asked.introspect('a')
  asked.server.script(anAnswer())
  asked.clock.advanceMs(4_999)
  t.equal(asked.introspect('a'), first)
  asked.clock.advanceMs(1)
  t.match(await asked.introspect('a'), { ok: true })
  asked.clock.advanceMs(30_000)
  asked.server.script({ active: false })
  t.match(await asked.introspect('a'), { ok: false, reason: 'token_inactive' })
  t.match(asked.introspect('a'), { ok: false }, 'and nothing of before comes back')
})

/** A script that answers when told. */
function held() {
  const waiting: ServerResponse[] = []
  const script: Script = (response) => void waiting.push(response)
  const answerAll = (answer: object) => {
    for (const response of waiting.splice(0)) response.writeHead(200, isJson).end(JSON.stringify(answer))
  }
  return { script, waiting, answerAll }
}

t.test('many requests with one token are one call', async (t) => {
  const { script, waiting, answerAll } = held()
  await using asked = await opened({ script })
  const all = Array.from({ length: 20 }, () => asked.introspect('a'))
  await eventually('the call is there', () => waiting.length > 0)
  answerAll(anAnswer())
  const verdicts = await Promise.all(all)
  t.equal(asked.server.calls.length, 1)
  t.ok(verdicts.every((each) => each === verdicts[0] && each.ok))
})

t.test('no more calls are under way than may be', async (t) => {
  const { script, waiting, answerAll } = held()
  await using asked = await opened({ script })
  const all = ['a', 'b', 'c', 'd'].map((token) => asked.introspect(token))
  t.match(asked.introspect('e'), { ok: false, reason: 'introspection_failed', why: /4 calls/ })
  await eventually('the calls are there', () => waiting.length === 4)
  answerAll(anAnswer())
  for (const verdict of await Promise.all(all)) t.match(verdict, { ok: true })
  asked.server.script(anAnswer())
  t.match(await asked.introspect('e'), { ok: true })
  t.match(asked.counts, { calls: 5, rejected: 1 })
})

t.test(
  'a server that fails again and again is left alone for a while, then tried with one call',
  async (t) => {
    const { script, waiting, answerAll } = held()
    const broken: Script = (response) => response.writeHead(503).end()
    await using asked = await opened({
      script: anAnswer(),
      config: { breaker: { failures: 3, pauseMs: 1000 } },
    })
    t.match(await asked.introspect('known'), { ok: true })
    asked.server.script(broken)
    for (const token of ['a', 'b', 'c']) await asked.introspect(token)
    t.match(asked.introspect('d'), { ok: false, reason: 'introspection_failed', why: /not asked.*503/ })
    t.match(asked.introspect('known'), { ok: true }, 'what is known is still told')
    t.equal(asked.server.calls.length, 4)
    asked.clock.advanceMs(1000)
    t.match(await asked.introspect('d'), { ok: false, why: /503/ }, 'one more was tried')
    t.match(asked.introspect('e'), { ok: false, why: /not asked/ })
    asked.clock.advanceMs(1000)
    asked.server.script(script)
    const trial = asked.introspect('f')
    t.match(asked.introspect('g'), { ok: false, why: /not asked/ }, 'while it is tried nobody else asks')
    await eventually('the call is there', () => waiting.length === 1)
    answerAll(anAnswer())
    t.match(await trial, { ok: true })
    asked.server.script(anAnswer())
    t.match(await asked.introspect('g'), { ok: true })
  },
)

t.test('a token of no sensible size is not sent anywhere', async (t) => {
  await using asked = await opened()
  t.match(asked.introspect('a'.repeat(8193)), { ok: false, reason: 'token_malformed' })
  t.equal(asked.server.calls.length, 0)
})

t.test(
  'junk of one peer that nobody can read keeps no other peer from having its token asked about',
  async (t) => {
    const { script, waiting, answerAll } = held()
    await using asked = await opened({ script, config: { budget: { perSecond: 1, burst: 3 } } })
    const junk = Array.from({ length: 1000 }, (_, i) =>
      asked.introspect(`junk-${i}`, 'spiffe://test.example/evil'),
    )
    const good = asked.introspect('good', 'spiffe://test.example/good')
    await eventually('the calls are there', () => waiting.length === 4)
    answerAll({ active: false })
    const reasons = (await Promise.all(junk)).map((each) => (each.ok ? 'ok' : each.reason))
    t.equal(reasons.filter((each) => each === 'token_inactive').length, 3)
    t.equal(reasons.filter((each) => each === 'token_verification_throttled').length, 997)
    t.match(await good, { ok: false, reason: 'token_inactive' }, 'it was asked about')
    t.match(asked.counts, { calls: 4, rejected: 0, throttled: 997 })
    asked.server.script(anAnswer())
    t.match(await asked.introspect('its good one', 'spiffe://test.example/evil'), {
      reason: 'token_verification_throttled',
    })
    asked.clock.advanceMs(1000)
    t.match(
      await asked.introspect('its good one', 'spiffe://test.example/evil'),
      { ok: true },
      'after a while',
    )
    for (let i = 0; i < 20; i++)
      t.match(
        await asked.introspect(`good-${i}`, 'spiffe://test.example/good'),
        { ok: true },
        'good ones are free',
      )
  },
)

t.test('a server that is down is not counted against who sends tokens', async (t) => {
  const broken: Script = (response) => response.writeHead(503).end()
  await using asked = await opened({ script: broken, config: { budget: { perSecond: 1, burst: 2 } } })
  for (const token of ['a', 'b', 'c', 'd'])
    t.match(await asked.introspect(token), { ok: false, reason: 'introspection_failed' })
})

t.test('tokens that the server chokes on do not have it left alone, and are counted', async (t) => {
  for (const status of [400, 413, 414, 422, 431]) {
    const choking: Script = (response) => response.writeHead(status).end()
    await using asked = await opened({
      script: choking,
      config: { breaker: { failures: 2, pauseMs: 60_000 }, budget: { perSecond: 1, burst: 4 } },
    })
    for (const token of ['a', 'b', 'c', 'd'])
      t.match(
        await asked.introspect(token, 'evil'),
        { ok: false, reason: 'introspection_failed' },
        `${status}`,
      )
    t.match(await asked.introspect('e', 'evil'), { reason: 'token_verification_throttled' })
    asked.server.script(anAnswer())
    t.match(
      await asked.introspect('good', 'good'),
      { ok: true },
      `${status}: another peer is not refused for it`,
    )
  }
})
