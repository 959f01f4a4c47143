import t from 'tap'
import { createTokenVerifier, type TokenVerdict } from '#identity/token/token.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import {
  audience,
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
  someVerifier,
  startMs,
  startSeconds,
  verifyingKey,
} from './kit.ts'

type Row = [name: string, token: string, expected: object]
const no = (reason: string, why: RegExp) => ({ ok: false, reason, why })
const yes = (token: object = {}) => ({ ok: true, token })
const digest = Buffer.alloc(32, 7).toString('base64url')

t.test('a token proves what its claims say, and nothing of it can be changed', async (t) => {
  const verifier = await someVerifier({ tenantClaim: '/org/id', audience: ['other', audience] })
  const cnf = { 'x5t#S256': digest, jkt: digest }
  const verdict = verifier.verify(
    someToken({
      org: { id: 'acme' },
      aud: ['a', audience],
      jti: 'id-1',
      scope: 'read  write',
      scp: ['read', 'run'],
      cnf,
    }),
    'peer',
  )
  t.match(verdict, {
    ok: true,
    token: {
      kind: 'jwt',
      issuer: issuerName,
      subject: 'user-1',
      audiences: ['a', audience],
      expiresAtMs: startMs + 300_000,
      tokenId: 'id-1',
      hash: /^[\w-]{43}$/,
      confirmation: { certificateSha256: digest, keyThumbprint: digest },
      tenantClaim: 'acme',
      scopes: ['read', 'write', 'run'],
      isKeySetStale: false,
    },
  })
  if (!verdict.ok) return
  const { token } = verdict
  for (const each of [
    verdict,
    token,
    token.claims,
    token.audiences,
    token.scopes,
    token.confirmation,
    token.claims['org'],
  ])
    t.ok(Object.isFrozen(each))
  t.equal(Object.getPrototypeOf(token.claims), null)
  t.match(verifier.status(), { counts: { verified: 1, hits: 0, refused: 0 }, remembered: 1 })
})

