import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startWorkloadApi } from '#identity/workload-api/workload-api.ts'
import { spireAgentApi } from '../../harness/spire.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { derOf } from './messages.ts'

const app = 'spiffe://example.org/ns/acme/sa/app'
const second = 'spiffe://example.org/ns/acme/sa/second'

/** Our server, and SPIRE's client in Go in front of it. */
async function scene(t: Test, socketMode: 0o600 | 0o660 = 0o600) {
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const socketPath = join(folder.path, 'api.sock')
  const dir = join(folder.path, 'ca')
  const api = await startWorkloadApi({
    ...{ dir, trustDomain: 'example.org', socketMode, socket: `unix://${socketPath}` },
    identities: [{ spiffeId: app }, { spiffeId: second, hint: 'internal' }],
  })
  t.teardown(() => api[Symbol.asyncDispose]())
  return { api, dir, call: (...args: readonly string[]) => spireAgentApi(socketPath, ...args) }
}

t.test("SPIRE's client is given X.509 identities that it accepts", async (t) => {
  const { call, dir } = await scene(t)
  const printed = await call('fetch', 'x509')
  t.match(printed, /Received 2 svids/)
  for (const id of [app, second]) t.match(printed, id)
  t.match(printed, /Hint:\s+internal/)
  const { svids } = JSON.parse(await call('fetch', 'x509', '-output', 'json'))
  t.equal(svids.length, 2)
  const bundle = derOf(readFileSync(join(dir, 'ca.pem'), 'utf8'))
  t.equal(svids[0].bundle, bundle.toString('base64'))
})

t.test("SPIRE's client is given tokens, and told which are valid", async (t) => {
  const { call } = await scene(t, 0o660)
  const printed = await call('fetch', 'jwt', '-audience', 'models,others', '-spiffeID', second)
  t.match(printed, new RegExp(`token\\(${second}\\)`))
  t.match(printed, /bundle\(spiffe:\/\/example.org\)/)
  const [answer] = JSON.parse(await call('fetch', 'jwt', '-audience', 'models', '-output', 'json'))
  const [{ svid, spiffe_id: spiffeId }] = answer.svids
  t.equal(spiffeId, app)
  const valid = await call('validate', 'jwt', '-audience', 'models', '-svid', svid)
  t.match(valid, /SVID is valid/)
  t.match(valid, app)
  await t.rejects(call('validate', 'jwt', '-audience', 'others', '-svid', svid), {
    message: /SVID is not valid: the token: another audience/,
  })
})

t.test("SPIRE's client is told who is nobody", async (t) => {
  const { api, call } = await scene(t)
  api.replaceIdentities([])
  await t.rejects(call('fetch', 'x509'), { message: /PermissionDenied/ })
  await t.rejects(call('fetch', 'jwt', '-audience', 'models'), { message: /PermissionDenied/ })
})
