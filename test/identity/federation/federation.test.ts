import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { spiffeBundleText } from '#identity/bundle/bundle.ts'
import type { TrustBundle } from '#identity/bundle/trust-bundle.ts'
import { createDevCa, type DevCa } from '#identity/dev-ca/dev-ca.ts'
import { type FederatedEndpoint, openFederation } from '#identity/federation/federation.ts'
import type { PollOptions } from '#identity/federation/poll.ts'
import { startBundleEndpoint } from '../../harness/bundle-endpoint.ts'
import type { Identity } from '../../harness/http.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { certificatesOf } from '../x509/kit.ts'

const endpointId = 'spiffe://other.test/control-plane/bundle-endpoint'
const caOf = (trustDomain = 'other.test') => createDevCa({ trustDomain })
const [ca, next] = [caOf(), caOf()]
const server = (issuer: DevCa, spiffeId = endpointId) => issuer.issue({ spiffeId, dnsNames: ['localhost'] })

function bundleOf(issuers: readonly DevCa[], more: Partial<TrustBundle> = {}): TrustBundle {
  const x509Authorities = certificatesOf(...issuers.map(({ bundlePem }) => bundlePem))
  return { trustDomain: 'other.test', x509Authorities, jwtAuthorities: [], ...more }
}
const textOf = (issuers: readonly DevCa[], more: Partial<TrustBundle> = {}) =>
  spiffeBundleText(bundleOf(issuers, more))

/** Polls that happen when the test says so. */
function steps() {
  const waiting: { readonly callback: () => void; readonly delayMs: number }[] = []
  return {
    schedule: (callback: () => void, delayMs: number): Disposable => {
      waiting.push({ callback, delayMs })
      return { [Symbol.dispose]: () => {} }
    },
    /** Waits until the last poll is done, and says when the next one is due. */
    settled: () => eventually('the poll is done', () => waiting.at(-1)?.delayMs),
    again: () => waiting.pop()?.callback(),
  }
}

async function scene(
  t: Test,
  options: {
    readonly identity?: Identity
    readonly profile?: FederatedEndpoint['profile']
    readonly bootstrap?: DevCa
    readonly endpointSpiffeId?: string
    readonly more?: Partial<PollOptions>
  } = {},
) {
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const bundle = join(folder.path, 'bootstrap.pem')
  writeFileSync(bundle, (options.bootstrap ?? ca).bundlePem)
  const endpoint = await startBundleEndpoint(options.identity ?? server(ca))
  t.teardown(() => endpoint[Symbol.asyncDispose]())
  endpoint.answers.set('/bundle', { body: textOf([ca]) })
  const profile = options.profile ?? 'https_spiffe'
  const host = profile === 'https_web' ? 'localhost' : '127.0.0.1'
  const { again, schedule, settled } = steps()
  let changes = 0
  const open = () => {
    const layer = openFederation(
      {
        'other.test': {
          url: `https://${host}:${endpoint.port}/bundle`,
          profile,
          ...(profile === 'https_spiffe' && {
            endpointSpiffeId: options.endpointSpiffeId ?? endpointId,
            bundle,
          }),
        },
      },
      { schedule, random: () => 0.5, webRoots: ca.bundlePem, ...options.more },
    )
    t.teardown(() => layer[Symbol.asyncDispose]())
    layer.subscribe(() => changes++)
    return layer
  }
  return { endpoint, open, again, settled, bundle, changes: () => changes }
}
const rootsOf = (layer: ReturnType<typeof openFederation>) =>
  layer
    .current()
    .get('other.test')
    ?.x509Authorities.map(({ sha256 }) => sha256)
const sha256s = (...issuers: readonly DevCa[]) =>
  bundleOf(issuers).x509Authorities.map(({ sha256 }) => sha256)

t.test('an endpoint is known by its SPIFFE ID, and gives the bundle', async (t) => {
  const { endpoint, open, settled } = await scene(t)
  endpoint.answers.set('/bundle', { body: textOf([ca, next]) })
  const layer = open()
  t.same(rootsOf(layer), sha256s(ca), 'the file is the first bundle')
  t.equal(await settled(), 300_000, 'asked again after five minutes')
  t.same(rootsOf(layer), sha256s(ca, next))
  t.equal(layer.problem(), undefined)
})

t.test('an endpoint is known by the CAs of the web and its host name', async (t) => {
  const { open, settled } = await scene(t, { profile: 'https_web' })
  const layer = open()
  t.equal(layer.current().size, 0)
  await settled()
  t.same(rootsOf(layer), sha256s(ca))
})