/** RFC 8725 and RFC 7519, by the claim. */
t.test('a token that breaks a rule is refused for its own reason', async (t) => {
  const verifier = await someVerifier({ tenantClaim: 'tenant' })
  const now = startSeconds
  const other = createSigner('P-256', 'key-1')
  const rows: Row[] = [
    ['good', someToken(), yes()],
    ['no typ', someToken({}, { typ: undefined }), yes()],
    ['no kid', someToken({}, { kid: undefined }), yes()],
    ['an access token by RFC 9068', someToken({}, { typ: 'at+jwt' }), yes()],
    // iss
    ['no iss', someToken({ iss: undefined }), no('token_issuer_unknown', /iss/)],
    ['another iss', someToken({ iss: 'https://evil.example' }), no('token_issuer_unknown', /iss/)],
    ['iss with a slash more', someToken({ iss: `${issuerName}/` }), no('token_issuer_unknown', /iss/)],
    ['iss in upper case', someToken({ iss: issuerName.toUpperCase() }), no('token_issuer_unknown', /iss/)],
    ['iss in a list', someToken({ iss: [issuerName] }), no('token_issuer_unknown', /iss/)],
    // aud
    ['no aud', someToken({ aud: undefined }), no('token_audience_wrong', /missing/)],
    ['another aud', someToken({ aud: 'other' }), no('token_audience_wrong', /other/)],
    ['an empty aud', someToken({ aud: [] }), no('token_audience_wrong', /missing/)],
    ['aud with a number in it', someToken({ aud: [audience, 1] }), no('token_audience_wrong', /missing/)],
    ['aud that only begins so', someToken({ aud: `${audience}2` }), no('token_audience_wrong', /models2/)],
    [
      'aud that is an object',
      someToken({ aud: { [audience]: true } }),
      no('token_audience_wrong', /missing/),
    ],
    // exp, nbf, iat
    ['no exp', someToken({ exp: undefined }), no('token_invalid', /exp is missing/)],
    ['exp in text', someToken({ exp: `${now + 60}` }), no('token_invalid', /exp is missing/)],
    ['exp is null', someToken({ exp: null }), no('token_invalid', /exp is missing/)],
    ['within the skew after exp', someToken({ exp: now - 29 }), yes()],
    ['at the end of the skew', someToken({ exp: now - 30 }), no('token_expired', /exp was/)],
    ['before the beginning of time', someToken({ exp: -1e300 }), no('token_expired', /exp was/)],
    ['exp beyond all times', someToken({ exp: 1e300 }), no('token_invalid', /lives longer/)],
    ['nbf in the skew', someToken({ nbf: now + 30 }), yes()],
    ['nbf in the future', someToken({ nbf: now + 31 }), no('token_invalid', /nbf is/)],
    ['nbf in text', someToken({ nbf: '0' }), no('token_invalid', /nbf is no number/)],
    ['no iat', someToken({ iat: undefined }), yes()],
    ['iat in the skew', someToken({ iat: now + 30 }), yes()],
    ['iat in the future', someToken({ iat: now + 31 }), no('token_invalid', /iat is .* in the future/)],
    ['iat in a list', someToken({ iat: [now] }), no('token_invalid', /iat is no number/)],
    ['a life of a day', someToken({ exp: now + 86_400 }), yes()],
    ['a life of more', someToken({ exp: now + 86_401 }), no('token_invalid', /lives longer than 86400 s/)],
    [
      'more to come without iat',
      someToken({ iat: undefined, exp: now + 86_401 }),
      no('token_invalid', /lives longer/),
    ],
    // who
    ['no sub', someToken({ sub: undefined }), no('token_invalid', /user/)],
    ['an empty sub', someToken({ sub: '' }), no('token_invalid', /user/)],
    ['a sub that is a number', someToken({ sub: 1 }), no('token_invalid', /user/)],
    ['a tenant', someToken({ tenant: 'acme' }), yes({ tenantClaim: 'acme' })],
    ['a tenant in a list', someToken({ tenant: ['acme'] }), no('token_invalid', /tenant/)],
    ['an empty tenant', someToken({ tenant: '' }), no('token_invalid', /tenant/)],
    ['a tenant that is null', someToken({ tenant: null }), no('token_invalid', /tenant/)],
    ['a tenant that is a number', someToken({ tenant: 0 }), no('token_invalid', /tenant/)],
    ['a jti that is a number', someToken({ jti: 1 }), no('token_invalid', /jti/)],
    ['scopes in a list', someToken({ scope: ['a'] }), yes({ scopes: ['a'] })],
    ['scopes in an object', someToken({ scope: { a: true } }), no('token_invalid', /scope/)],
    ['scp with a number in it', someToken({ scp: ['a', 1] }), no('token_invalid', /scope/)],
    ['no scopes', someToken(), yes({ scopes: [] })],
    // cnf
    [
      'bound to a certificate',
      someToken({ cnf: { 'x5t#S256': digest } }),
      yes({ confirmation: { certificateSha256: digest } }),
    ],
    ['bound to text', someToken({ cnf: digest }), no('token_invalid', /cnf/)],
    ['bound to null', someToken({ cnf: null }), no('token_invalid', /cnf/)],
    ['bound to nothing', someToken({ cnf: {} }), no('token_invalid', /cnf/)],
    [
      'bound to a digest of another length',
      someToken({ cnf: { jkt: 'YQ' } }),
      no('token_invalid', /cnf.jkt/),
    ],
    ['bound to a padded digest', someToken({ cnf: { jkt: `${digest}=` } }), no('token_invalid', /cnf.jkt/)],
    ['bound to a key', someToken({ cnf: { jwk: someone.jwk } }), no('token_invalid', /cannot be checked/)],
    [
      'bound to what nobody knows besides',
      someToken({ cnf: { jkt: digest, new: 1 } }),
      no('token_invalid', /cannot be checked/),
    ],
    // typ
    ['a proof of possession', someToken({}, { typ: 'dpop+jwt' }), no('token_invalid', /dpop\+jwt/)],
    ['a workload identity token', someToken({}, { typ: 'wit+jwt' }), no('token_invalid', /wit\+jwt/)],
    [
      'the same in another spelling',
      someToken({}, { typ: 'application/WIT+JWT' }),
      no('token_invalid', /wit\+jwt/),
    ],
    ['a logout token', someToken({}, { typ: 'logout+jwt' }), no('token_invalid', /logout/)],
    ['a security event', someToken({ events: {} }), no('token_invalid', /security event/)],
    ['an ID token, by its nonce', someToken({ nonce: 'n' }), no('token_invalid', /ID token/)],
    ['an ID token, by at_hash', someToken({ at_hash: 'h' }), no('token_invalid', /ID token/)],
    ['an ID token, by c_hash', someToken({ c_hash: 'h', typ: 'Bearer' }), no('token_invalid', /ID token/)],
    ['an ID token of Keycloak', someToken({ typ: 'ID' }), no('token_invalid', /no access token/)],
    ['a refresh token of Keycloak', someToken({ typ: 'Refresh' }), no('token_invalid', /no access token/)],
    ['an access token of an older Keycloak', someToken({ typ: 'Bearer', nonce: 'n' }), yes()],
    ['an ID token of Cognito', someToken({ token_use: 'id' }), no('token_invalid', /token_use/)],
    ['an access token of Cognito', someToken({ token_use: 'access' }), yes()],
    // header
    ['jku', someToken({}, { jku: 'https://evil.example' }), no('token_invalid', /own key \(jku\)/)],
    ['jwk', someToken({}, { jwk: someone.jwk }), no('token_invalid', /own key \(jwk\)/)],
    ['x5u', someToken({}, { x5u: 'https://evil.example' }), no('token_invalid', /own key \(x5u\)/)],
    ['x5c', someToken({}, { x5c: [] }), no('token_invalid', /own key \(x5c\)/)],
    ['x5t, which only names one', someToken({}, { x5t: 'a' }), yes()],
    ['crit', someToken({}, { crit: ['exp'] }), no('token_malformed', /crit/)],
    ['b64', someToken({}, { b64: false }), no('token_malformed', /b64/)],
    // alg and kid
    ['none', someToken({}, { alg: 'none' }), no('token_invalid', /alg/)],
    ['None', someToken({}, { alg: 'None' }), no('token_invalid', /alg/)],
    ['HS256', someToken({}, { alg: 'HS256' }), no('token_invalid', /alg/)],
    [
      'RS256 with the name of an EC key',
      someToken({}, { alg: 'RS256' }),
      no('token_key_unknown', /no such key/),
    ],
    [
      'ES384 with the name of a P-256 key',
      someToken({}, { alg: 'ES384' }),
      no('token_key_unknown', /no such key/),
    ],
    ['alg in lower case', someToken({}, { alg: 'es256' }), no('token_invalid', /alg/)],
    ['a kid that is not there', someToken({}, { kid: 'key-2' }), no('token_key_unknown', /no such key/)],
    [
      'a kid that is a path',
      someToken({}, { kid: '../../dev/null' }),
      no('token_key_unknown', /no such key/),
    ],
    [
      'a kid that is SQL',
      someToken({}, { kid: "x' UNION SELECT 'key" }),
      no('token_key_unknown', /no such key/),
    ],
    [
      'a kid that every object has',
      someToken({}, { kid: 'constructor' }),
      no('token_key_unknown', /no such key/),
    ],
    ['an empty kid', someToken({}, { kid: '' }), no('token_key_unknown', /no such key/)],
    // signature
    ['another key of that name', someToken({}, {}, other), no('token_signature_invalid', /not signed/)],
    [
      'another payload',
      moved(someToken(), someToken({ sub: 'admin' })),
      no('token_signature_invalid', /not signed/),
    ],
    ['not a token', 'hello', no('token_malformed', /three parts/)],
    ['too long', 'a'.repeat(9000), no('token_malformed', /too long/)],
    [
      'a claim twice',
      signToken(someone, someHeader(), JSON.stringify(someClaims()).replace('{', '{"sub":"a",')),
      no('token_malformed', /twice/),
    ],
    [
      '__proto__',
      signToken(someone, someHeader(), JSON.stringify(someClaims()).replace('{', '{"__proto__":{},')),
      no('token_malformed', /__proto__/),
    ],
  ]
  for (const [name, token, expected] of rows) t.match(verifier.verify(token, name), expected, name)
})

