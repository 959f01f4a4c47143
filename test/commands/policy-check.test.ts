import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { goTool } from '../harness/go-tools.ts'
import { buildBundle } from '../harness/opa.ts'
import { run } from '../harness/run.ts'
import { temporaryFolder } from '../harness/temp.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const opa = await goTool('opa')
const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const file = (name: string, content: string | Uint8Array) => {
  mkdirSync(dirname(join(folder.path, name)), { recursive: true })
  writeFileSync(join(folder.path, name), content)
}
const files = { 'p.rego': 'package envoy.authz\n\nallow := true\n' }
file('wasm.tar.gz', await buildBundle({ files, revision: 'r1' }))
file('plan.tar.gz', await buildBundle({ files, target: 'plan', revision: 'r1' }))
file('rego.tar.gz', await buildBundle({ files, target: 'rego', revision: 'r1' }))
const finance = { ...files, 'f.rego': 'package finance.authz\n\nallow := true\n' }
file('finance.tar.gz', await buildBundle({ files: finance, target: 'rego' }))
file('built.tar.gz', await buildBundle({ files: finance, moreEntrypoints: ['finance/authz/allow'] }))
file('src/p.rego', files['p.rego'])
file('secret', 'secret-of-the-test')
file('claims.json', '{"keyid": "k"}')
await run(
  opa,
  [
    ...[
      'build',
      '-t',
      'wasm',
      '-e',
      'envoy/authz/allow',
      '-o',
      join(folder.path, 'signed.tar.gz'),
      '-b',
      'src',
    ],
    ...['--signing-key', 'secret', '--signing-alg', 'HS256', '--claims-file', 'claims.json'],
  ],
  { cwd: folder.path },
)
const signed = {
  bundles: { a: { resource: `file://${folder.path}/signed.tar.gz`, signing: { keyid: 'k' } } },
  keys: { k: { key: 'secret-of-the-test', algorithm: 'HS256' } },
}
file('none.tar.gz', 'no bundle')
file('none.binpb', 'no descriptor')
file(
  'resources/access.yaml',
  stringify({
    apiVersion: 'sluice.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: 'finance' },
    spec: { decision: 'finance/authz/allow' },
  }),
)
file('bad-resources/access.yaml', 'kind: AccessPolice\n')
file(
  'quotas/q.yaml',
  stringify({
    apiVersion: 'sluice.dev/v1alpha1',
    kind: 'QuotaPolicy',
    metadata: { name: 'q' },
    spec: { tenants: ['*'], limits: [{ unit: 'requests', rate: 1, window: '1s' }] },
  }),
)

interface Ran {
  readonly status: number | null
  readonly said: string
}

function sluice(args: readonly string[], path = `${dirname(opa)}${delimiter}${process.env['PATH']}`) {
  return new Promise<Ran>((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: folder.path,
      env: { ...process.env, PATH: path },
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        said += chunk.toString()
      })
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, said }))
  })
}

/** What stands beside the listener in the configuration. */
type Row = readonly [name: string, config: object, status: number, said: RegExp, path?: string]

