import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { type ReasonCode, reasons } from '#decision/reasons.ts'
import {
  apis,
  bearer,
  type Client,
  claimsOf,
  externalUrl,
  type Fields,
  hashOf,
  idp,
  nowSeconds,
  type Outcome,
  signer,
  spiffeIdOf,
  startCallerWorld,
  tokenOf,
  trustDomain,
} from './caller-world.ts'
import { createSigner, signToken } from './token/kit.ts'

const world = await startCallerWorld(() => ({ tokens: { dpop: { externalUrl } } }))
t.teardown(() => world[Symbol.asyncDispose]())

const clients: readonly Client[] = ['http1', 'http2', 'grpc']

t.test('a good token is served, and the record says whose it is, on both APIs to every client', async (t) => {
  for (const api of apis) {
    for (const client of clients) {
      for (const tenant of ['acme', 'globex']) {
        const what = `${api} ${client} ${tenant}`
        const token = tokenOf({ tenant, sub: `robot@${tenant}`, jti: what })
        const { result, record, arrived, answer } = await world.send({ api, client, headers: bearer(token) })
        t.equal(result, 'served', what)
        t.match(
          record,
          {
            api,
            verdict: 'allow',
            issuer: idp,
            subject: `robot@${tenant}`,
            token: hashOf(token),
            bound: false,
            tenant,
            peer: spiffeIdOf('gateway'),
          },
          what,
        )
        t.equal(arrived?.['x-sluice-tenant'], tenant, what)
        const seen = JSON.parse(answer?.headers.get('x-token') ?? 'null')
        t.match(seen, {
          kind: 'jwt',
          issuer: idp,
          subject: `robot@${tenant}`,
          bound: false,
          claims: { tenant },
        })
        t.notOk(JSON.stringify(seen).includes(token), 'what policy reads of a token is not the token')
        t.equal(
          answer?.headers.get('x-authorization'),
          `Bearer ${token}`,
          "the plugin's input has every header",
        )
      }
    }
  }
  const texts = world.auditLines().map((line) => JSON.stringify(line))
  t.notOk(
    texts.some((line) => line.includes('eyJ')),
    'no token stands in a record',
  )
})

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const stranger = createSigner('P-256', 'idp-1')

/** Signed by HMAC with what everybody knows. */
function hmacToken(): string {
  const pem = createPublicKey({ key: signer.jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const signed = `${part({ alg: 'HS256', kid: 'idp-1', typ: 'JWT' })}.${part(claimsOf())}`
  return `${signed}.${createHmac('sha256', pem).update(signed).digest('base64url')}`
}

const doubled = (): string => {
  const payload = JSON.stringify(claimsOf({ tenant: 'acme' })).replace('{', '{"tenant":"globex",')
  return signToken(signer, { alg: 'ES256', kid: 'idp-1', typ: 'JWT' }, payload)
}

const unsigned = (alg: string) => `${part({ alg, kid: 'idp-1', typ: 'JWT' })}.${part(claimsOf())}`
const basic = ['authorization', 'Basic dXNlcjpwYXNz'] as const
const selfMade = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })

interface Bad {
  readonly name: string
  readonly headers: Fields
  readonly query?: string
  readonly reason: ReasonCode
  /** In the challenge; absent where no token would help. */
  readonly error?: string
}

const badToken = (name: string, token: string, reason: ReasonCode): Bad => ({
  name,
  headers: bearer(token),
  reason,
  error: 'invalid_token',
})