/** The signature of the first token under the rest of the second. */
function moved(one: string, other: string): string {
  return other.slice(0, other.lastIndexOf('.')) + one.slice(one.lastIndexOf('.'))
}

t.test(
  'one signed token in other spellings is none, so that it cannot be told apart from itself',
  async (t) => {
    const verifier = await someVerifier()
    const token = someToken()
    const [header = '', payload = '', signature = ''] = token.split('.')
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const twin = alphabet[alphabet.indexOf(signature.at(-1) as string) + 1]
    t.ok(verifier.verify(token, '').ok)
    const spellings = [
      `${token}=`,
      `${token}==`,
      token.slice(0, -1) + twin,
      `${header}=.${payload}.${signature}`,
      ` ${token}`,
      `${token} `,
    ]
    for (const text of spellings)
      t.match(verifier.verify(text, ''), no('token_malformed', /./), text.slice(-5))
  },
)

t.test('an issuer that makes tokens by RFC 9068 must make them so', async (t) => {
  const verifier = await someVerifier({ profile: 'at+jwt' })
  const claims = { client_id: 'app', jti: 'id-1' }
  const typ = { typ: 'at+jwt' }
  const rows: Row[] = [
    ['good', someToken(claims, typ), yes()],
    ['with the whole media type', someToken(claims, { typ: 'application/at+JWT' }), yes()],
    ['an ID token', someToken(claims, { typ: 'JWT' }), no('token_invalid', /of type jwt/)],
    ['no typ', someToken(claims, { typ: undefined }), no('token_invalid', /has no typ/)],
    ...['iat', 'sub', 'client_id', 'jti'].map(
      (name): Row => [
        `no ${name}`,
        someToken({ ...claims, [name]: undefined }, typ),
        no('token_invalid', RegExp(`${name} is missing`)),
      ],
    ),
  ]
  for (const [name, token, expected] of rows) t.match(verifier.verify(token, ''), expected, name)
})