const rows: readonly Row[] = [
  [
    'a bundle',
    { policy: { bundle: 'wasm.tar.gz' } },
    0,
    /^ok +policy: answers envoy\/authz\/allow, revision r1, engine wasm$/m,
  ],
  [
    'a plan',
    { policy: { bundle: 'plan.tar.gz', engine: 'compiled' } },
    0,
    /^ok +policy: .*engine compiled$/m,
  ],
  [
    'a plan for the other engine',
    { policy: { bundle: 'plan.tar.gz' } },
    1,
    /^BAD +policy: .*no wasm module, only a plan/m,
  ],
  ['Rego with opa', { policy: { bundle: 'rego.tar.gz' } }, 0, /^ok +policy: /m],
  [
    'Rego without opa',
    { policy: { bundle: 'rego.tar.gz' } },
    1,
    /^BAD +policy: .*no program opa on the PATH; expected OPA's CLI/m,
    '/nowhere',
  ],
  ['no bundle', { policy: { bundle: 'none.tar.gz' } }, 1, /^BAD +policy: .*expected a gzip archive/m],
  [
    'a decision that is not there',
    { policy: { bundle: 'wasm.tar.gz', decision: 'a/b' } },
    1,
    /^BAD +policy: .*expected a module for a\/b/m,
  ],
  [
    'a decision about answers that is not there',
    { policy: { bundle: 'wasm.tar.gz', response: { decision: 'a/b' } } },
    1,
    /^BAD +policy: .*a\/b/m,
  ],
  [
    'a candidate that is none',
    { policy: { bundle: 'wasm.tar.gz', candidate: { bundle: 'none.tar.gz' } } },
    1,
    /^ok +policy: [\s\S]*^BAD +policy\.candidate: .*gzip/m,
  ],
  [
    'a candidate',
    { policy: { bundle: 'wasm.tar.gz', candidate: { bundle: 'rego.tar.gz' } } },
    0,
    /^ok +policy\.candidate: /m,
  ],
  [
    'a descriptor that is none',
    { policy: { bundle: 'wasm.tar.gz', protoDescriptor: 'none.binpb' } },
    1,
    /^BAD +policy\.protoDescriptor: /m,
  ],
  [
    'an AccessPolicy whose decision is not there',
    { policy: { bundle: 'wasm.tar.gz' }, resources: { dir: 'resources' } },
    1,
    /^BAD +AccessPolicy finance: .*finance\/authz\/allow/m,
  ],
  [
    'an AccessPolicy whose decision is not compiled',
    { policy: { bundle: 'finance.tar.gz' }, resources: { dir: 'resources' } },
    1,
    /^BAD +AccessPolicy finance: the policy has no decision finance\/authz\/allow.*; expected a bundle built/m,
  ],
  [
    'an AccessPolicy whose decision is there',
    { policy: { bundle: 'built.tar.gz' }, resources: { dir: 'resources' } },
    0,
    /^ok +policy: /m,
  ],
  [
    'a signed candidate beside bundles of OPA, which has the keys',
    { policy: { opa: signed, candidate: { bundle: 'signed.tar.gz' } } },
    0,
    /^ok +policy\.candidate: /m,
  ],
  [
    'a candidate that is not signed beside bundles that must be',
    { policy: { opa: signed, candidate: { bundle: 'wasm.tar.gz' } } },
    1,
    /^BAD +policy\.candidate: .*expected a signature/m,
  ],
  [
    'quotas that are counted',
    { resources: { dir: 'quotas' }, limits: { store: 'memory' } },
    0,
    /^ok +resources: .* 1 quotas/m,
  ],
  [
    'quotas that nobody counts for',
    { resources: { dir: 'quotas' } },
    1,
    /^BAD +limits is not configured: .*expected limits: \{store: memory\}/m,
  ],
  [
    'resources that are wrong',
    { resources: { dir: 'bad-resources' } },
    1,
    /^BAD +resources: .*AccessPolice/m,
  ],
  [
    'bundles from servers',
    { policy: { opa: { services: { a: { url: 'http://127.0.0.1:9' } }, bundles: { b: {} } } } },
    0,
    /^ok +policy\.opa\.bundles: from servers, which are not asked/m,
  ],
  [
    'isolation of what is compiled',
    { policy: { bundle: 'plan.tar.gz', engine: 'compiled', isolation: 'worker' } },
    1,
    /policy\.isolation: .*expected none beside the compiled engine/m,
  ],
]

for (const [index, [name, config, status, said, path]] of rows.entries()) {
  t.test(`check looks at policy: ${name}`, async (t) => {
    const listen = { agent: `unix:${folder.path}/agent.sock`, probes: '127.0.0.1:0' }
    file(`${index}.yaml`, stringify({ listen, ...config }))
    t.match(await sluice(['check', '-c', `${index}.yaml`], path), { status, said })
  })
}

t.test('the option for isolation is refused beside the compiled engine, too', async (t) => {
  file(
    'compiled.yaml',
    stringify({ listen: { agent: '127.0.0.1:9' }, policy: { bundle: 'plan.tar.gz', engine: 'compiled' } }),
  )
  t.match(await sluice(['agent', '-c', 'compiled.yaml', '--policy-isolation', 'worker']), {
    status: 1,
    said: /--policy-isolation: the compiled engine and isolation in a worker; expected one of them/,
  })
})
