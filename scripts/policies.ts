// Builds policies/capabilities.json, policies/schemas/ and policies/dist/ with the real `opa`. `--out DIR` writes elsewhere,
// for the test.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildPolicy } from '#policy/authoring/build/build.ts'
import { inputJsonSchema } from '#policy/authoring/input-schema/input-schema.ts'
import { opaAt } from '#policy/authoring/opa/opa.ts'
import { builtins } from '#policy/builtins/builtins.ts'
import { goTool } from '../test/harness/go-tools.ts'
import { run } from '../test/harness/run.ts'

/** What the compiler maps to functions inside the module, or leaves out of it (OPA 1.22). */
const native = new Set(
  `plus minus mul div abs round ceil floor rem array.concat array.reverse array.slice set_diff and or intersection union
  is_number is_string is_boolean is_array is_set is_object is_null type_name bits.and bits.or bits.negate bits.xor bits.lsh
  bits.rsh count sum product max min sort all any base64.is_valid base64.decode base64.encode base64url.decode
  base64url.encode net.cidr_contains net.cidr_overlap net.cidr_intersects equal neq gt gte lt lte glob.match json.marshal
  json.unmarshal json.is_valid json.filter json.remove object.filter object.get object.keys object.remove object.union
  object.union_n concat format_int indexof substring lower upper contains startswith endswith strings.reverse split replace
  strings.replace_n trim trim_left trim_prefix trim_right trim_suffix trim_space numbers.range to_number walk
  graph.reachable regex.is_valid regex.match re_match regex.find_all_string_submatch_n internal.member_2 internal.member_3
  eq assign print internal.print trace internal.test_case rego.metadata.chain rego.metadata.rule`.split(
    /\s+/,
  ),
)

const { values } = parseArgs({ options: { out: { type: 'string' } } })
const policies = join(import.meta.dirname, '..', 'policies')
const out = values.out ?? policies
const opa = await goTool('opa')

const current = JSON.parse((await run(opa, ['capabilities', '--current'])).toString())
const known = current.builtins.filter(({ name }: { name: string }) => native.has(name) || builtins.has(name))
const capabilities = join(out, 'capabilities.json')
writeFileSync(capabilities, `${JSON.stringify({ ...current, builtins: known }, null, 1)}\n`)

const schema = join(out, 'schemas', 'input.json')
mkdirSync(join(out, 'schemas'), { recursive: true })
writeFileSync(schema, `${JSON.stringify(inputJsonSchema(), null, 2)}\n`)

const { bytes } = await buildPolicy({
  paths: [join(policies, 'sluice'), join(policies, 'data.json')],
  opa: opaAt(opa),
  revision: 'default-1',
  capabilities,
  schema,
})
mkdirSync(join(out, 'dist'), { recursive: true })
writeFileSync(join(out, 'dist', 'default.tar.gz'), bytes)