t.test('no key is good for another issuer', async (t) => {
  const [a, b] = [createSigner('P-256', 'same'), createSigner('P-256', 'same')]
  const names = ['https://a.example', 'https://b.example'] as const
  const verifier = createTokenVerifier({
    issuers: names.map((issuer) => someIssuer({ issuer, jwks: { url: `${issuer}/keys` } })),
    clock: manualClock(),
    fetch: async (url) => ({ text: setOf(url.startsWith(names[0]) ? a : b) }),
  })
  t.teardown(() => verifier[Symbol.asyncDispose]())
  await settled()
  const verdict = (iss: string, signer: typeof a) =>
    verifier.verify(someToken({ iss }, { kid: 'same' }, signer), '')
  t.match(verdict(names[0], a), yes({ issuer: names[0] }))
  t.match(verdict(names[1], b), yes({ issuer: names[1] }))
  t.match(verdict(names[1], a), no('token_signature_invalid', /b\.example/))
  t.match(verdict(names[0], b), no('token_signature_invalid', /a\.example/))
})

t.test('an algorithm that is not the issuer’s is refused, though its key would be there', async (t) => {
  const verifier = await someVerifier({ algorithms: ['RS256'] })
  t.match(verifier.verify(someToken(), ''), no('token_invalid', /alg/))
})

t.test('without a kid the keys that fit are tried, but not many', async (t) => {
  const signers = ['1', '2', '3', '4'].map((kid) => createSigner('P-256', kid))
  const rsa = createSigner('rsa', '5')
  const withKeys = (count: number) =>
    someVerifier({}, { fetch: async () => ({ text: setOf(rsa, ...signers.slice(0, count)) }) })
  const token = (index: number) => someToken({}, { kid: undefined }, signers[index] as typeof someone)
  const three = await withKeys(3)
  for (const index of [0, 1, 2]) t.match(three.verify(token(index), ''), yes(), `key ${index}`)
  t.match(three.verify(token(3), ''), no('token_signature_invalid', /./))
  t.match((await withKeys(4)).verify(token(0), ''), no('token_invalid', /too many keys/))
})

