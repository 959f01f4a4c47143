import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { createDevCa, type DevCa, type Issued } from '#identity/dev-ca/dev-ca.ts'
import type { IdentityState } from '#identity/source/source.ts'
import { bundle, bundles, pair, scriptedSource } from '../../harness/identity-source.ts'
import { type SdsForm, startSds, startSdsEnvoy } from '../../harness/sds-envoy.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { knock } from '../../harness/tls-client.ts'
import { type Clients, startLoad } from './steady-load.ts'

const trustDomain = 'example.org'
const envoyId = 'spiffe://example.org/envoy'
const clientId = 'spiffe://example.org/client'
const newCa = (): DevCa => createDevCa({ trustDomain })
const serialOf = ({ certificatePem }: Issued) =>
  new X509Certificate(certificatePem).serialNumber.toLowerCase()

/** Requests of every client between two changes. */
const between = 3

for (const form of ['GRPC', 'DELTA_GRPC'] satisfies SdsForm[]) {
  t.test(
    `${form}: twenty certificates and three CAs one after the other, and no request fails`,
    { timeout: 240_000 },
    async (t) => {
      using folder = temporaryFolder()
      let active = newCa()
      let trusted: readonly DevCa[] = [active]
      let issued = active.issue({ spiffeId: envoyId })
      let clients: Clients = { identity: active.issue({ spiffeId: clientId }), trust: active.bundlePem }
      const state = (): Omit<IdentityState, 'generation'> => ({
        svids: [pair(issued)],
        bundles: bundles(bundle(trustDomain, ...trusted.map(({ bundlePem }) => bundlePem))),
      })
      const source = scriptedSource(state())
      await using sds = await startSds({ folder: folder.path, source })
      await using envoy = await startSdsEnvoy({ address: sds.address, form })
      const { port } = envoy
      await using load = startLoad(port, () => clients)
      await load.served(between)

      let rotations = 0
      /** A new certificate, seen by whoever connects from then on. */
      const rotate = async () => {
        rotations++
        issued = active.issue({ spiffeId: envoyId })
        source.say(state())
        await eventually(`certificate ${rotations} is in use`, async () => {
          const seen = await knock({ port, ca: clients.trust, identity: clients.identity })
          return seen.kind === 'answered' && seen.serial === serialOf(issued)
        })
        await load.served(between)
      }
      /** Published, then used, then the old one taken away: each when the step before has reached everybody. */
      const replaceCa = async () => {
        const [old, next] = [active, newCa()]
        trusted = [old, next]
        clients = { ...clients, trust: trusted.map(({ bundlePem }) => bundlePem).join('') }
        source.say(state())
        const firstOfNext = next.issue({ spiffeId: clientId })
        await eventually('the next CA is trusted', async () => {
          const seen = await knock({ port, ca: clients.trust, identity: firstOfNext })
          return seen.kind === 'answered'
        })
        await load.served(between)

        active = next
        await rotate()
        const lastOfOld = clients.identity
        clients = { ...clients, identity: firstOfNext }
        await load.served(between)

        trusted = [next]
        source.say(state())
        await eventually('the old CA is not trusted', async () => {
          const seen = await knock({ port, ca: clients.trust, identity: lastOfOld })
          return seen.kind === 'refused'
        })
        clients = { ...clients, trust: next.bundlePem }
        await load.served(between)
      }

      while (rotations < 20) {
        for (let i = 0; i < 5 && rotations < 20; i++) await rotate()
        if (rotations < 20) await replaceCa()
      }
      t.equal(rotations, 20)
      const total = load.total()
      await load[Symbol.asyncDispose]()
      t.same(load.failures, [], `of ${total} requests on five kinds of connection`)
      t.ok(total > 20 * between * 5)
      const { counters } = sds.discovery
      await eventually('all is acknowledged', () => counters.accepted === counters.sent)
      t.equal(counters.refused, 0)
      const stats = await envoy.envoy.stats()
      t.equal(stats.get('sds.default.update_rejected'), 0)
      t.ok((stats.get('sds.default.update_success') ?? 0) >= 20)
      t.equal(sds.discovery.problem(), undefined)
    },
  )
}
