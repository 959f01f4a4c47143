// Builds policies/capabilities.json, policies/schemas/ and policies/dist/ with the real `opa`. `--out DIR` writes elsewhere,
// for the test.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildPolicy } from '#policy/authoring/build/build.ts'
import { inputJsonSchema } from '#policy/authoring/input-schema/input-schema.ts'
import { opaAt } from '#policy/authoring/opa/opa.ts'
import { nativeFunctions } from '#policy/authoring/trial/native-builtins.ts'
import { builtins } from '#policy/builtins/builtins.ts'
import { goTool } from '../test/harness/go-tools.ts'
import { run } from '../test/harness/run.ts'

/** What the compiler turns into statements or leaves out, so that neither the module nor the agent has it. */
const ofTheCompiler =
  'eq assign print internal.print trace internal.test_case rego.metadata.chain rego.metadata.rule'
const native = new Set([...nativeFunctions.values(), ofTheCompiler.split(' ')].flat())

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
