import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { readBundle, readPlanBundle } from '#policy/bundle/bundle.ts'
import { createCompiledEngine } from '#policy/compiled/compiled.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import fc from '../../fast-check.ts'
import { goTool } from '../../harness/go-tools.ts'
import { buildBundle } from '../../harness/opa.ts'
import { run } from '../../harness/run.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const text = (...path: string[]) => readFileSync(join(root, ...path), 'utf8')

/** Rego as people write it, in all its kinds of rules and loops. */
const tour = `package envoy.authz

default allow := {"allowed": false}

allow := {"allowed": count(reasons) == 0, "headers": headers, "dynamic_metadata": metadata} if input.attributes

reasons contains "method" if not method in {"GET", "POST", "PUT"}

reasons contains sprintf("role %s", [r]) if {
	some r in split_roles(object.get(http.headers, "x-roles", ""))
	not r in data.roles
}

http := input.attributes.request.http
method := upper(object.get(http, "method", "?"))
path := input.parsed_path

headers[name] := value if {
	some name, value in http.headers
	startswith(name, "x-")
	not glob.match("x-secret*", [], name)
}

metadata := {
	"kind": kind,
	"longest": longest,
	"pairs": [[i, p] | some i, p in path; p != ""],
	"numbers": {n: m | some n in object.get(input, ["parsed_body", "numbers"], []); m := n * 1.5},
	"sum": sum([n | some n in object.get(input, ["parsed_body", "numbers"], [])]),
	"every": is_every,
	"leaves": leaves,
	"other": other,
	"sets": ({p | some p in path} | {"z"}) - {"v2"},
	"nested": nested,
}

kind := "model" if {
	["v2", "models", _] = array.slice(path, 0, 3)
} else := "health" if {
	regex.match("^health(/|$)", concat("/", path))
} else := "other"

longest := max([count(p) | some p in path])

default is_every := false

is_every if every p in path { count(p) < 7 }

leaves := [v | walk(object.get(input, "parsed_body", {}), [_, v]); not is_object(v); not is_array(v)]

other := x if x := kind with input.parsed_path as ["health"]

nested[a][b] contains c if {
	some a, inner in data.tree
	some b, list in inner
	some c in list
	c != method
}

split_roles(x) := [r | some r in split(x, ",")]
`

interface Policy {
  readonly name: string
  readonly files: Readonly<Record<string, string>>
}

const policies: readonly Policy[] = [
  {
    name: 'the default policy',
    files: {
      'authz.rego': text('policies', 'sluice', 'authz.rego'),
      'data.json': JSON.stringify({
        sluice: {
          tenants: {
            acme: {
              models: {
                fraud: { verbs: ['infer'], versions: ['1', '2'] },
                ocr: { verbs: ['infer', 'load'] },
              },
            },
            other: { models: {} },
          },
        },
      }),
    },
  },
  {
    name: 'the policy of the benchmark',
    files: {
      'rbac.rego': text('bench', 'authz', 'rbac.rego'),
      'data.json': JSON.stringify({ rbac: { acme: { fraud: true, ocr: false }, other: {}, broken: null } }),
    },
  },
  {
    name: 'a tour of the language',
    files: {
      'tour.rego': tour,
      'data.json': JSON.stringify({
        roles: ['admin', 'scorer'],
        tree: { a: { x: ['GET', 1], y: [] }, b: { x: [2] } },
      }),
    },
  },
]

/** A value, or now and then another thing that JSON may say in its place. */
function mostly(...values: JsonValue[]): fc.Arbitrary<JsonValue | undefined> {
  return fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...values) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<JsonValue> },
    { weight: 1, arbitrary: fc.constant(undefined) },
  )
}

const names = fc.constantFrom(
  'x-tenant',
  'x-roles',
  'x-secret-a',
  'x-a',
  'accept',
  '__proto__',
  'constructor',
  'é',
)
/** Each field is nearly always there. */
const record = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<JsonValue> =>
  fc
    .record(
      Object.fromEntries(
        Object.entries(fields).map(([key, value]) => [key, fc.option(value, { freq: 15, nil: undefined })]),
      ),
    )
    .map((object) => object as JsonObject)
