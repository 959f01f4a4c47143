import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type AskedIssuer, createVerifyToken } from '#identity/caller-token/verify-token.ts'
import { createTokenVerifier, type TokenVerdict } from '#identity/token/token.ts'
import { aToken } from '../../decision/an-exchange.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { setOf, someIssuer, someone, someToken } from '../token/kit.ts'

const idp = 'https://idp.example'
const good = (more: Parameters<typeof aToken>[0] = {}): TokenVerdict => ({ ok: true, token: aToken(more) })

const jwtOf = (claims: object) =>
  [{ alg: 'ES256', kid: 'a' }, claims, {}]
    .map((each) => Buffer.from(JSON.stringify(each)).toString('base64url'))
    .join('.')

function verification(asked?: Partial<AskedIssuer>) {
  const questions: string[] = []
  const verify = (text: string): TokenVerdict => {
    if (text.startsWith('idp.')) return good({ issuer: idp })
    if (text.startsWith('other.')) return good({ issuer: 'https://other.example' })
    return {
      ok: false,
      reason:
        text.startsWith('alien.') || text.startsWith('eyJ') ? 'token_issuer_unknown' : 'token_malformed',
      why: '',
    }
  }
  const introspection: AskedIssuer['introspection'] = {
    introspect: (token) => {
      questions.push(token)
      return { ok: false, reason: 'token_inactive', why: '' }
    },
  }
  const all = { name: idp, introspection, isAskedAboutJwts: false, hasKeys: true, ...asked }
  return { questions, ask: createVerifyToken({ verify }, asked && all) }
}

t.test('who is asked about which token', async (t) => {
  const rows: [
    name: string,
    asked: Partial<AskedIssuer> | undefined,
    token: string,
    isAsked: boolean,
    outcome: string,
  ][] = [
    ['nobody can be asked', undefined, 'opaque', false, 'token_malformed'],
    ['a token that is no JWT', {}, 'opaque', true, 'token_inactive'],
    ['one of two parts', {}, 'a.b', true, 'token_inactive'],
    ['one of five parts, encrypted', {}, 'a.b.c.d.e', true, 'token_inactive'],
    ['a JWT that is verified here', {}, 'idp.b.c', false, 'ok'],
    [
      'a JWT of an issuer that may have revoked it',
      { isAskedAboutJwts: true },
      'idp.b.c',
      true,
      'token_inactive',
    ],
    ['a JWT of another issuer', { isAskedAboutJwts: true }, 'other.b.c', false, 'ok'],
    ['a JWT that is wrong', { isAskedAboutJwts: true }, 'wrong.b.c', false, 'token_malformed'],
    [
      'a JWT of nobody known, where that issuer has keys',
      { isAskedAboutJwts: true },
      'alien.b.c',
      false,
      'token_issuer_unknown',
    ],
    [
      'a JWT that only its issuer can read',
      { isAskedAboutJwts: true, hasKeys: false },
      jwtOf({ iss: idp }),
      true,
      'token_inactive',
    ],
    [
      'a JWT that says nothing of its issuer',
      { isAskedAboutJwts: true, hasKeys: false },
      jwtOf({}),
      true,
      'token_inactive',
    ],
    [
      'a JWT of an issuer that is none of ours: it is not shown to another',
      { isAskedAboutJwts: true, hasKeys: false },
      jwtOf({ iss: 'https://elsewhere.example' }),
      false,
      'token_issuer_unknown',
    ],
    [
      'the same where it is not asked about JWTs',
      { hasKeys: false },
      jwtOf({ iss: idp }),
      false,
      'token_issuer_unknown',
    ],
  ]
  for (const [name, asked, token, isAsked, outcome] of rows) {
    const { ask, questions } = verification(asked)
    const verdict = await ask(token, 'peer')
    t.equal(verdict.ok ? 'ok' : verdict.reason, outcome, name)
    t.same(questions, isAsked ? [token] : [], name)
  }
})

t.test('a JWT with a kid reaches the issuer that alone can read it, whatever keys others have', async (t) => {
  using folder = temporaryFolder()
  const file = join(folder.path, 'keys.json')
  writeFileSync(file, setOf(someone))
  const others = [[], [someIssuer({ issuer: 'https://other.example', jwks: { file } })]]
  for (const issuers of others) {
    await using verifier = createTokenVerifier({ issuers })
    const questions: string[] = []
    const introspect: AskedIssuer['introspection']['introspect'] = (token) => {
      questions.push(token)
      return good({ issuer: idp })
    }
    const asked = { name: idp, introspection: { introspect }, isAskedAboutJwts: true, hasKeys: false }
    const ask = createVerifyToken(verifier, asked)
    const token = someToken({ iss: idp }, { kid: 'only-the-issuer-knows' })
    t.match(await ask(token, 'peer'), { ok: true }, `${issuers.length} others`)
    t.same(questions, [token])
  }
})
