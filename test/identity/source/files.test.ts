import { createPrivateKey } from 'node:crypto'
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { spiffeBundleText } from '#identity/bundle/bundle.ts'
import { createDevCa, type DevCa, type Issued } from '#identity/dev-ca/dev-ca.ts'
import { type FilesConfig, openFilesSource } from '#identity/source/files.ts'
import type { IdentitySource } from '#identity/source/source.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { certificatesOf } from '../x509/kit.ts'

const spiffeId = 'spiffe://example.org/ns/acme/sa/app'
const clock = manualClock()
const [ca, later] = [
  createDevCa({ trustDomain: 'example.org', clock }),
  createDevCa({ trustDomain: 'example.org', clock }),
]

interface Place extends FilesConfig {
  readonly folder: string
  write(issued: Partial<Issued>): void
  trust(text: string): void
}

function place(t: Test, bundle = 'ca.pem'): Place {
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const at = (name: string) => join(folder.path, name)
  return {
    folder: folder.path,
    certificate: at('tls.crt'),
    privateKey: at('tls.key'),
    trustBundles: { 'example.org': at(bundle) },
    write: ({ certificatePem, privateKeyPem }) => {
      if (certificatePem !== undefined) writeFileSync(at('tls.crt'), certificatePem)
      if (privateKeyPem !== undefined) writeFileSync(at('tls.key'), privateKeyPem)
    },
    trust: (text) => writeFileSync(at(bundle), text),
  }
}

async function open(t: Test, files: FilesConfig, own = clock): Promise<IdentitySource> {
  const source = await openFilesSource({ ...files, clock: own, intervalMs: 5 })
  t.teardown(() => source[Symbol.asyncDispose]())
  return source
}

const serialOf = (source: IdentitySource) => source.current()?.svids[0]?.chain[0]?.serial
const serial = ({ certificatePem }: Issued) => certificatesOf(certificatePem)[0]?.serial
const full = (t: Test, issuer: DevCa = ca) => {
  const files = place(t)
  const issued = issuer.issue({ spiffeId })
  files.write(issued)
  files.trust(issuer.bundlePem)
  return { files, issued }
}

t.test('a pair and its bundle are an identity', async (t) => {
  const { files, issued } = full(t)
  const source = await open(t, files)
  t.equal(serialOf(source), serial(issued))
  t.match(source.current(), { generation: 1, svids: [{ id: { text: spiffeId } }] })
  t.same([...(source.current()?.bundles.keys() ?? [])], ['example.org'])
  t.equal(source.problem(), undefined)
})

t.test('a new pair is used once both halves are there, and never one of each', async (t) => {
  const { files, issued } = full(t)
  const source = await open(t, files)
  const seen: (string | undefined)[] = []
  using _told = source.subscribe((state) => seen.push(state.svids[0]?.chain[0]?.serial))
  const next = ca.issue({ spiffeId })
  files.write({ certificatePem: next.certificatePem })
  await eventually('the half is found out', () => source.problem()?.includes('does not belong'))
  t.equal(serialOf(source), serial(issued))
  files.write({ privateKeyPem: next.privateKeyPem })
  await eventually('the whole is used', () => source.problem() === undefined)
  t.equal(serialOf(source), serial(next))
  t.same(seen, [serial(issued), serial(next)])
  t.equal(source.current()?.generation, 1, 'the bundles are the same')
})

t.test('what cannot be used leaves the last good pair, and says why', async (t) => {
  const { files, issued } = full(t)
  const source = await open(t, files)
  const stranger = createDevCa({ trustDomain: 'example.org', clock }).issue({ spiffeId })
  const rows: [name: string, change: () => void, why: RegExp][] = [
    ['an empty certificate', () => files.write({ certificatePem: '' }), /tls.crt: no PEM/],
    [
      'half of one',
      () => files.write({ certificatePem: issued.certificatePem.slice(0, 300) }),
      /half written/,
    ],
    [
      'a certificate without one',
      () => files.write({ certificatePem: issued.privateKeyPem }),
      /no CERTIFICATE/,
    ],
    ['no certificate file', () => rmSync(files.certificate), /ENOENT.*tls.crt/],
    ['a pair of a stranger', () => files.write(stranger), /its issuer is not known/],
    ['a CA', () => files.write({ ...issued, certificatePem: ca.bundlePem }), /a CA certificate/],
    ['an empty key', () => files.write({ ...issued, privateKeyPem: '' }), /tls.key: no PEM/],
    ['a key file without one', () => files.write({ privateKeyPem: issued.certificatePem }), /no PRIVATE KEY/],
    [
      'a key that is none',
      () =>
        files.write({ privateKeyPem: '-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n' }),
      /the private key in it is none/,
    ],
    [
      'a key that is encrypted',
      () =>
        files.write({
          privateKeyPem:
            '-----BEGIN ENCRYPTED PRIVATE KEY-----\naGVsbG8=\n-----END ENCRYPTED PRIVATE KEY-----\n',
        }),
      /no private key that can be read/,
    ],
    [
      'two keys',
      () => files.write({ privateKeyPem: issued.privateKeyPem.repeat(2) }),
      /more than one private key/,
    ],
  ]
  for (const [name, change, why] of rows) {
    change()
    await eventually(name, () => why.test(source.problem() ?? ''))
    t.equal(serialOf(source), serial(issued), name)
    t.notMatch(source.problem(), /aGVsbG8|BEGIN/, 'no part of a key is told')
  }
  files.write(issued)
  await eventually('all is well again', () => source.problem() === undefined)
})

