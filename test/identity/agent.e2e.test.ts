import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { startLoad } from '../envoy/sds/steady-load.ts'
import { http } from '../harness/http.ts'
import { askedPath, fileIn, startIdentityWorld } from '../harness/identity-world.ts'
import { eventually } from '../harness/temp.ts'
import { knock } from '../harness/tls-client.ts'

const trustDomain = 'example.org'
const envoyId = `spiffe://${trustDomain}/ns/models/sa/server`
const clientId = `spiffe://${trustDomain}/ns/acme/sa/app`
const serialOf = ({ certificatePem }: { readonly certificatePem: string }) =>
  new X509Certificate(certificatePem).serialNumber.toLowerCase()
/** Requests of every client between two changes. */
const between = 3

t.test('dev: the agent goes and comes back, and Envoy serves TLS all the time', async (t) => {
  await using world = await startIdentityWorld({
    identity: {
      trustDomains: [trustDomain],
      source: { type: 'dev', dir: 'ca', spiffeId: envoyId, dnsNames: ['localhost'] },
    },
  })
  const { openDevCa } = await import('#identity/dev-ca/dev-ca.ts')
  const ca = openDevCa(`${world.folder}/ca`, { trustDomain })
  const tls = { ca: ca.bundlePem, identity: ca.issue({ spiffeId: clientId }) }
  const ask = async () => (await http({ port: world.port, path: askedPath, tls })).status
  t.equal(await ask(), 200)
  const shown = async () => {
    const seen = await knock({ port: world.port, ...tls })
    return seen.kind === 'answered' ? seen.serial : seen.why
  }
  const first = await shown()
  t.match(first, /^[0-9a-f]{32}$/)
  const ends = await world.metric('sluice_identity_expires_timestamp_seconds')
  t.ok(ends !== undefined && ends > Date.now() / 1000, `it ends at ${ends}`)

  world.agent.kill('SIGKILL')
  await eventually('nobody decides', async () => (await ask()) >= 500)
  t.equal(await shown(), first, 'Envoy keeps the certificate that it has')
  await world.agent.restart()
  await eventually('requests are served again', async () => (await ask()) === 200)
  await eventually('Envoy has the certificate of the new process', async () => (await shown()) !== first)
  t.equal(await ask(), 200)
  t.equal(fileIn(world, 'ca/ca.pem'), ca.bundlePem, 'by the same CA')
})
