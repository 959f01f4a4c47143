import t from 'tap'
import type { Exchange, Peer } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { createLeafHistory } from '#identity/binding/binding.ts'
import { judgeToken, type TokenRules } from '#identity/caller-token/caller-token.ts'
import type { TokenVerdict } from '#identity/token/token.ts'
import { anExchange, aToken, manualClock, someRequest } from '../../decision/an-exchange.ts'

const sha256 = (octet: string) => octet.repeat(32)
const x5t = (octet: string) => Buffer.from(sha256(octet), 'hex').toString('base64url')

const aPeer = (octet = 'ab'): Peer => ({
  spiffeId: 'spiffe://example.org/ns/acme/sa/app',
  trustDomain: 'example.org',
  path: ['ns', 'acme', 'sa', 'app'],
  certificateSha256: sha256(octet),
  notAfterMs: 2_000_000_000_000,
})

/** Tokens by their text; `a.b.c` is a JWT and `opaque` none. */
const known: Readonly<Record<string, TokenVerdict>> = {
  'a.b.c': { ok: true, token: aToken() },
  'a.b.bound': { ok: true, token: aToken({ confirmation: { certificateSha256: x5t('ab') } }) },
  'a.b.stolen': { ok: true, token: aToken({ confirmation: { certificateSha256: x5t('cd') } }) },
  'a.b.key': { ok: true, token: aToken({ confirmation: { keyThumbprint: 'k' } }) },
  opaque: { ok: true, token: aToken({ kind: 'opaque', hash: 'opaque' }) },
}
const unknown: TokenVerdict = { ok: false, reason: 'token_invalid', why: 'nobody knows it' }

const rules = (more: Partial<TokenRules> = {}): TokenRules => ({
  verify: (text) => (text.includes('.') ? known[text] : undefined) ?? unknown,
  isRequired: true,
  isProofRequired: false,
  ...more,
})

async function judge(
  headers: readonly (readonly [string, string])[],
  more: Partial<TokenRules> = {},
  { path = '/v2/models/fraud/infer', peer = aPeer() } = {},
): Promise<{ verdict: Verdict; x: Exchange; isWaiting: boolean }> {
  const x = anExchange({ request: someRequest({ headers, path }) })
  const answer = judgeToken(rules(more), x, peer)
  return { verdict: await answer, x, isWaiting: answer instanceof Promise }
}

const bearer = (token: string) => [['authorization', `Bearer ${token}`]] as const
const dpop = (token: string) =>
  [
    ['authorization', `DPoP ${token}`],
    ['dpop', 'p.p.p'],
  ] as const

t.test('a token that is good and its sender’s stands in the exchange, without waiting', async (t) => {
  for (const token of ['a.b.c', 'a.b.bound']) {
    const { verdict, x, isWaiting } = await judge(bearer(token))
    t.equal(verdict.kind, 'allow', token)
    t.equal(x.token?.subject, 'alice', token)
    t.notOk(isWaiting, `${token}: no promise is made`)
  }
})

t.test('whatever is wrong with it is refused, and nothing stands in the exchange', async (t) => {
  const rows: [
    name: string,
    headers: readonly (readonly [string, string])[],
    more: Partial<TokenRules>,
    reason: string,
  ][] = [
    ['no token', [], {}, 'token_missing'],
    ['another scheme', [['authorization', 'Basic YTpi']], {}, 'token_missing'],
    ['two tokens', [...bearer('a.b.c'), ...bearer('a.b.c')], {}, 'credentials_ambiguous'],
    ['a token that is refused', bearer('x.y.z'), {}, 'token_invalid'],
    ['an opaque one where nobody is asked', bearer('opaque'), {}, 'token_invalid'],
    ['the token of another certificate', bearer('a.b.stolen'), {}, 'token_binding_mismatch'],
    ['a token of a key without a proof', bearer('a.b.key'), {}, 'token_binding_mismatch'],
    ['a proof with a token of no key', dpop('a.b.c'), {}, 'token_binding_mismatch'],
    ['a proof where none is taken', dpop('a.b.key'), {}, 'token_binding_mismatch'],
    [
      'a token without a proof where one is asked for',
      bearer('a.b.c'),
      { isProofRequired: true },
      'token_binding_mismatch',
    ],
    [
      'a proof that is wrong',
      dpop('a.b.key'),
      { proofs: () => ({ ok: false, reason: 'dpop_proof_invalid', why: '' }) },
      'dpop_proof_invalid',
    ],
    [
      'a proof that was used',
      dpop('a.b.key'),
      { proofs: async () => ({ ok: false, reason: 'dpop_proof_replayed', why: '' }) },
      'dpop_proof_replayed',
    ],
  ]
  for (const [name, headers, more, reason] of rows) {
    const { verdict, x } = await judge(headers, more)
    t.match(verdict, { kind: 'deny', reason }, name)
    t.equal(x.token, undefined, `${name}: nobody`)
  }
  const { verdict } = await judge(bearer('a.b.c'), {}, { path: '/v2/models/fraud/infer?access_token=a' })
  t.match(verdict, { kind: 'deny', reason: 'credentials_ambiguous' }, 'one in the query beside it')
})

