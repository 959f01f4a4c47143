import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { inputJsonSchema, inputSchema } from '#policy/authoring/input-schema/input-schema.ts'
import { startWorld } from '../../../demo/world.ts'
import { goTool } from '../../harness/go-tools.ts'
import { http } from '../../harness/http.ts'
import { buildBundle, opaEval } from '../../harness/opa.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'

const file = join(import.meta.dirname, '..', '..', '..', 'policies', 'schemas', 'input.json')
const shipped = JSON.parse(readFileSync(file, 'utf8'))

t.test('the shipped schema is the one that is described', async (t) => {
  t.same(shipped, inputJsonSchema(), 'run `npm run policies`')
})

/** Says the whole input in its denial. */
const echo = `package envoy.authz

allow := {
	"allowed": false,
	"http_status": 403,
	"headers": {"x-echo": "true"},
	"body": json.marshal(input),
}
`
const infer = JSON.stringify({
  inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }],
})
const requests: [name: string, request: Omit<Parameters<typeof http>[0], 'port' | 'tls'>][] = [
  [
    'an inference',
    {
      path: '/v2/models/fraud/versions/2/infer?a=b',
      body: infer,
      headers: { 'content-type': 'application/json', 'x-session-id': 's' },
    },
  ],
  ['health', { path: '/v2/health/ready' }],
  [
    'a form',
    { path: '/form', body: 'a=1&a=2', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
  ],
  [
    'bytes',
    {
      path: '/v2/models/fraud/versions/1/infer',
      body: '\u0000\u0001',
      headers: { 'content-type': 'application/octet-stream' },
    },
  ],
]

t.test('what the real agent asks on both APIs fits the schema', async (t) => {
  await using world = await startWorld({ modelServer: 'embedded', say: () => {} })
  writeFileSync(join(world.folder, 'policy.tar.gz'), await buildBundle({ files: { 'echo.rego': echo } }))
  const tls = { ca: world.ca, identity: world.identities.acme }
  const ask = (port: number, [, request]: (typeof requests)[number]) => http({ ...request, port, tls })
  const first = requests[0] as (typeof requests)[number]
  await eventually(
    'the echo is in force',
    async () => (await ask(world.mainPort, first)).headers['x-echo'] === 'true',
  )
  const seen: unknown[] = []
  for (const port of [world.mainPort, world.admissionPort])
    for (const each of requests) {
      const answer = await ask(port, each)
      t.equal(answer.headers['x-echo'], 'true', `${each[0]}: ${answer.status} ${answer.body}`)
      const input = JSON.parse(answer.body)
      seen.push(input)
      const parsed = inputSchema.safeParse(input)
      t.same(parsed.error?.issues ?? [], [], each[0])
      // OPA's own reading of the file that is shipped.
      const verdict = await opaEval('json.match_schema(input.document, input.schema)', {
        document: input,
        schema: shipped,
      })
      t.same(verdict, [true, []], each[0])
    }
  // They are inputs worth checking: both APIs know caller, tenant and model.
  for (const input of [seen[0], seen[requests.length]])
    t.match(input, {
      attributes: { source: { certificate: String }, request: { http: { method: 'POST' } } },
      parsed_path: ['v2', 'models', 'fraud', 'versions', '2', 'infer'],
      parsed_query: { a: ['b'] },
      serving: {
        phase: 'request',
        model: { name: 'fraud', verb: 'infer', version: '2', requested_version: '2' },
        tenant: { name: 'acme' },
        peer: { trust_domain: 'demo.sluice.dev' },
        residency: { zones: Array },
      },
    })
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
}

/** A reference to each key that the schema knows, as Rego writes it. */
function references(schema: Schema, path = 'input'): string[] {
  const { properties = {}, additionalProperties, items, anyOf = [] } = schema
  const inner = Object.entries(properties).flatMap(([key, each]) => [
    `${path}.${key}`,
    ...references(each, `${path}.${key}`),
  ])
  return [
    ...inner,
    ...(items ? references(items, `${path}[_]`) : []),
    ...(typeof additionalProperties === 'object' ? references(additionalProperties, `${path}.any_key`) : []),
    ...anyOf.flatMap((each) => references(each, path)),
  ]
}

t.test('opa check finds a typo at every level, and nothing wrong with what is right', async (t) => {
  using folder = temporaryFolder()
  const opa = await goTool('opa')
  const known = references(shipped)
  t.ok(known.length > 80, String(known.length))
  const check = (rules: readonly string[]) => {
    const path = join(folder.path, 'a.rego')
    writeFileSync(path, `package a\n\n${rules.join('\n')}\n`)
    const args = ['check', '--strict', '--max-errors', '1000', '--schema', file, '--format', 'json', path]
    try {
      execFileSync(opa, args, { stdio: 'pipe' })
      return []
    } catch (thrown) {
      const { stdout, stderr } = thrown as { readonly stdout: Buffer; readonly stderr: Buffer }
      const text = stdout.length > 0 ? stdout : stderr
      const { errors } = JSON.parse(String(text)) as { readonly errors: { readonly message: string }[] }
      return errors.map(({ message }) => message)
    }
  }
  t.same(check(known.map((path, index) => `r${index} := ${path}`)), [])
  const found = new Set(check(known.map((path, index) => `r${index} := ${path}x`)))
  // OPA looks no further where any key may stand.
  for (const path of known)
    t.equal(found.has(`undefined ref: ${path}x`), !path.includes('.any_key.'), `${path}x`)
})
