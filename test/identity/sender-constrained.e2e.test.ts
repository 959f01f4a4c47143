import { hash, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { reasons } from '#decision/reasons.ts'
import { freePorts } from '../harness/ports.ts'
import { eventually } from '../harness/temp.ts'
import { startValkey } from '../harness/valkey.ts'
import {
  type Api,
  apis,
  bearer,
  type Client,
  externalUrl,
  type Fields,
  grpcPath,
  hashOf,
  inferPath,
  nowSeconds,
  startCallerWorld,
  tokenOf,
} from './caller-world.ts'
import { type ClientKey, clientKey, signedJws } from './dpop/signed-proof.ts'

const key = clientKey()
const boundToken = (more: object = {}) => tokenOf({ cnf: { jkt: key.thumbprint }, ...more })

let counter = 0

/** A token with its proof for the one path that is asked for; change one thing of the proof. */
function dpop(
  token: string,
  { api = 'ext_proc', client = 'http1' }: { readonly api?: Api; readonly client?: Client } = {},
  change: { readonly header?: object; readonly claims?: object; readonly by?: ClientKey } = {},
): Fields {
  const { by = key } = change
  const header = { typ: 'dpop+jwt', alg: by.alg, jwk: by.jwk, ...change.header }
  const claims = {
    jti: `proof-number-${++counter}`,
    htm: 'POST',
    htu: `${externalUrl}${client === 'grpc' ? grpcPath(api) : inferPath}`,
    iat: nowSeconds(),
    ath: hash('sha256', token, 'base64url'),
    ...change.claims,
  }
  return [
    ['authorization', `DPoP ${token}`],
    ['dpop', signedJws(by, header, claims)],
  ]
}

t.test('proofs of possession', async (t) => {
  await using world = await startCallerWorld(() => ({ tokens: { dpop: { externalUrl } } }))
  const other = clientKey()

  await t.test('a good one is served once, on both APIs to every client', async (t) => {
    for (const api of apis) {
      for (const client of ['http1', 'http2', 'grpc'] as const) {
        const what = `${api} ${client}`
        const token = boundToken()
        const headers = dpop(token, { api, client })
        const first = await world.send({ api, client, headers })
        t.equal(first.result, 'served', what)
        t.match(first.record, { bound: true, tenant: 'acme' }, what)
        const again = await world.send({ api, client, headers })
        t.equal(again.result, 'dpop_proof_replayed', what)
        t.equal(again.status, client === 'grpc' ? 16 : 401, what)
        t.match(
          again.answer?.headers.get('www-authenticate'),
          /^DPoP realm="models", error="invalid_dpop_proof"/,
        )
      }
    }
  })

  await t.test('the same proof many times at once is served once', async (t) => {
    const headers = dpop(boundToken())
    const all = await Promise.all(Array.from({ length: 12 }, () => world.send({ headers })))
    const served = all.filter(({ result }) => result === 'served')
    const replayed = all.filter(({ result }) => result === 'dpop_proof_replayed')
    t.same([served.length, replayed.length], [1, 11])
  })

  await t.test('a proof of anything else is refused', async (t) => {
    const token = boundToken()
    const rows: [name: string, headers: Fields, result: string][] = [
      ['another method', dpop(token, {}, { claims: { htm: 'GET' } }), 'dpop_proof_invalid'],
      ['the method in lower case', dpop(token, {}, { claims: { htm: 'post' } }), 'dpop_proof_invalid'],
      ['another path', dpop(token, {}, { claims: { htu: `${externalUrl}/v2` } }), 'dpop_proof_invalid'],
      [
        'another server',
        dpop(token, {}, { claims: { htu: `https://evil.example${inferPath}` } }),
        'dpop_proof_invalid',
      ],
      [
        'another scheme',
        dpop(token, {}, { claims: { htu: `http://models.example${inferPath}` } }),
        'dpop_proof_invalid',
      ],
      [
        'a user before the server',
        dpop(token, {}, { claims: { htu: `https://models.example@evil.example${inferPath}` } }),
        'dpop_proof_invalid',
      ],
      [
        'another token',
        dpop(token, {}, { claims: { ath: hash('sha256', 'x', 'base64url') } }),
        'dpop_proof_invalid',
      ],
      ['no token', dpop(token, {}, { claims: { ath: undefined } }), 'dpop_proof_invalid'],
      ['yesterday', dpop(token, {}, { claims: { iat: nowSeconds() - 86_400 } }), 'dpop_proof_invalid'],
      ['tomorrow', dpop(token, {}, { claims: { iat: nowSeconds() + 86_400 } }), 'dpop_proof_invalid'],
      ['by another key', dpop(token, {}, { by: other }), 'dpop_proof_invalid'],
      [
        'by another key under the name of the right one',
        dpop(token, {}, { by: other, header: { jwk: key.jwk } }),
        'dpop_proof_invalid',
      ],
      ['of another type', dpop(token, {}, { header: { typ: 'JWT' } }), 'dpop_proof_invalid'],
      ['not signed', dpop(token, {}, { header: { alg: 'none' } }), 'dpop_proof_invalid'],
      ['two proofs', [...dpop(token), ...dpop(token).slice(1)], 'header_duplicated'],
      ['a token that names no key', dpop(tokenOf()), 'token_binding_mismatch'],
      [
        'a token that names another key',
        dpop(tokenOf({ cnf: { jkt: other.thumbprint } })),
        'dpop_proof_invalid',
      ],
      ['the stolen token as Bearer', bearer(token), 'token_binding_mismatch'],
      [
        'the stolen token as Bearer, and a proof',
        [...bearer(token), ...dpop(token).slice(1)],
        'credentials_ambiguous',
      ],
    ]
    for (const [name, headers, expected] of rows)
      t.equal((await world.send({ headers })).result, expected, name)
    // What was refused was not used up.
    const once = dpop(token)
    t.equal((await world.send({ headers: once, query: '?access_token=x' })).result, 'credentials_ambiguous')
    t.equal((await world.send({ headers: once, query: '?trace=1' })).result, 'served', 'htu has no query')
  })

  await t.test('a token that is bound to a certificate is good with that certificate only', async (t) => {
    const digest = (identity: { readonly certificatePem: string }) =>
      hash('sha256', new X509Certificate(identity.certificatePem).raw, 'base64url')
    const mine = digest(world.identities.gateway)
    const token = tokenOf({ cnf: { 'x5t#S256': mine } })
    for (const api of apis) {
      const good = await world.send({ api, headers: bearer(token) })
      t.equal(good.result, 'served', api)
      t.match(good.record, { bound: true, certificate: Buffer.from(mine, 'base64url').toString('hex') })
      // Of the same workload, and of another one whose tenant takes tokens of the issuer too.
      const renewed = await world.send({ api, headers: bearer(token), identity: world.issue('gateway') })
      t.equal(renewed.result, 'token_binding_mismatch', api)
      const stolen = tokenOf({ tenant: 'other', cnf: { 'x5t#S256': mine } })
      const thief = await world.send({ api, headers: bearer(stolen), as: 'other' })
      t.equal(thief.result, 'token_binding_mismatch', api)
      t.match(thief.record?.['detail'], `token ${hashOf(stolen)} of user-1`, 'the record says whose it was')
      const both = boundToken({ cnf: { 'x5t#S256': mine, jkt: key.thumbprint } })
      t.equal((await world.send({ api, headers: dpop(both) })).result, 'served')
      t.equal(
        (await world.send({ api, headers: dpop(both), identity: world.issue('gateway') })).result,
        'token_binding_mismatch',
      )
      t.equal((await world.send({ api, headers: bearer(both) })).result, 'token_binding_mismatch')
    }
  })
})

t.test('a nonce is demanded, and accepted', async (t) => {
  await using world = await startCallerWorld(({ folder }) => {
    writeFileSync(join(folder, 'nonces'), 'a secret of thirty-two characters\n')
    return { tokens: { dpop: { externalUrl, nonce: { secretFile: 'nonces', rotationSeconds: 3600 } } } }
  })
  for (const api of apis) {
    for (const client of ['http1', 'grpc'] as const) {
      const what = `${api} ${client}`
      const token = boundToken()
      const first = await world.send({ api, client, headers: dpop(token, { api, client }) })
      t.equal(first.result, 'dpop_nonce_required', what)
      t.equal(
        first.status,
        reasons.dpop_nonce_required[client === 'grpc' ? 'grpcStatus' : 'httpStatus'],
        what,
      )
      t.match(
        first.answer?.headers.get('www-authenticate'),
        /^DPoP realm="models", error="use_dpop_nonce"/,
        what,
      )
      const nonce = first.answer?.headers.get('dpop-nonce')
      t.ok(nonce, what)
      const proof = (claims: object) => ({ api, client, headers: dpop(token, { api, client }, { claims }) })
      t.equal((await world.send(proof({ nonce }))).result, 'served', what)
      t.equal((await world.send(proof({ nonce: `${nonce}A` }))).result, 'dpop_nonce_required', what)
      t.equal((await world.send(proof({ nonce: [nonce] }))).result, 'dpop_nonce_required', what)
    }
  }
})

t.test('a used proof is known at the other replica, and nothing goes on while Valkey is gone', async (t) => {
  const [port] = (await freePorts(1)) as [number]
  const replay = { url: `redis://127.0.0.1:${port}`, timeoutMs: 5000 }
  const change = () => ({ tokens: { dpop: { externalUrl }, replay } })
  await using valkey = await startValkey({ port })
  await using one = await startCallerWorld(change)
  await using two = await startCallerWorld(change)
  const headers = dpop(boundToken())
  t.equal((await one.send({ headers })).result, 'served')
  t.equal((await one.send({ headers })).result, 'dpop_proof_replayed')
  t.equal((await two.send({ headers })).result, 'dpop_proof_replayed', 'used at the first replica')
  const free = dpop(boundToken())
  const raced = await Promise.all([one, two, one, two, one, two].map((each) => each.send({ headers: free })))
  t.equal(raced.filter(({ result }) => result === 'served').length, 1, 'raced by two replicas')

  valkey.kill('SIGKILL')
  await valkey.ended
  for (const api of apis) {
    for (const client of ['http1', 'grpc'] as const) {
      const lost = await one.send({ api, client, headers: dpop(boundToken(), { api, client }) })
      t.equal(lost.result, 'replay_store_failed')
      t.equal(lost.record?.['verdict'], 'error')
      t.equal(lost.status, client === 'grpc' ? 14 : 503)
      t.equal(lost.answer?.headers.get('www-authenticate'), undefined, 'another token would not help')
    }
  }
  t.equal((await one.send({ headers: bearer(tokenOf()) })).result, 'served', 'which needs no proof')
  await using _back = await startValkey({ port })
  await eventually(
    'a proof is taken again',
    async () => (await one.send({ headers: dpop(boundToken()) })).result === 'served',
  )
})