const bad = (): readonly Bad[] => [
  { name: 'no token', headers: [], reason: 'token_missing', error: '' },
  badToken('expired', tokenOf({ iat: nowSeconds() - 400, exp: nowSeconds() - 100 }), 'token_expired'),
  badToken('not yet', tokenOf({ nbf: nowSeconds() + 200 }), 'token_invalid'),
  badToken('no end', tokenOf({ exp: undefined }), 'token_invalid'),
  badToken('the end of all days', tokenOf({ exp: 1e305 }), 'token_invalid'),
  badToken('for somebody else', tokenOf({ aud: 'billing' }), 'token_audience_wrong'),
  badToken('for nobody', tokenOf({ aud: undefined }), 'token_audience_wrong'),
  badToken('of another issuer', tokenOf({ iss: 'https://evil.example' }), 'token_issuer_unknown'),
  badToken('of an issuer with a slash more', tokenOf({ iss: `${idp}/` }), 'token_issuer_unknown'),
  badToken('of a list of issuers', tokenOf({ iss: [idp] }), 'token_issuer_unknown'),
  badToken('not signed', `${unsigned('none')}.`, 'token_malformed'),
  badToken('alg none with a signature', `${unsigned('none')}.AAAA`, 'token_invalid'),
  badToken('alg NONE with a signature', `${unsigned('NONE')}.AAAA`, 'token_invalid'),
  badToken('HS256 with the public key', hmacToken(), 'token_invalid'),
  badToken('by another key of the same name', tokenOf({}, {}, stranger), 'token_signature_invalid'),
  badToken('a signature of nothing', `${unsigned('ES256')}.${'A'.repeat(86)}`, 'token_signature_invalid'),
  badToken('by a key that nobody has', tokenOf({}, { kid: '../../dev/null' }), 'token_key_unknown'),
  badToken('brings its own key', tokenOf({}, { jwk: selfMade }), 'token_invalid'),
  badToken('says where its key is', tokenOf({}, { jku: 'https://evil.example/k' }), 'token_invalid'),
  badToken('an extension nobody knows', tokenOf({}, { crit: ['exp'] }), 'token_malformed'),
  badToken('unencoded', tokenOf({}, { b64: false }), 'token_malformed'),
  badToken('a claim that stands twice', doubled(), 'token_malformed'),
  badToken('an ID token', tokenOf({ nonce: 'n-1' }), 'token_invalid'),
  badToken('a proof of possession', tokenOf({}, { typ: 'dpop+jwt' }), 'token_invalid'),
  badToken('a workload identity token', tokenOf({}, { typ: 'wit+jwt' }), 'token_invalid'),
  badToken('no JWT', 'opaque', 'token_malformed'),
  badToken('longer than 8 KiB', tokenOf({ more: 'x'.repeat(8192) }), 'token_malformed'),
  badToken('bound to what nobody can check', tokenOf({ cnf: { kid: 'a' } }), 'token_invalid'),
  badToken('bound to nothing', tokenOf({ cnf: {} }), 'token_invalid'),
  {
    name: 'the DPoP scheme without a proof',
    headers: [['authorization', `DPoP ${tokenOf()}`]],
    reason: 'dpop_proof_invalid',
    error: 'invalid_dpop_proof',
  },
  {
    name: 'a proof that is none',
    headers: [
      ['authorization', `DPoP ${tokenOf()}`],
      ['dpop', 'not.a.proof'],
    ],
    reason: 'token_binding_mismatch',
    error: 'invalid_token',
  },
  {
    name: 'a token in the query',
    headers: [],
    query: `?access_token=${tokenOf()}`,
    reason: 'credentials_ambiguous',
    error: 'invalid_request',
  },
  {
    name: 'one in the query beside one in the header',
    headers: bearer(tokenOf()),
    query: '?a=1&Access%5FToken=x',
    reason: 'credentials_ambiguous',
    error: 'invalid_request',
  },
  {
    name: 'two of them',
    headers: [...bearer(tokenOf()), ...bearer(tokenOf())],
    reason: 'header_not_canonical',
  },
  { name: 'Basic beside Bearer', headers: [basic, ...bearer(tokenOf())], reason: 'header_not_canonical' },
  {
    name: 'Basic and Bearer in one header',
    headers: [['authorization', `${basic[1]}, Bearer ${tokenOf()}`]],
    reason: 'header_not_canonical',
  },
  {
    name: 'two tokens in one header',
    headers: [['authorization', `Bearer ${tokenOf()} ${tokenOf()}`]],
    reason: 'credentials_ambiguous',
    error: 'invalid_request',
  },
  { name: 'Basic alone is no token', headers: [basic], reason: 'token_missing', error: '' },
]

t.test(
  'each bad token is refused for its own reason, and the client is told no more than it must',
  async (t) => {
    for (const api of apis) {
      for (const client of ['http1', 'grpc'] as const) {
        for (const { name, headers, query, reason, error } of bad()) {
          const what = `${api} ${client}: ${name}`
          const sent = { api, client, headers, ...(query !== undefined && { query }) }
          const outcome = await world.send(sent)
          const { record, answer, status, arrived } = outcome
          t.equal(record?.['reason'], reason, what)
          t.equal(record?.['verdict'], 'deny', what)
          t.equal(status, client === 'grpc' ? reasons[reason].grpcStatus : reasons[reason].httpStatus, what)
          t.equal(arrived, undefined, `${what}: nothing arrived`)
          t.equal(record?.['token'], undefined, `${what}: what is not verified is not recorded`)
          const challenge = answer?.headers.get('www-authenticate')
          if (error === undefined) t.equal(challenge, undefined, what)
          else if (error === '')
            t.match(challenge, /^Bearer realm="models", DPoP realm="models", algs=/, what)
          else t.ok(challenge?.includes(`realm="models", error="${error}"`), `${what}: ${challenge}`)
          silent(t, what, outcome)
        }
      }
    }
  },
)