t.test('nothing is known until there is a pair, and then it is', async (t) => {
  const files = place(t)
  const source = await open(t, files)
  t.equal(source.current(), undefined)
  t.match(source.problem(), /example.org: .*ENOENT/)
  files.trust(ca.bundlePem)
  files.write(ca.issue({ spiffeId }))
  await eventually('it is known', () => source.current() !== undefined && source.problem() === undefined)
})

t.test('a bundle counts at once, also where it takes our own certificate back', async (t) => {
  const { files, issued } = full(t)
  const source = await open(t, files)
  files.trust(later.bundlePem)
  await eventually('the new root is trusted', () => source.current()?.generation === 2)
  t.equal(serialOf(source), serial(issued), 'there is no other pair')
  t.match(source.problem(), /its issuer is not known/)
  const next = later.issue({ spiffeId })
  files.write(next)
  await eventually('the new pair is used', () => serialOf(source) === serial(next))
})

t.test('a bundle that cannot be read leaves the last good one', async (t) => {
  const { files } = full(t)
  const source = await open(t, files)
  for (const text of ['', 'hello', ca.bundlePem.slice(0, 100)]) {
    files.trust(text)
    await eventually('it is found out', () => source.problem()?.startsWith('example.org: '))
    t.equal(source.current()?.bundles.get('example.org')?.x509Authorities.length, 1)
    t.equal(source.current()?.generation, 1)
    files.trust(ca.bundlePem)
    await eventually('all is well again', () => source.problem() === undefined)
  }
})

t.test('a SPIFFE bundle may come as a file, and an older one is refused', async (t) => {
  const files = place(t, 'bundle.json')
  const write = (issuer: DevCa, sequence: bigint) =>
    files.trust(
      spiffeBundleText({
        trustDomain: 'example.org',
        x509Authorities: certificatesOf(issuer.bundlePem),
        jwtAuthorities: [],
        sequence,
      }),
    )
  write(ca, 5n)
  files.write(ca.issue({ spiffeId }))
  const source = await open(t, files)
  t.equal(source.current()?.bundles.get('example.org')?.sequence, 5n)
  write(later, 4n)
  await eventually('the older one is refused', () => source.problem()?.includes('sequence 4 after one of 5'))
  t.equal(source.current()?.generation, 1)
  files.trust('{"spiffe_sequence":6,"keys":[]}')
  await eventually('no keys are trusted', () => source.current()?.generation === 2)
  t.same(source.current()?.bundles.get('example.org')?.x509Authorities, [])
})

t.test('the links that Kubernetes swaps are followed', async (t) => {
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const at = (...names: string[]) => join(folder.path, ...names)
  const pairs = [ca.issue({ spiffeId }), ca.issue({ spiffeId })] as const
  for (const [version, { certificatePem, privateKeyPem }] of pairs.entries()) {
    mkdirSync(at(`v${version}`))
    writeFileSync(at(`v${version}`, 'tls.crt'), certificatePem)
    writeFileSync(at(`v${version}`, 'tls.key'), privateKeyPem)
    writeFileSync(at(`v${version}`, 'ca.crt'), ca.bundlePem)
  }
  symlinkSync('v0', at('..data'))
  for (const name of ['tls.crt', 'tls.key', 'ca.crt']) symlinkSync(join('..data', name), at(name))
  const source = await open(t, {
    certificate: at('tls.crt'),
    privateKey: at('tls.key'),
    trustBundles: { 'example.org': at('ca.crt') },
  })
  t.equal(serialOf(source), serial(pairs[0]))
  symlinkSync('v1', at('..next'))
  renameSync(at('..next'), at('..data'))
  await eventually('the new pair is used', () => serialOf(source) === serial(pairs[1]))
  t.equal(source.problem(), undefined)
})

t.test('an identity that nobody renews is a problem before it ends', async (t) => {
  const own = manualClock()
  const issuer = createDevCa({ trustDomain: 'example.org', clock: own })
  const files = place(t)
  files.write(issuer.issue({ spiffeId, ttlSeconds: 1000 }))
  files.trust(issuer.bundlePem)
  const source = await open(t, files, own)
  own.advanceMs(880_000)
  t.equal(source.problem(), undefined)
  own.advanceMs(20_000)
  t.match(source.problem(), /expires in 100 s and was not renewed/)
  own.advanceMs(100_000)
  t.same(source.current()?.svids, [], 'what has expired is nobody any more')
  t.match(source.problem(), /has expired/)
  files.trust(issuer.bundlePem + later.bundlePem)
  await eventually('the bundle still counts', () => source.current()?.generation === 2)
  t.same(source.current()?.svids, [])
})

t.test('a pair may come in one file, in either order, the key as SEC 1 too', async (t) => {
  const issued = ca.issue({ spiffeId })
  const sec1 = createPrivateKey(issued.privateKeyPem).export({ type: 'sec1', format: 'pem' }).toString()
  for (const text of [
    issued.certificatePem + issued.privateKeyPem,
    issued.privateKeyPem + issued.certificatePem,
    issued.certificatePem + sec1,
  ]) {
    const files = place(t)
    files.write({ certificatePem: text })
    files.trust(ca.bundlePem)
    const source = await open(t, { ...files, privateKey: files.certificate })
    t.equal(serialOf(source), serial(issued))
  }
})
