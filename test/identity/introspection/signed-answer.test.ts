import t from 'tap'
import { parsePublicJwk, type VerifyingKey } from '#crypto/jose/jwk.ts'
import type { Script } from '../../harness/authorization-server.ts'
import { clientKey, signedJws } from '../dpop/signed-proof.ts'
import { anAnswer, isJson, issuer, opened, startSeconds } from './kit.ts'

const key = clientKey()
const header = { typ: 'token-introspection+jwt', alg: 'ES256' }
const claims = (more: object = {}) => ({
  iss: issuer,
  aud: 'sluice',
  iat: startSeconds,
  token_introspection: anAnswer(),
  ...more,
})
const verifying = (): VerifyingKey => {
  const parsed = parsePublicJwk(key.jwk)
  if (!parsed.ok) throw new Error(parsed.why)
  return parsed.key
}
const isSigned = { 'content-type': 'application/token-introspection+jwt' }
const sent =
  (text: string, headers: Record<string, string> = isSigned, status = 200): Script =>
  (response) =>
    response.writeHead(status, headers).end(text)

const openedWith = (script: Script, keys: () => readonly VerifyingKey[] | undefined = () => [verifying()]) =>
  opened({ script, config: { signed: { keys, algorithms: ['ES256'] } } })

t.test('an answer that the issuer signed for us is taken', async (t) => {
  await using asked = await openedWith(sent(signedJws(key, header, claims())))
  t.match(await asked.introspect('a'), { ok: true, token: { subject: 'user-1' } })
  t.equal(asked.server.calls[0]?.headers.accept, 'application/token-introspection+jwt')
  asked.server.script(
    sent(signedJws(key, header, claims({ aud: ['x', 'sluice'], token_introspection: { active: false } }))),
  )
  t.match(await asked.introspect('b'), { ok: false, reason: 'token_inactive' })
})

t.test('every other one is none', async (t) => {
  const other = clientKey()
  const rows: [rule: string, script: Script, why: RegExp][] = [
    ['9701, 5: signed', sent(JSON.stringify(anAnswer()), isJson), /introspection\+jwt/],
    ['9701, 5: content type', sent(signedJws(key, header, claims()), isJson), /introspection\+jwt/],
    ['9701, 5: status', sent(signedJws(key, header, claims()), isSigned, 400), /400/],
    ['9701, 5: typ', sent(signedJws(key, { ...header, typ: 'JWT' }, claims())), /typ/],
    ['9701, 5: alg', sent(signedJws(key, { ...header, alg: 'none' }, claims())), /alg/],
    ['9701, 5: iss', sent(signedJws(key, header, claims({ iss: 'https://other.example' }))), /iss/],
    ['9701, 5: aud', sent(signedJws(key, header, claims({ aud: 'another' }))), /aud/],
    ['9701, 5: aud', sent(signedJws(key, header, claims({ aud: undefined }))), /aud/],
    ['9701, 5: iat', sent(signedJws(key, header, claims({ iat: undefined }))), /iat/],
    ['of another call', sent(signedJws(key, header, claims({ iat: startSeconds - 61 }))), /iat/],
    ['ahead', sent(signedJws(key, header, claims({ iat: startSeconds + 1 }))), /iat/],
    [
      '9701, 5: token_introspection',
      sent(signedJws(key, header, claims({ token_introspection: undefined }))),
      /token_introspection/,
    ],
    [
      '7662, 2.2',
      sent(signedJws(key, header, claims({ token_introspection: { active: 'true' } }))),
      /neither/,
    ],
    ['signature', sent(signedJws(other, header, claims())), /signed/],
    ['no token', sent('x'), /signed token/],
    ['no token', sent(''), /signed token/],
  ]
  for (const [rule, script, why] of rows) {
    await using asked = await openedWith(script)
    t.match(
      await asked.introspect('a'),
      { ok: false, reason: 'introspection_failed', why },
      `${rule}: ${why}`,
    )
  }
  await using unkeyed = await openedWith(sent(signedJws(key, header, claims())), () => undefined)
  t.match(await unkeyed.introspect('a'), { ok: false, reason: 'introspection_failed', why: /no keys/ })
})
