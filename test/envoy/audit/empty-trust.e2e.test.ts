import t from 'tap'
import { auditEnvoyConfig } from '#envoy/audit/audit.ts'
import { typed } from '#envoy/bootstrap/types.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { startSdsEnvoy } from '../../harness/sds-envoy.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { knock } from '../../harness/tls-client.ts'
import { certificateSecret, plainTrustSecret, startScriptedSds, trustSecret } from '../sds/scripted-sds.ts'

const ca = createDevCa({ trustDomain: 'example.org' })
const stranger = createDevCa({ trustDomain: 'other.org' }).issue({ spiffeId: 'spiffe://other.org/a' })

/** What makes a listener one of concern; that nobody answers is no matter here. */
const asksAgent = typed('envoy.filters.http.ext_authz', 'extAuthz', {
  transport_api_version: 'V3',
  grpc_service: { envoy_grpc: { cluster_name: 'sds' }, timeout: '1s' },
})

t.test('a validation context that was delivered empty lets everybody in, and is found', async (t) => {
  using folder = temporaryFolder()
  await using sds = await startScriptedSds(folder.path, 'GRPC')
  await using started = await startSdsEnvoy({ address: sds.address, isReady: false, filters: [asksAgent] })
  const rules = async () => {
    const dump = JSON.parse(await started.envoy.admin('/config_dump?include_eds'))
    return auditEnvoyConfig(dump, { agent: sds.address })
      .map(({ id }) => id)
      .filter((id) => id.startsWith('tls_no_') || id === 'tls_validation_unseen')
  }
  const isLetIn = async () =>
    (await knock({ port: started.port, ca: ca.bundlePem, identity: stranger })).kind === 'answered'
  await sds.say('default', [certificateSecret(ca.issue({ spiffeId: 'spiffe://example.org/envoy' }))])
  await sds.say('ALL', [trustSecret([['example.org', ca.bundlePem]])])
  await eventually('it listens', async () => {
    const mine = ca.issue({ spiffeId: 'spiffe://example.org/a' })
    return (await knock({ port: started.port, ca: ca.bundlePem, identity: mine })).kind === 'answered'
  })
  t.equal(await isLetIn(), false)
  t.same(await rules(), [])
  t.equal(await sds.say('ALL', [plainTrustSecret()]), 'accepted')
  await eventually('a stranger is let in', isLetIn)
  t.same(await rules(), ['tls_no_validation'])
})