t.test('an endpoint that is not the one it should be is not even asked', async (t) => {
  const between = createDevCa({ trustDomain: 'other.test', maxPathLength: 1 }).intermediate()
  const id = endpointId
  const rows: [name: string, options: Parameters<typeof scene>[1], why: RegExp][] = [
    [
      'another SPIFFE ID',
      { identity: server(ca, 'spiffe://other.test/app') },
      /the server is spiffe:\/\/other.test\/app, not/,
    ],
    [
      'another trust domain',
      { identity: server(ca, 'spiffe://third.test/a') },
      /the server is spiffe:\/\/third.test/,
    ],
    ['a root that is not in the bundle', { identity: server(next) }, /its issuer is not known/],
    [
      'an intermediate whose root is not in the bundle',
      { identity: between.issue({ spiffeId: id }) },
      /the issuer of its issuer is not known/,
    ],
    [
      'a certificate without SPIFFE ID',
      { identity: ca.issue({ spiffeId: id, dnsNames: ['localhost'], wrong: { uris: [] } }) },
      /0 URI SANs/,
    ],
    [
      'two SPIFFE IDs',
      { identity: ca.issue({ spiffeId: id, wrong: { uris: [id, 'spiffe://other.test/b'] } }) },
      /2 URI SANs/,
    ],
    [
      'expired',
      { identity: ca.issue({ spiffeId: id, wrong: { notBeforeMs: Date.now() - 7_200_000 } }) },
      /not valid at this time/,
    ],
    ['a CA', { identity: ca.issue({ spiffeId: id, wrong: { isCa: true } }) }, /a CA certificate/],
    [
      'by the web: an unknown CA',
      { profile: 'https_web', identity: server(next) },
      /unable to verify|self-signed|issuer certificate/,
    ],
    [
      'by the web: another host',
      { profile: 'https_web', identity: ca.issue({ spiffeId: id, dnsNames: ['a.test'] }) },
      /does not match certificate's altnames/,
    ],
  ]
  for (const [name, options, why] of rows) {
    const { endpoint, open, settled } = await scene(t, options)
    const layer = open()
    await settled()
    t.match(layer.problem(), why, name)
    t.same(endpoint.asked, [], `${name}: nothing was asked`)
  }
})

t.test('an endpoint with an intermediate of its own is followed to the root', async (t) => {
  const root = createDevCa({ trustDomain: 'other.test', maxPathLength: 1 })
  const identity = root.intermediate().issue({ spiffeId: endpointId })
  const { open, settled, endpoint } = await scene(t, { bootstrap: root, identity })
  endpoint.answers.set('/bundle', { body: textOf([root, next]) })
  const layer = open()
  await settled()
  t.equal(layer.problem(), undefined)
  t.same(rootsOf(layer), sha256s(root, next))
})

t.test('roots are rotated through the endpoint itself', async (t) => {
  const { endpoint, open, settled, again } = await scene(t)
  const layer = open()
  await settled()
  endpoint.answers.set('/bundle', { body: textOf([ca, next], { sequence: 2n }) })
  again()
  await settled()
  t.same(rootsOf(layer), sha256s(ca, next))
  endpoint.setIdentity(server(next))
  endpoint.answers.set('/bundle', { body: textOf([next], { sequence: 3n }) })
  again()
  await settled()
  t.same(rootsOf(layer), sha256s(next))
  endpoint.setIdentity(server(ca))
  again()
  await settled()
  t.match(layer.problem(), /its issuer is not known/, 'the root that went is gone for the endpoint too')
  t.same(rootsOf(layer), sha256s(next))
})

t.test('a file that a person changes is the newest bundle again', async (t) => {
  const { endpoint, open, settled, again, bundle } = await scene(t)
  const layer = open()
  await settled()
  endpoint.setIdentity(server(next))
  again()
  await settled()
  t.match(layer.problem(), /its issuer is not known/)
  writeFileSync(bundle, next.bundlePem)
  endpoint.answers.set('/bundle', { body: textOf([next]) })
  again()
  await settled()
  t.equal(layer.problem(), undefined)
  t.same(rootsOf(layer), sha256s(next))
})

t.test('an endpoint of another trust domain is known by the bundle of that one', async (t) => {
  const third = caOf('third.test')
  const id = 'spiffe://third.test/endpoint'
  let known = bundleOf([next])
  const { open, settled, again } = await scene(t, {
    identity: server(third, id),
    endpointSpiffeId: id,
    bootstrap: third,
    more: { bundleFor: (name) => (name === 'third.test' ? known : undefined) },
  })
  const layer = open()
  await settled()
  t.match(layer.problem(), /its issuer is not known/, 'what is known of it elsewhere is newer than the file')
  t.equal(layer.current().size, 0, 'its own bundle is nobody else’s')
  known = bundleOf([third])
  again()
  await settled()
  t.same(rootsOf(layer), sha256s(ca))
})

