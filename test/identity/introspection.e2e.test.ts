import { hash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  type AuthorizationServer,
  type Script,
  startAuthorizationServer,
} from '../harness/authorization-server.ts'
import { eventually } from '../harness/temp.ts'
import { apis, bearer, claimsOf, idp, startCallerWorld, tokenOf } from './caller-world.ts'

const startWorld = (server: AuthorizationServer, more: object = {}, issuer: object = {}) =>
  startCallerWorld(({ folder }) => {
    writeFileSync(join(folder, 'secret'), 'open sesame\n')
    const introspection = {
      endpoint: server.endpoint,
      auth: { method: 'client_secret_basic', clientId: 'sluice', secretFile: 'secret' },
      timeoutMs: 7000,
      cacheSeconds: 30,
      negativeCacheSeconds: 0,
      ...more,
    }
    return { issuers: [{ issuer: idp, audience: 'models', tenantClaim: 'tenant', introspection, ...issuer }] }
  })

const active = (more: object = {}) => ({ active: true, ...claimsOf({ client_id: 'app', ...more }) })

t.test('an opaque token is what its issuer says, to every client on both APIs', async (t) => {
  await using server = await startAuthorizationServer()
  await using world = await startWorld(server)
  let counter = 0
  const fresh = () => `opaque-${++counter}`
  for (const api of apis) {
    for (const client of ['http1', 'grpc'] as const) {
      const send = (token: string) => world.send({ api, client, headers: bearer(token) })
      const what = `${api} ${client}`
      const token = fresh()
      server.script(active({ sub: 'robot', tenant: 'globex' }))
      const good = await send(token)
      t.equal(good.result, 'served', what)
      const digest = hash('sha256', token, 'base64url')
      t.match(
        good.record,
        { issuer: idp, subject: 'robot', tenant: 'globex', token: digest, bound: false },
        what,
      )
      t.equal(server.calls.at(-1)?.form.get('token'), token)
      const calls = server.calls.length
      t.equal((await send(token)).result, 'served', `${what}: what is known is not asked about`)
      t.equal(server.calls.length, calls)

      const rows: [script: Script, result: string, status: readonly [http: number, grpc: number]][] = [
        [{ active: false }, 'token_inactive', [401, 16]],
        [{ active: false, ...claimsOf() }, 'token_inactive', [401, 16]],
        [active({ aud: 'billing' }), 'token_audience_wrong', [401, 16]],
        [active({ exp: 1 }), 'token_expired', [401, 16]],
        [active({ iss: 'https://evil.example' }), 'token_issuer_unknown', [401, 16]],
        [active({ tenant: 'other' }), 'tenant_binding_mismatch', [403, 7]],
        [active({ tenant: ['acme'] }), 'token_invalid', [401, 16]],
        [active({ cnf: { jkt: 'A'.repeat(43) } }), 'token_binding_mismatch', [401, 16]],
        [{ active: 'true', ...claimsOf() }, 'introspection_failed', [503, 14]],
        [(response) => void response.writeHead(500).end(), 'introspection_failed', [503, 14]],
      ]
      for (const [script, expected, [http, grpc]] of rows) {
        server.script(script)
        const { result, status, answer } = await send(fresh())
        t.equal(result, expected, `${what}: ${expected}`)
        t.equal(status, client === 'grpc' ? grpc : http, `${what}: ${expected}`)
        const isToldHow = answer?.headers.has('www-authenticate')
        t.equal(isToldHow, http === 401, `${what}: ${expected}`)
      }
    }
  }
  const texts = world.auditLines().map((line) => JSON.stringify(line))
  t.notOk(
    texts.some((line) => /opaque-\d/.test(line)),
    'no token stands in a record',
  )
})

t.test('a server that is slow or gone refuses, leaves the known alone, and is asked again', async (t) => {
  await using server = await startAuthorizationServer({ script: active() })
  await using world = await startWorld(server, { timeoutMs: 300 })
  const send = (token: string) => world.send({ headers: bearer(token) })
  await eventually('a token that is known', async () => (await send('known')).result === 'served')
  server.script(() => {})
  const slow = await send('slow')
  t.match([slow.result, slow.status], ['introspection_failed', 503])
  t.equal((await send('known')).result, 'served')
  await eventually('the call was given up', () => server.open() === 0)
  server.script(active())
  await eventually('another that is known', async () => (await send('known-too')).result === 'served')
  server.script((_, __, request) => void request.socket.destroy())
  const results = new Set<string>()
  const calls = server.calls.length
  for (let i = 0; i < 12; i++) results.add((await send(`gone-${i}`)).result)
  t.same(results, new Set(['introspection_failed']))
  t.ok(server.calls.length - calls < 12, 'and it is not asked each time')
  t.equal((await send('known-too')).result, 'served')
  server.script(active())
  await eventually('it is asked again', async () => (await send('back')).result === 'served')
})

t.test(
  'JWTs of an issuer that alone can read them are asked about, and no others are shown to it',
  async (t) => {
    await using server = await startAuthorizationServer({ script: active() })
    await using world = await startWorld(server, { tokens: 'all' })
    const own = tokenOf()
    t.equal((await world.send({ headers: bearer(own) })).result, 'served', 'with a kid that only it knows')
    t.same(
      server.calls.map(({ form }) => form.get('token')),
      [own],
    )
    const foreign = tokenOf({ iss: 'https://elsewhere.example' })
    t.not((await world.send({ headers: bearer(foreign) })).result, 'served')
    t.equal(server.calls.length, 1)
  },
)
