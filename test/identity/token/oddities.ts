import { createHash } from 'node:crypto'
import { issuerName, type Signer, startSeconds } from './kit.ts'

/** A token in the making. */
export interface Draft {
  readonly header: Record<string, unknown>
  readonly claims: Record<string, unknown>
  readonly signer: Signer
  /** What becomes of the JSON of the header and the claims before it is signed, and of the token after. */
  headerText: (json: string) => string
  claimsText: (json: string) => string
  spelling: (token: string) => string
}

/** One thing that is odd about a token. */
export interface Oddity {
  readonly name: string
  /** How we are meant to differ from jose, and why; absent where we are not. */
  readonly wanted?: { readonly verdict: 'stricter' | 'looser'; readonly why: string }
  apply(draft: Draft): void
}

const digest = createHash('sha256').digest('base64url')
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const header = (more: object) => (draft: Draft) => void Object.assign(draft.header, more)
const claims = (more: object) => (draft: Draft) => void Object.assign(draft.claims, more)
const spelling = (change: (token: string) => string) => (draft: Draft) => {
  draft.spelling = change
}
const headerFrom = (change: (draft: Draft) => object) => (draft: Draft) =>
  void Object.assign(draft.header, change(draft))
const headerText = (change: (json: string) => string) => (draft: Draft) => {
  draft.headerText = change
}
const claimsText = (change: (json: string) => string) => (draft: Draft) => {
  draft.claimsText = change
}
const inPart = (index: number, change: (part: string) => string) => (token: string) =>
  token
    .split('.')
    .map((part, at) => (at === index ? change(part) : part))
    .join('.')

const same = (name: string, apply: Oddity['apply']): Oddity => ({ name, apply })
const stricter = (name: string, why: string, apply: Oddity['apply']): Oddity => ({
  name,
  wanted: { verdict: 'stricter', why },
  apply,
})

const now = startSeconds

/** What two readers could disagree about. */
const oneSpelling = 'a token has one spelling, so that denylists and caches see the same one'
const oneMeaning = 'JSON that readers understand differently is not read'
const typed = 'a claim that is there is of its type'