t.test('whatever the endpoint says, the last good bundle stays', async (t) => {
  const { endpoint, open, settled, again, changes } = await scene(t)
  endpoint.answers.set('/bundle', { body: textOf([ca, next], { sequence: 5n }) })
  const layer = open()
  await settled()
  const before = changes()
  const rows: [name: string, answer: Parameters<typeof endpoint.answers.set>[1], why: RegExp][] = [
    ['not found', { status: 404 }, /answered 404/],
    ['an error', { status: 500, body: textOf([next]) }, /answered 500/],
    ['no content', { status: 204 }, /answered 204/],
    ['nothing', {}, /not JSON/],
    ['a page', { body: '<html>' }, /not JSON/],
    ['a bundle that is none', { body: '{"keys":[{"use":"jwt-svid","kty":"EC"}]}' }, /key 0/],
    ['no UTF-8', { body: Buffer.from([0x7b, 0xff]) }, /not UTF-8/],
    ['two megabytes', { body: ' '.repeat(2 << 20) }, /more than 1048576 bytes/],
    ['half of it', { headers: { 'content-length': '10000' }, body: '{', isCutOff: true }, /cut off|aborted/],
    ['an older one', { body: textOf([next], { sequence: 4n }) }, /sequence 4 after one of 5/],
    ['a redirect to nowhere', { status: 302 }, /answered 302/],
    [
      'a redirect to plain text',
      { status: 302, headers: { location: 'http://127.0.0.1/' } },
      /is http: and not https:/,
    ],
    [
      'a redirect with user info',
      { status: 302, headers: { location: `https://a:b@127.0.0.1:${endpoint.port}/bundle` } },
      /user info/,
    ],
    ['a redirect to what is no URL', { status: 302, headers: { location: 'https://[' } }, /no URL/],
    ['redirects without end', { status: 302, headers: { location: '/bundle' } }, /more than 3 redirects/],
  ]
  for (const [name, answer, why] of rows) {
    endpoint.answers.set('/bundle', answer)
    again()
    t.equal(await settled(), 300_000, `${name}: asked again when it is due, no sooner`)
    t.match(layer.problem(), why, name)
    t.match(layer.problem(), /^other.test: https:\/\/127.0.0.1:\d+\/bundle: /, name)
    t.same(rootsOf(layer), sha256s(ca, next), name)
  }
  t.equal(changes(), before, 'nobody was told of a change')
  endpoint.answers.set('/bundle', { body: '{"spiffe_sequence":6,"keys":[]}' })
  again()
  await settled()
  t.same(rootsOf(layer), [], 'a bundle without keys counts')
})

t.test('a redirect leads to who has the same SPIFFE ID only, and is forgotten', async (t) => {
  const { endpoint, open, settled, again } = await scene(t)
  const elsewhere = await startBundleEndpoint(server(ca))
  t.teardown(() => elsewhere[Symbol.asyncDispose]())
  elsewhere.answers.set('/moved', { body: textOf([ca, next]) })
  const location = `https://127.0.0.1:${elsewhere.port}/moved`
  endpoint.answers.set('/bundle', { status: 301, headers: { location } })
  const layer = open()
  await settled()
  t.same(rootsOf(layer), sha256s(ca, next))
  endpoint.answers.set('/bundle', { body: textOf([ca]) })
  again()
  await settled()
  t.same(rootsOf(layer), sha256s(ca), 'the endpoint itself is asked again')
  t.equal(elsewhere.asked.length, 1)
  endpoint.answers.set('/bundle', { status: 307, headers: { location } })
  elsewhere.setIdentity(server(ca, 'spiffe://other.test/app'))
  again()
  await settled()
  t.match(layer.problem(), /the server is spiffe:\/\/other.test\/app/)
  t.equal(elsewhere.asked.length, 1)
})

t.test('the endpoint is asked as often as it says, within bounds', async (t) => {
  for (const [refreshHintSeconds, delayMs] of [
    [0, 30_000],
    [1, 30_000],
    [120, 120_000],
    [2_419_200, 3_600_000],
  ] as const) {
    const { endpoint, open, settled } = await scene(t)
    endpoint.answers.set('/bundle', { body: textOf([ca], { refreshHintSeconds }) })
    open()
    t.equal(await settled(), delayMs, `${refreshHintSeconds} s`)
  }
})

t.test('one that never answered is asked again soon, then less often', async (t) => {
  const { endpoint, open, settled, again } = await scene(t)
  endpoint.answers.clear()
  open()
  const delays: unknown[] = []
  for (let i = 0; i < 9; i++) {
    delays.push(await settled())
    again()
  }
  t.same(
    delays,
    [5, 10, 20, 40, 80, 160, 300, 300, 300].map((seconds) => seconds * 1000),
  )
  await settled()
})

t.test('who closes while an endpoint is silent does not wait for it', async (t) => {
  const { endpoint, open } = await scene(t)
  endpoint.answers.set('/bundle', { isSilent: true })
  const layer = open()
  await eventually('it was asked', () => endpoint.asked.length === 1)
  await layer[Symbol.asyncDispose]()
  t.pass()
})

t.test('a URL with a password in it is refused, and not repeated', async (t) => {
  for (const url of ['https://u:secret@other.test/', 'http://other.test/', 'nonsense']) {
    try {
      openFederation({ 'other.test': { url, profile: 'https_web' } })
      t.fail(url)
    } catch (thrown) {
      t.match(thrown, { code: 'federation_url_invalid' })
      t.notMatch(String(thrown), /secret/)
    }
  }
})
