import type { RequestListener } from 'node:http'
import t from 'tap'
import { startKeyServer } from '../harness/key-server.ts'
import { eventually } from '../harness/temp.ts'
import { apis, bearer, idp, signer, startCallerWorld, tokenOf } from './caller-world.ts'
import { createSigner, setOf } from './token/kit.ts'

const keys =
  (set: string): RequestListener =>
  (_, response) =>
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=1' }).end(set)
const away: RequestListener = (request) => void request.socket.destroy()

const issuerAt = (port: number, more: object) => ({
  issuers: [
    {
      issuer: idp,
      audience: 'models',
      jwks: { url: `http://127.0.0.1:${port}/keys` },
      allowPrivateAddresses: true,
      tenantClaim: 'tenant',
      cooldownSeconds: 1,
      ...more,
    },
  ],
})

t.test('tokens go on while the issuer is away, to a bound, and again when it is back', async (t) => {
  await using server = await startKeyServer()
  server.on('/keys', keys(setOf(signer)))
  await using world = await startCallerWorld(() => issuerAt(server.port, { staleSeconds: 3 }))
  const token = tokenOf()
  const send = () => world.send({ headers: bearer(token) })
  await eventually('the keys are there', async () => (await send()).result === 'served')

  server.on('/keys', away)
  const asked = server.asked.length
  // Told on the way to the bound, where the machine is not too busy to be seen in between.
  const seen = new Set<unknown>()
  await eventually('the bound', async () => {
    const { result, record } = await send()
    if (result === 'served') seen.add(record?.['keysStale'] ?? false)
    else seen.add(result)
    return result === 'token_keys_unavailable'
  })
  t.ok(server.asked.length > asked, 'it was asked')
  t.same(
    [...seen].filter((each) => ![false, true, 'token_keys_unavailable'].includes(each as string)),
    [],
    'nothing else came on the way',
  )
  for (const api of apis) {
    for (const client of ['http1', 'grpc'] as const) {
      // One that is remembered, and one that never came before.
      for (const each of [token, tokenOf({ jti: 'new' })]) {
        const { result, status, record, answer } = await world.send({ api, client, headers: bearer(each) })
        t.equal(result, 'token_keys_unavailable', `${api} ${client}`)
        t.equal(status, client === 'grpc' ? 14 : 503)
        t.equal(record?.['verdict'], 'error')
        t.equal(answer?.headers.get('www-authenticate'), undefined, 'another token would not help')
      }
    }
  }
  t.equal((await world.send({ as: 'plain' })).result, 'served', 'who needs no token is served')
  const { body } = await world.agent.probe('/readyz?verbose')
  t.match(body, /issuers/)

  // Back with another key: the old one is gone at once, the new one is there.
  const young = createSigner('P-256', 'idp-2')
  server.on('/keys', keys(setOf(young)))
  const next = tokenOf({}, { kid: 'idp-2' }, young)
  await eventually(
    'it is back',
    async () => (await world.send({ headers: bearer(next) })).result === 'served',
  )
  t.equal((await send()).result, 'token_key_unknown', 'a remembered token of a key that was taken away')
})

t.test('an agent that starts without its issuer has the keys that it kept', async (t) => {
  await using server = await startKeyServer()
  server.on('/keys', keys(setOf(signer)))
  await using world = await startCallerWorld(() =>
    issuerAt(server.port, { staleSeconds: 3600, persist: 'kept.json' }),
  )
  t.equal((await world.send({ headers: bearer(tokenOf()) })).result, 'served')
  server.on('/keys', away)
  world.agent.kill('SIGKILL')
  await world.agent.restart()
  await eventually(
    'Envoy has found the agent again, and a token is taken',
    async () => (await world.send({ headers: bearer(tokenOf()) })).result === 'served',
  )
  const stranger = createSigner('P-256', 'idp-1')
  const forged = await world.send({ headers: bearer(tokenOf({}, {}, stranger)) })
  t.equal(forged.result, 'token_signature_invalid', 'they are keys, and not a pass for everybody')
})
