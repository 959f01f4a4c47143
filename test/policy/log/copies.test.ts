import t from 'tap'
import { isJsonObject, type JsonValue } from '#base/json.ts'
import { copyRules, secretsOf } from '#policy/log/copies.ts'
import { credentialRules } from '#policy/log/credentials.ts'
import { applyMask } from '#policy/log/mask.ts'

const token = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl'
const basic = Buffer.from('ann:correct horse').toString('base64')

function logged(headers: JsonValue, result: JsonValue, cache?: JsonValue) {
  const http = Array.isArray(headers) ? { headerMap: { headers } } : { headers }
  const event = { input: { attributes: { request: { http } } }, result, nd_builtin_cache: cache }
  return applyMask(event, credentialRules(event))
}

const cases: [name: string, headers: JsonValue, result: JsonValue, shown: JsonValue][] = [
  [
    'a token under another name, alone and in a text',
    { authorization: `Bearer ${token}` },
    { headers: { 'x-token': token, 'x-user': 'ann' }, body: `no such token: ${token}!` },
    { headers: { 'x-token': '***', 'x-user': 'ann' }, body: 'no such token: ***!' },
  ],
  [
    'a header as it came, deep in the metadata',
    { authorization: `Bearer ${token}` },
    { dynamic_metadata: { all: ['x', { of: `Bearer ${token}` }, token] } },
    { dynamic_metadata: { all: ['x', { of: '***' }, '***'] } },
  ],
  [
    'what basic authentication holds',
    { authorization: `basic ${basic}` },
    { body: 'ann:correct horse', headers: { 'x-p': 'correct horse', 'x-u': 'ann', 'x-b': basic } },
    { body: '***', headers: { 'x-p': '***', 'x-u': 'ann', 'x-b': '***' } },
  ],
  ['a cookie', { cookie: 'a=1; sid=0123456789' }, { body: 'sid 0123456789' }, { body: 'sid ***' }],
  [
    'a short key where it is all, and not where it is a part',
    { 'x-api-key': 'k3y' },
    { body: 'k3y', headers: { 'x-a': 'k3yboard' } },
    { body: '***', headers: { 'x-a': 'k3yboard' } },
  ],
  [
    'raw values of a header map',
    [{ key: 'Authorization', rawValue: Buffer.from(`Bearer ${token}`).toString('base64') }],
    { body: token },
    { body: '***' },
  ],
  [
    'a token for a name',
    { 'x-api-key': token },
    { dynamic_metadata: { [token]: 1 }, body: 'b' },
    { body: 'b' },
  ],
  [
    'an empty header',
    { authorization: '', cookie: ';' },
    { body: 'b', headers: {} },
    { body: 'b', headers: {} },
  ],
  [
    'a header that is gone anyway',
    { cookie: 'a=0123456789' },
    { headers: { cookie: 'a=0123456789' } },
    { headers: {} },
  ],
]
for (const [name, headers, result, shown] of cases)
  t.test(`a credential that policy copied is not logged: ${name}`, (t) => {
    const { erased, masked, ...parts } = logged(headers, result)
    t.same(parts.result, shown)
    t.notMatch(JSON.stringify([parts, erased, masked]), new RegExp(token.replaceAll('.', '\\.')))
    t.end()
  })

t.test('operands that are recorded are looked through', (t) => {
  const cache = { 'rand.intn': { [`["${token}",5]`]: 3 }, 'time.now_ns': { '[]': 1 } }
  const { nd_builtin_cache: shown, erased } = logged({ 'x-api-key': token }, true, cache)
  t.same(shown, { 'time.now_ns': { '[]': 1 } })
  t.ok(erased.includes('/nd_builtin_cache/rand.intn'))
  t.ok(isJsonObject(cache['rand.intn']), 'and what was decided is not changed')
  t.end()
})

t.test('a secret that holds another one is hidden whole', (t) => {
  const secrets = new Set(secretsOf('authorization', 'Bearer 0123456789'))
  const [rule] = copyRules('result', 'got Bearer 0123456789', secrets)
  t.match(rule, { upsert: { value: 'got ***' } })
  t.end()
})

t.test('thousands of cookies do not make a log of thousands of searches', (t) => {
  const cookies = Array.from({ length: 5000 }, (_, index) => `c=cookie-${index}`)
  const { result } = logged(
    { cookie: cookies.join('; ') },
    { body: 'cookie-4999', headers: { x: cookies.join('; ') } },
  )
  t.same(result, { body: '***', headers: { x: '***' } })
  t.end()
})
