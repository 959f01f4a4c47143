import t from 'tap'
import { type AskedIssuer, createVerifyToken } from '#identity/caller-token/verify-token.ts'
import type { TokenVerdict } from '#identity/token/token.ts'
import { aToken } from '../../decision/an-exchange.ts'

const idp = 'https://idp.example'
const good = (more: Parameters<typeof aToken>[0] = {}): TokenVerdict => ({ ok: true, token: aToken(more) })

function verification(asked?: Partial<AskedIssuer>) {
  const questions: string[] = []
  const verify = (text: string): TokenVerdict => {
    if (text.startsWith('idp.')) return good({ issuer: idp })
    if (text.startsWith('other.')) return good({ issuer: 'https://other.example' })
    return {
      ok: false,
      reason: text.startsWith('alien.') ? 'token_issuer_unknown' : 'token_malformed',
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
      'alien.b.c',
      true,
      'token_inactive',
    ],
    [
      'the same where it is not asked about JWTs',
      { hasKeys: false },
      'alien.b.c',
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