/** Nothing that the client did not know: neither the detail of the record, nor names of ours. */
function silent(t: Test, what: string, { answer, record }: Outcome): void {
  const text = [answer?.body, ...(answer?.headers ?? new Map()).values()].join('\n')
  const detail = record?.['detail']
  const secrets = [
    idp,
    trustDomain,
    'idp-1',
    'idp.json',
    'user-1',
    'acme',
    ...(detail ? [String(detail)] : []),
  ]
  t.same(
    secrets.filter((each) => text.includes(each)),
    [],
    `${what}: what it is told`,
  )
}

t.test('spellings of one token are one token, or are refused', async (t) => {
  let token = tokenOf({ jti: 'one' })
  // One that has a character of its own alphabet.
  while (!/[-_]/.test(token)) token = tokenOf({ jti: 'one' })
  // ES256 signatures end in four bits of the last character that decoders throw away.
  const last = token.at(-1) as string
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = `${token.slice(0, -1)}${alphabet[alphabet.indexOf(last) ^ 1]}`
  t.same(Buffer.from(twin, 'base64url'), Buffer.from(token, 'base64url'), 'the same octets to many readers')
  const rows: [name: string, value: string, result: string][] = [
    ['as it is', `Bearer ${token}`, 'served'],
    ['the scheme in lower case', `bearer ${token}`, 'served'],
    ['the scheme in upper case', `BEARER ${token}`, 'served'],
    ['more blanks between', `Bearer   ${token}`, 'served'],
    ['padding', `Bearer ${token}==`, 'token_malformed'],
    ['another last character', `Bearer ${twin}`, 'token_malformed'],
    ['the other alphabet', `Bearer ${token.replace(/[-_]/, '+')}`, 'token_malformed'],
    ['a full stop more', `Bearer ${token}.`, 'token_malformed'],
    ['a tab between', `Bearer\t${token}`, 'header_not_canonical'],
    ['quotes', `Bearer "${token}"`, 'token_malformed'],
  ]
  for (const client of ['http1', 'http2'] as const) {
    for (const [name, value, expected] of rows) {
      const { result, record } = await world.send({ client, headers: [['authorization', value]] })
      t.equal(result, expected, `${client}: ${name}`)
      if (expected === 'served') t.equal(record?.['token'], hashOf(token), `${client}: ${name}`)
    }
    const blank = await world.send({ client, headers: [['authorization', `Bearer ${token}  `]] })
    if (blank.result === 'served') t.equal(blank.record?.['token'], hashOf(token), `${client}: blanks behind`)
    else t.match(blank.record ?? { reason: 'header_not_canonical' }, { reason: 'header_not_canonical' })
  }
})

t.test('a JWT-SVID is a token of its trust domain, whoever may send it', async (t) => {
  const robots = spiffeIdOf('robot')
  for (const api of apis) {
    const good = world.svid(robots)
    const { result, record } = await world.send({ api, as: 'robot', headers: bearer(good) })
    t.equal(result, 'served', api)
    t.match(record, {
      issuer: `spiffe://${trustDomain}`,
      subject: robots,
      token: hashOf(good),
      tenant: 'robots',
    })
  }
  const refused: [name: string, token: string, reason: string][] = [
    ['for somebody else', world.svid(robots, 'billing'), 'token_audience_wrong'],
    ['of a workload that no tenant names', world.svid(spiffeIdOf('other')), 'tenant_binding_missing'],
    ['of another trust domain by our key', world.svid('spiffe://other.example/a'), 'token_issuer_unknown'],
    ["of the issuer's key", tokenOf({ iss: undefined, sub: robots }), 'token_key_unknown'],
  ]
  for (const [name, token, reason] of refused)
    t.equal((await world.send({ as: 'robot', headers: bearer(token) })).result, reason, name)
  const asIdp = await world.send({ headers: bearer(world.svid('spiffe://test.example/acme')) })
  t.equal(asIdp.result, 'tenant_binding_missing', 'and is nothing to tenants of another issuer')
})