t.test('where no token is asked for there may be none, and a bad one is refused all the same', async (t) => {
  const none = await judge([], { isRequired: false })
  t.equal(none.verdict.kind, 'allow')
  t.equal(none.x.token, undefined)
  const bad = await judge(bearer('x.y.z'), { isRequired: false })
  t.match(bad.verdict, { kind: 'deny', reason: 'token_invalid' })
})

t.test('an issuer that must be asked is waited for', async (t) => {
  const verify: TokenRules['verify'] = async (token) => known[token] ?? unknown
  const good = await judge(bearer('opaque'), { verify })
  t.equal(good.verdict.kind, 'allow')
  t.equal(good.x.token?.kind, 'opaque')
  t.ok(good.isWaiting)
  t.match((await judge(bearer('other'), { verify })).verdict, { kind: 'deny', reason: 'token_invalid' })
})

t.test('a proof is checked against the request it came with, and its nonce is told', async (t) => {
  const seen: unknown[] = []
  const proofs: TokenRules['proofs'] = (proof, request) => {
    seen.push({ proof, ...request })
    return { ok: true, nextNonce: 'n-2' }
  }
  const { verdict, x } = await judge(dpop('a.b.key'), { proofs })
  t.match(verdict, {
    kind: 'allow',
    mutations: {
      addResponseHeaders: [
        ['dpop-nonce', 'n-2'],
        ['cache-control', 'no-store'],
      ],
    },
  })
  t.ok(x.token)
  t.same(seen, [
    {
      proof: 'p.p.p',
      method: 'POST',
      path: '/v2/models/fraud/infer',
      token: 'a.b.key',
      keyThumbprint: 'k',
      peer: 'spiffe://example.org/ns/acme/sa/app',
    },
  ])
  const again = await judge(dpop('a.b.key'), {
    proofs: () => ({ ok: false, reason: 'dpop_nonce_required', why: 'no nonce', nonce: 'n-1' }),
  })
  t.match(again.verdict, { kind: 'deny', reason: 'dpop_nonce_required', demand: { nonce: 'n-1' } })
})

t.test('what is missing here is no fault of the caller', async (t) => {
  for (const reason of ['token_keys_unavailable', 'introspection_failed'] as const) {
    const { verdict } = await judge(bearer('a.b.c'), { verify: () => ({ ok: false, reason, why: 'gone' }) })
    t.match(verdict, { kind: 'error', reason, cause: { message: 'gone' } })
  }
})

t.test('a store that cannot tell whether a proof was used refuses, as our own fault', async (t) => {
  const cause = new Error('gone')
  const { verdict, x } = await judge(dpop('a.b.key'), {
    proofs: async () => ({ ok: false, reason: 'replay_store_failed', cause }),
  })
  t.match(verdict, { kind: 'error', reason: 'replay_store_failed', cause })
  t.equal(x.token, undefined)
})

t.test('a token of the certificate before is taken for the grace, from the same workload', async (t) => {
  const clock = manualClock()
  const history = createLeafHistory({ graceSeconds: 60, clock })
  const stolen = () => judge(bearer('a.b.stolen'), { history })
  t.match((await stolen()).verdict, { kind: 'deny' }, 'that certificate was never shown')
  await judge([], { history, isRequired: false }, { peer: aPeer('cd') })
  t.equal((await stolen()).verdict.kind, 'allow')
  clock.advanceMs(61_000)
  t.match((await stolen()).verdict, { kind: 'deny', reason: 'token_binding_mismatch' })
})