t.test('several keys of one name are tried', async (t) => {
  const [old, young] = [createSigner('P-256', 'same'), createSigner('P-256', 'same')]
  const verifier = await someVerifier({}, { fetch: async () => ({ text: setOf(old, young) }) })
  for (const signer of [old, young])
    t.match(verifier.verify(someToken({}, { kid: 'same' }, signer), ''), yes())
})

t.test('where a binding is demanded, a token without one is refused', async (t) => {
  const verifier = await someVerifier({ requireBinding: true })
  t.match(verifier.verify(someToken(), ''), no('token_binding_mismatch', /not bound/))
  t.match(verifier.verify(someToken({ cnf: { jkt: digest } }), ''), yes())
})

t.test('the user is who the configured claim says', async (t) => {
  const verifier = await someVerifier({ userClaim: '/user/~1id~0' })
  t.match(verifier.verify(someToken({ user: { '/id~': 'u' } }), ''), yes({ subject: 'u' }))
  t.match(verifier.verify(someToken(), ''), no('token_invalid', /user/))
  const named = await someVerifier({ tenantClaim: 'https://example.com/tenant' })
  t.match(named.verify(someToken({ 'https://example.com/tenant': 'acme' }), ''), yes({ tenantClaim: 'acme' }))
  const inherited = await someVerifier({ tenantClaim: '/a/constructor' })
  t.match(inherited.verify(someToken({ a: {} }), ''), { ok: true, token: { tenantClaim: undefined } })
})

