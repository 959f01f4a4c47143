import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseSpiffeBundle } from '#identity/bundle/bundle.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { certificatesOf } from '../identity/x509/kit.ts'

const root = join(import.meta.dirname, '..', '..')
const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const at = (name: string) => join(folder.path, name)
const ca = createDevCa({ trustDomain: 'example.org' })
const spiffeId = 'spiffe://example.org/ns/models/sa/server'
ca.write(at('app'), ca.issue({ spiffeId }))
writeFileSync(at('ca.pem'), ca.bundlePem)
const listen = `listen: {agent: "unix:${folder.path}/agent.sock"}\n`
writeFileSync(
  at('sluice.yaml'),
  `${listen}identity:
  trustDomains: [example.org]
  source: {type: files, certificate: app.pem, privateKey: app.key, trustBundles: {example.org: ca.pem}}
`,
)
writeFileSync(at('bare.yaml'), `${listen}identity: {trustDomains: [example.org]}\n`)

function show(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['agent/main.ts', 'identity', 'show', ...args],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
  return { status, stdout, stderr }
}

t.test('who we are and whose bundles are known is said in a line each', async (t) => {
  const { status, stdout } = show('-c', at('sluice.yaml'))
  t.equal(status, 0)
  t.match(
    stdout,
    /^spiffe:\/\/example.org\/ns\/models\/sa\/server {2}until 20\d\d-.*Z {2}serial [0-9a-f]{32}$/m,
  )
  t.match(stdout, /^bundle example.org {2}1 CA certificates {2}0 JWT keys$/m)
})

t.test('a bundle is printed as a bundle endpoint would serve it', async (t) => {
  const { status, stdout } = show('-c', at('sluice.yaml'), '--bundle', 'example.org')
  t.equal(status, 0)
  const parsed = parseSpiffeBundle('example.org', stdout)
  if (!parsed.ok) return t.fail(parsed.why)
  t.equal(parsed.bundle.x509Authorities[0]?.sha256, certificatesOf(ca.bundlePem)[0]?.sha256)
})

t.test('what is not there is said once, with the place', async (t) => {
  t.match(show('-c', at('bare.yaml')), { status: 1, stdout: '', stderr: /no identity.source/ })
  t.match(show('-c', at('sluice.yaml'), '--bundle', 'other.test'), {
    status: 1,
    stdout: '',
    stderr: /one of example.org/,
  })
  rmSync(at('app.key'))
  t.match(show('-c', at('sluice.yaml'), '--wait', '0'), { status: 1, stdout: '', stderr: /app.key/ })
})