const tenant = mostly('acme', 'other', 'nobody', 'broken', 'constructor')
const model = mostly('fraud', 'ocr', 'churn', '__proto__')
const number = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.constantFrom(0.1, 0.2, 1.5, 1e9, -2.25))

const inputs = record({
  attributes: record({
    request: record({
      http: record({
        method: mostly('GET', 'POST', 'post', 'DELETE'),
        headers: fc.dictionary(
          names,
          fc.constantFrom('acme', 'acme', 'other', 'admin', 'scorer,nobody', '', 'é😀'),
          {
            noNullPrototype: true,
          },
        ),
      }),
    }),
  }),
  parsed_path: fc.oneof(
    { weight: 4, arbitrary: model.map((name) => ['v2', 'models', name ?? '', 'infer']) },
    { weight: 2, arbitrary: model.map((name) => ['v2', 'models', name ?? '', 'versions', '1', 'infer']) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(['health', 'live'], [''], ['inference.GRPCInferenceService', 'ModelInfer']),
    },
    { weight: 1, arbitrary: fc.array(fc.string({ maxLength: 9 }), { maxLength: 4 }) },
  ),
  parsed_body: fc.oneof(
    record({ numbers: fc.array(number, { maxLength: 4 }), more: fc.jsonValue({ maxDepth: 3 }) }),
    fc.constant(null),
  ),
  serving: record({
    tenant: record({ name: tenant }),
    model: record({
      name: model,
      verb: mostly('infer', 'metadata', 'model_ready', 'server_live', 'load'),
      version: mostly('1', '2', '3'),
    }),
  }),
}) as fc.Arbitrary<JsonObject>

const count = 400
const decision = 'envoy/authz/allow'

/** `undefined` members away, and numbers as JSON has them. */
const plain = (value: JsonObject): JsonObject =>
  JSON.parse(JSON.stringify(value).replaceAll(/\\ud[89a-f]../g, '?'))

for (const { name, files } of policies) {
  t.test(`${name}: ${count} generated inputs get the same from plan, wasm and opa`, async (t) => {
    const [wasm, plan] = await Promise.all([buildBundle({ files }), buildBundle({ files, target: 'plan' })])
    const compiled = createCompiledEngine({ ...readPlanBundle(plan, 'plan', decision), place: 'plan' })
    const module = createEngine({ ...readBundle(wasm, 'wasm', decision), place: 'wasm' })
    const generated = fc.sample(inputs, { numRuns: count, seed: 5 }).map(plain)
    const opa = await opaAnswers(files, generated)
    const said = new Set<string>()
    for (const [index, input] of generated.entries()) {
      const ask = (engine: typeof compiled) => {
        try {
          const result = engine.evaluate(decision, new InputDocument(input), { nowNs: 0n })
          // What a double cannot hold is a literal that only becomes text as a whole.
          return result === undefined ? undefined : JSON.parse(JSON.stringify(result))
        } catch (thrown) {
          return (thrown as Error).name
        }
      }
      const [ours, theirs] = [ask(compiled), ask(module)]
      // The module lists the members of a set in an order of its own, and the order of keys tells nothing.
      t.same(sorted(ours), sorted(theirs), `as wasm: ${JSON.stringify(input)}`)
      t.same(ours, opa[index]?.[0], `as opa: ${JSON.stringify(input)}`)
      said.add(JSON.stringify(ours))
    }
    t.ok(said.size > 1, `answers differ: ${said.size}`)
  })
}

async function opaAnswers(
  files: Readonly<Record<string, string>>,
  cases: readonly JsonObject[],
): Promise<readonly (readonly JsonValue[])[]> {
  using folder = temporaryFolder()
  const write = (file: string, content: string) => {
    writeFileSync(join(folder.path, file), content)
    return join(folder.path, file)
  }
  const data = Object.entries(files).flatMap(([file, content]) => ['-d', write(file, content)])
  const all = write('input.json', JSON.stringify({ cases }))
  const query = '[x | some each in input.cases; x := [y | y := data.envoy.authz.allow with input as each]]'
  const said = await run(await goTool('opa'), ['eval', '--format', 'json', ...data, '-i', all, query])
  return JSON.parse(said.toString()).result[0].expressions[0].value
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => JSON.stringify(sorted(item))).toSorted()
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, sorted(item)] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  )
}