export const oddities: readonly Oddity[] = [
  // the header
  same('no typ', header({ typ: undefined })),
  same('typ in another case', header({ typ: 'jwt' })),
  same('at+jwt', header({ typ: 'at+jwt' })),
  same('alg none', header({ alg: 'none' })),
  same('alg HS256', header({ alg: 'HS256' })),
  same('alg ES256K', header({ alg: 'ES256K' })),
  same(
    'alg in lower case',
    headerFrom(({ header: { alg } }) => ({ alg: String(alg).toLowerCase() })),
  ),
  same('alg empty', header({ alg: '' })),
  same('alg missing', header({ alg: undefined })),
  same('alg null', header({ alg: null })),
  same(
    'alg in a list',
    headerFrom(({ header: { alg } }) => ({ alg: [alg] })),
  ),
  same('alg of the other RSA padding', (draft) => {
    const { alg } = draft.header
    if (alg === 'RS256') draft.header['alg'] = 'PS256'
    else if (alg === 'PS256') draft.header['alg'] = 'RS256'
  }),
  same('alg of another digest', (draft) => {
    const { alg } = draft.header
    if (typeof alg === 'string')
      draft.header['alg'] = alg.endsWith('256') ? alg.replace('256', '384') : alg.replace(/384|512/, '256')
  }),
  same('kid of another key', header({ kid: 'rsa-2' })),
  same('kid unknown', header({ kid: 'nobody' })),
  same('kid empty', header({ kid: '' })),
  same('kid a path', header({ kid: '../../../dev/null' })),
  same('kid a number', header({ kid: 1 })),
  same('kid null', header({ kid: null })),
  same('kid an object', header({ kid: {} })),
  {
    name: 'no kid, where two keys fit',
    wanted: { verdict: 'looser', why: 'up to three keys that fit are tried; jose wants to be told which' },
    apply: header({ kid: undefined }),
  },
  same('crit unknown', header({ crit: ['exp'], exp: 1 })),
  same('crit empty', header({ crit: [] })),
  same('crit null', header({ crit: null })),
  same('crit text', header({ crit: 'b64' })),
  same('crit names b64 and it is false', header({ crit: ['b64'], b64: false })),
  stricter(
    'crit names b64 and it is true',
    'no extension is known, and none is needed',
    header({ crit: ['b64'], b64: true }),
  ),
  stricter('b64 without crit', 'no extension is known, and none is needed', header({ b64: true })),
  stricter('b64 false without crit', 'no extension is known, and none is needed', header({ b64: false })),
  ...['jku', 'x5u'].map((name) =>
    stricter(
      `${name} in the header`,
      'a token does not say where its key is',
      header({ [name]: 'https://evil.example/keys' }),
    ),
  ),
  stricter(
    'jwk in the header',
    'a token does not bring its key',
    headerFrom(({ signer }) => ({ jwk: signer.jwk })),
  ),
  stricter('x5c in the header', 'a token does not bring its key', header({ x5c: ['MII='] })),
  same('x5t in the header', header({ x5t: digest.slice(0, 27) })),
  same('cty JWT', header({ cty: 'JWT' })),
  same('a header nobody knows', header({ sluice: [1, { a: null }] })),
  ...['dpop+jwt', 'wit+jwt', 'logout+jwt', 'secevent+jwt', 'JOSE', 'application/whatever'].map((typ) =>
    stricter(`typ ${typ}`, 'one type of token does not pass for another', header({ typ })),
  ),
  stricter('typ a number', typed, header({ typ: 1 })),
  stricter(
    'a header member twice',
    oneMeaning,
    headerText((json) => json.replace('{', '{"typ":"JWT",')),
  ),
  stricter(
    '__proto__ in the header',
    oneMeaning,
    headerText((json) => json.replace('{', '{"__proto__":{},')),
  ),
  same(
    'white space in the header',
    headerText((json) => json.replaceAll(',', ' ,\n\t')),
  ),
  same(
    'a list as header',
    headerText((json) => `[${json}]`),
  ),
  same(
    'a comma too many',
    headerText((json) => json.replace('}', ',}')),
  ),
  // claims: who, for whom
  same('iss missing', claims({ iss: undefined })),
  same('iss of another', claims({ iss: 'https://evil.example' })),
  same('iss with a slash more', claims({ iss: `${issuerName}/` })),
  same('iss in a list', claims({ iss: [issuerName] })),
  same('iss null', claims({ iss: null })),
  same('aud missing', claims({ aud: undefined })),
  same('aud of another', claims({ aud: 'others' })),
  same('aud a list with ours', claims({ aud: ['others', 'models'] })),
  same('aud a list without ours', claims({ aud: ['others'] })),
  same('aud an empty list', claims({ aud: [] })),
  same('aud null', claims({ aud: null })),
  same('aud an object', claims({ aud: { models: true } })),
  stricter('aud a list with a number', typed, claims({ aud: ['models', 1] })),
  stricter('sub missing', 'a token is somebody’s', claims({ sub: undefined })),
  stricter('sub a number', typed, claims({ sub: 1 })),
  stricter('sub empty', 'a token is somebody’s', claims({ sub: '' })),
  stricter('jti a number', typed, claims({ jti: 1 })),
  // claims: when
  stricter('exp missing', 'a token ends', claims({ exp: undefined })),
  same('exp in text', claims({ exp: String(now + 60) })),
  same('exp null', claims({ exp: null })),
  same('exp now', claims({ exp: now })),
  same('exp within the skew', claims({ exp: now - 29 })),
  same('exp at the end of the skew', claims({ exp: now - 30 })),
  same('exp long ago', claims({ exp: 1 })),
  same('exp zero', claims({ exp: 0 })),
  same('exp a fraction', claims({ exp: now + 0.5 })),
  stricter(
    'exp far away',
    'a token lives no longer than the configuration says',
    claims({ exp: now + 31_536_000 }),
  ),
  same('nbf now', claims({ nbf: now })),
  same('nbf within the skew', claims({ nbf: now + 30 })),
  same('nbf in the future', claims({ nbf: now + 31 })),
  same('nbf in text', claims({ nbf: '0' })),
  same('iat missing', claims({ iat: undefined })),
  stricter(
    'iat in the future',
    'nobody issues tokens tomorrow',
    claims({ iat: now + 3600, exp: now + 7200 }),
  ),
  same('iat in text', claims({ iat: '0' })),
  // claims: what kind
  stricter('nonce', 'an ID token is no access token', claims({ nonce: 'n' })),
  stricter('at_hash', 'an ID token is no access token', claims({ at_hash: 'h' })),
  stricter('typ ID among the claims', 'an ID token is no access token', claims({ typ: 'ID' })),
  stricter('token_use id', 'an ID token is no access token', claims({ token_use: 'id' })),
  stricter('events', 'a security event is no access token', claims({ events: {} })),
  same('cnf of a certificate', claims({ cnf: { 'x5t#S256': digest } })),
  stricter(
    'cnf with a key',
    'a binding that is not checked is none to pass over',
    claims({ cnf: { jwk: {} } }),
  ),
  stricter('cnf null', typed, claims({ cnf: null })),
  stricter('scope a number', typed, claims({ scope: 1 })),
  same('scope', claims({ scope: 'a b', scp: ['c'] })),
  // claims: the text
  stricter(
    'a claim twice',
    oneMeaning,
    claimsText((json) => json.replace('{', '{"sub":"admin",')),
  ),
  stricter(
    'a claim twice, spelled otherwise',
    oneMeaning,
    claimsText((json) => json.replace('{', '{"\\u0073ub":"admin",')),
  ),
  stricter(
    '__proto__',
    oneMeaning,
    claimsText((json) => json.replace('{', '{"__proto__":{"admin":true},')),
  ),
  stricter(
    'half a surrogate pair',
    oneMeaning,
    claimsText((json) => json.replace('{', '{"a":"\\ud800",')),
  ),
  stricter(
    'a number beyond doubles',
    oneMeaning,
    claimsText((json) => json.replace('{', '{"a":1e999,')),
  ),
  stricter(
    '40 levels',
    'what nests deeper is nobody’s token',
    claimsText((json) => json.replace('{', `{"a":${'['.repeat(40)}${']'.repeat(40)},`)),
  ),
  same(
    '10 levels',
    claimsText((json) => json.replace('{', `{"a":${'['.repeat(10)}${']'.repeat(10)},`)),
  ),
  same('constructor', claims({ constructor: { prototype: {} } })),
  stricter(
    'a byte order mark and a space',
    oneMeaning,
    claimsText((json) => `\ufeff ${json}`),
  ),
  same(
    'a list as payload',
    claimsText((json) => `[${json}]`),
  ),
  same(
    'null as payload',
    claimsText(() => 'null'),
  ),
  same(
    'no payload',
    claimsText(() => ''),
  ),
  same(
    'NaN',
    claimsText((json) => json.replace('{', '{"a":NaN,')),
  ),
  same(
    'white space around',
    claimsText((json) => `\n ${json} \t`),
  ),
  stricter('more than 8 KiB', 'what is longer is nobody’s token', claims({ a: 'a'.repeat(8000) })),
  same('6 KiB', claims({ a: 'a'.repeat(4000) })),
  // the spelling
  stricter(
    'a padded signature',
    oneSpelling,
    spelling((token) => `${token}==`.slice(0, Math.ceil(token.length / 4) * 4 + 4)),
  ),
  stricter(
    'bits left over in the signature',
    oneSpelling,
    spelling((token) => token.slice(0, -1) + alphabet[alphabet.indexOf(token.slice(-1)) ^ 1]),
  ),
  same(
    'the alphabet of base64',
    spelling(inPart(2, (part) => part.replaceAll('-', '+').replaceAll('_', '/'))),
  ),
  stricter(
    'a line end behind',
    oneSpelling,
    spelling((token) => `${token}\n`),
  ),
  stricter(
    'a space in the signature',
    oneSpelling,
    spelling((token) => `${token.slice(0, -4)} ${token.slice(-4)}`),
  ),
  same('a padded header', spelling(inPart(0, (part) => `${part}=`))),
  same(
    'a space before',
    spelling((token) => ` ${token}`),
  ),
  same(
    'a signature of one octet less',
    spelling(inPart(2, (part) => Buffer.from(part, 'base64url').subarray(1).toString('base64url'))),
  ),
  same(
    'a signature of one octet more',
    spelling(
      inPart(2, (part) =>
        Buffer.concat([Buffer.alloc(1), Buffer.from(part, 'base64url')]).toString('base64url'),
      ),
    ),
  ),
  same(
    'a signature of zeros',
    spelling(inPart(2, (part) => Buffer.alloc(Buffer.from(part, 'base64url').length).toString('base64url'))),
  ),
  same(
    'one bit of the signature',
    spelling(
      inPart(2, (part) => {
        const octets = Buffer.from(part, 'base64url')
        octets[5] = (octets[5] as number) ^ 1
        return octets.toString('base64url')
      }),
    ),
  ),
  same('no signature', spelling(inPart(2, () => ''))),
  same(
    'two parts',
    spelling((token) => token.split('.').slice(0, 2).join('.')),
  ),
  same(
    'four parts',
    spelling((token) => `${token}.`),
  ),
  same(
    'another subject under the signature',
    spelling(
      inPart(1, (part) =>
        Buffer.from(Buffer.from(part, 'base64url').toString().replace('user-1', 'user-2')).toString(
          'base64url',
        ),
      ),
    ),
  ),
]