// The cases of go-spiffe's test of JWT-SVIDs, and of the standard.
t.test('a JWT-SVID is verified with the keys of its own trust domain', async (t) => {
  const authority = createSigner('P-256', 'authority-1')
  const rsa = createSigner('rsa', 'authority-2')
  const ed = createSigner('ed25519', 'authority-3')
  const impostor = createSigner('P-256', 'authority-1')
  const keys = new Map([
    ['example.org', [authority, rsa, ed].map(verifyingKey)],
    ['empty.org', []],
  ])
  const svid = (issuer: string) =>
    someIssuer({ issuer, profile: 'jwt-svid', jwks: undefined, audience: ['me'] })
  const clock = manualClock()
  const verifier = createTokenVerifier({
    issuers: ['spiffe://example.org', 'spiffe://empty.org', 'spiffe://absent.org'].map(svid),
    jwtAuthorities: { get: (trustDomain) => keys.get(trustDomain) },
    clock,
  })
  const sub = 'spiffe://example.org/ns/acme/sa/app'
  const token = (claims: object = {}, header: object = {}, signer = authority) => {
    const whole = { alg: 'ES256', kid: signer.kid, typ: 'JWT', ...header }
    return signToken(signer, whole, { sub, aud: ['me'], exp: startSeconds + 300, ...claims }, whole.alg)
  }
  const at = (id: string) => token({ sub: id })
  const rows: Row[] = [
    ['good', token(), yes({ kind: 'jwt-svid', subject: sub, issuer: 'spiffe://example.org' })],
    ['no typ', token({}, { typ: undefined }), yes()],
    ['JOSE', token({}, { typ: 'JOSE' }), yes()],
    ['RS256', token({}, { alg: 'RS256' }, rsa), yes()],
    ['PS512', token({}, { alg: 'PS512' }, rsa), yes()],
    [
      'an iss of its own',
      token({ iss: 'https://oidc.example.org' }),
      yes({ issuer: 'spiffe://example.org' }),
    ],
    ['one audience as text', token({ aud: 'me' }), yes()],
    ['malformed', 'invalid', no('token_malformed', /three parts/)],
    ['EdDSA', token({}, { alg: 'EdDSA' }, ed), no('token_invalid', /alg/)],
    [
      'HS256',
      `${Buffer.from('{"alg":"HS256","kid":"authority-1"}').toString('base64url')}.${token().split('.').slice(1).join('.')}`,
      no('token_invalid', /alg/),
    ],
    ['missing subject', token({ sub: undefined }), no('token_issuer_unknown', /./)],
    ['missing expiration', token({ exp: undefined }), no('token_invalid', /exp/)],
    ['expired', token({ exp: startSeconds - 60 }), no('token_expired', /./)],
    ['not yet', token({ nbf: startSeconds + 60 }), no('token_invalid', /nbf/)],
    ['unexpected audience', token({ aud: ['another'] }), no('token_audience_wrong', /another/)],
    ['no audience', token({ aud: undefined }), no('token_audience_wrong', /missing/)],
    ['invalid subject', at('non-spiffe-subject'), no('token_issuer_unknown', /./)],
    ['a subject with a dot segment', at('spiffe://example.org/a/../b'), no('token_issuer_unknown', /./)],
    ['a bare trust domain', at('spiffe://example.org'), no('token_issuer_unknown', /./)],
    ['upper case', at('spiffe://EXAMPLE.org/a'), no('token_issuer_unknown', /./)],
    ['another trust domain', at('spiffe://other.org/a'), no('token_issuer_unknown', /./)],
    ['no bundle for the trust domain', at('spiffe://absent.org/a'), no('token_keys_unavailable', /absent/)],
    ['a bundle that was emptied', at('spiffe://empty.org/a'), no('token_key_unknown', /empty/)],
    ['missing key ID', token({}, { kid: undefined }), no('token_invalid', /no kid/)],
    ['an empty key ID', token({}, { kid: '' }), no('token_key_unknown', /./)],
    ['no such authority', token({}, { kid: 'authority-9' }), no('token_key_unknown', /./)],
    ['key mismatch', token({}, {}, impostor), no('token_signature_invalid', /./)],
    ['another type', token({}, { typ: 'OTHER' }), no('token_invalid', /not of type/)],
    ['jwt in lower case', token({}, { typ: 'jwt' }), no('token_invalid', /not of type/)],
    ['at+jwt', token({}, { typ: 'at+jwt' }), no('token_invalid', /not of type/)],
    ['a workload identity token', token({}, { typ: 'wit+jwt' }), no('token_invalid', /not of type/)],
    ['another header', token({}, { x5t: 'a' }), no('token_invalid', /must not have/)],
    ['a header with a key', token({}, { jwk: authority.jwk }), no('token_invalid', /own key/)],
  ]
  for (const [name, text, expected] of rows) t.match(verifier.verify(text, name), expected, name)
  t.match(verifier.problem(), /no keys of spiffe:\/\/absent\.org yet/)
  keys.set('example.org', [verifyingKey(impostor)])
  t.match(
    verifier.verify(token(), ''),
    no('token_signature_invalid', /./),
    'a bundle that changed takes effect at once',
  )
})

t.test('a SPIFFE ID in a token of a plain issuer is a user like any other', async (t) => {
  const verifier = await someVerifier()
  const sub = 'spiffe://example.org/ns/acme/sa/app'
  t.match(verifier.verify(someToken({ sub }), ''), yes({ kind: 'jwt', subject: sub, issuer: issuerName }))
  t.match(
    verifier.verify(someToken({ sub, iss: 'spiffe://example.org' }), ''),
    no('token_issuer_unknown', /./),
    'whose trust domain is not configured is nobody',
  )
})

t.test('until its keys are there, an issuer is a problem and its tokens are refused', async (t) => {
  const { promise, resolve } = Promise.withResolvers<{ readonly text: string }>()
  const verifier = createTokenVerifier({
    issuers: [someIssuer()],
    clock: manualClock(),
    fetch: () => promise,
    after: manualAfter().after,
  })
  t.match(verifier.problem(), /no keys of https:\/\/idp\.example yet: waiting for/)
  t.match(verifier.verify(someToken(), ''), no('token_keys_unavailable', /no keys/))
  resolve({ text: setOf(someone) })
  await settled()
  t.equal(verifier.problem(), undefined)
  t.equal(verifier.warning(), undefined)
  t.match(verifier.verify(someToken(), '') satisfies TokenVerdict, yes())
  await verifier[Symbol.asyncDispose]()
})
