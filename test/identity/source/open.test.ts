import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { spiffeBundleText } from '#identity/bundle/bundle.ts'
import type { TrustBundle } from '#identity/bundle/trust-bundle.ts'
import { createDevCa, type DevCa } from '#identity/dev-ca/dev-ca.ts'
import { layBundles } from '#identity/source/layered.ts'
import { openIdentitySource } from '#identity/source/open.ts'
import { startBundleEndpoint } from '../../harness/bundle-endpoint.ts'
import { scriptedSource } from '../../harness/identity-source.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { trustBundleMapText } from '../bundle/map-text.ts'
import { certificatesOf } from '../x509/kit.ts'

const caOf = (trustDomain: string) => createDevCa({ trustDomain })
const own = caOf('example.org')
const spiffeId = 'spiffe://example.org/ns/acme/sa/app'
const log = { info: () => {}, warn: () => {}, error: () => {} }

function bundleOf(ca: DevCa, sequence?: bigint): TrustBundle {
  const x509Authorities = certificatesOf(ca.bundlePem)
  const { trustDomain } = ca
  return { trustDomain, x509Authorities, jwtAuthorities: [], ...(sequence !== undefined && { sequence }) }
}

function place(t: Test) {
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const at = (name: string) => join(folder.path, name)
  own.write(at('app'), own.issue({ spiffeId }))
  writeFileSync(at('ca.pem'), own.bundlePem)
  const source = {
    type: 'files' as const,
    certificate: at('app.pem'),
    privateKey: at('app.key'),
    trustBundles: { 'example.org': at('ca.pem') },
  }
  return { at, source }
}

async function open(t: Test, config: Parameters<typeof openIdentitySource>[0]) {
  const source = await openIdentitySource(config, { log })
  if (source === undefined) throw new Error('no source')
  t.teardown(() => source[Symbol.asyncDispose]())
  const roots = (name: string) =>
    source
      .current()
      ?.bundles.get(name)
      ?.x509Authorities.map(({ sha256 }) => sha256)
  return { source, roots }
}
const rootOf = (ca: DevCa) => bundleOf(ca).x509Authorities.map(({ sha256 }) => sha256)

t.test('without a source nothing is opened', async (t) => {
  t.equal(await openIdentitySource({}, { log }), undefined)
})

t.test('a map brings other trust domains, never our own', async (t) => {
  const { at, source: files } = place(t)
  const [other, third, impostor] = [caOf('other.test'), caOf('third.test'), caOf('example.org')]
  writeFileSync(at('map.json'), trustBundleMapText(bundleOf(other), bundleOf(impostor)))
  const { source, roots } = await open(t, { source: files, trustBundleMap: at('map.json') })
  t.same(roots('other.test'), rootOf(other))
  t.same(roots('example.org'), rootOf(own), 'what our own identity stands on stays')
  const before = source.current()?.generation ?? 0
  writeFileSync(at('map.json'), trustBundleMapText(bundleOf(third)))
  await eventually('the map is read again', () => roots('third.test') !== undefined)
  t.equal(roots('other.test'), undefined, 'what is not in it is gone')
  t.ok((source.current()?.generation ?? 0) > before)
  writeFileSync(at('map.json'), '{"trust_domains":{')
  await eventually('it is found out', () => source.problem()?.includes('map.json: not JSON'))
  t.same(roots('third.test'), rootOf(third), 'the last good one stays')
})

t.test('an older bundle in a map is refused', async (t) => {
  const { at, source: files } = place(t)
  const [new7, old6] = [caOf('other.test'), caOf('other.test')]
  writeFileSync(at('map.json'), trustBundleMapText(bundleOf(new7, 7n)))
  const { source, roots } = await open(t, { source: files, trustBundleMap: at('map.json') })
  writeFileSync(at('map.json'), trustBundleMapText(bundleOf(old6, 6n)))
  await eventually('it is refused', () => source.problem()?.includes('sequence 6 after one of 7'))
  t.same(roots('other.test'), rootOf(new7))
})

t.test('federation brings other trust domains, and goes behind the map', async (t) => {
  const { at, source: files } = place(t)
  const [other, fetched] = [caOf('other.test'), caOf('other.test')]
  const endpointSpiffeId = 'spiffe://other.test/endpoint'
  const endpoint = await startBundleEndpoint(other.issue({ spiffeId: endpointSpiffeId }))
  t.teardown(() => endpoint[Symbol.asyncDispose]())
  endpoint.answers.set('/', { body: spiffeBundleText(bundleOf(fetched)) })
  writeFileSync(at('other.pem'), other.bundlePem)
  writeFileSync(at('map.json'), trustBundleMapText())
  const url = `https://127.0.0.1:${endpoint.port}/`
  const { source, roots } = await open(t, {
    source: files,
    trustBundleMap: at('map.json'),
    federation: {
      'other.test': { url, profile: 'https_spiffe', endpointSpiffeId, bundle: at('other.pem') },
    },
  })
  await eventually('it was fetched', () => roots('other.test')?.[0] === rootOf(fetched)[0])
  t.equal(source.problem(), undefined)
  writeFileSync(at('map.json'), trustBundleMapText(bundleOf(other)))
  await eventually('the map goes first', () => roots('other.test')?.[0] === rootOf(other)[0])
  t.same(roots('example.org'), rootOf(own))
  t.match(source.current()?.svids, [{ id: { text: spiffeId } }])
})

t.test('of our own trust domain only the source speaks, also where it says nothing', async (t) => {
  const impostor = bundleOf(caOf('example.org'))
  const { source: files } = place(t)
  const { source } = await open(t, { source: files })
  const known = source.current()
  if (known === undefined) return t.fail('no state')
  const nothing = { [Symbol.dispose]: () => {} }
  const base = scriptedSource({ ...known, bundles: new Map() })
  const layered = layBundles(base, [
    {
      current: () => new Map([['example.org', impostor]]),
      subscribe: () => nothing,
      problem: () => undefined,
      [Symbol.asyncDispose]: async () => {},
    },
  ])
  t.teardown(() => layered[Symbol.asyncDispose]())
  t.equal(layered.current()?.bundles.size, 0)
  base.say({ svids: [], bundles: new Map() })
  t.same(layered.current()?.svids, [], 'our identity is taken back')
  t.equal(layered.current()?.bundles.size, 0)
})
