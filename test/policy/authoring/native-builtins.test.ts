import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { nativeBuiltins, nativeFunctions } from '#policy/authoring/trial/native-builtins.ts'
import { unpackBundle } from '#policy/bundle/bundle.ts'
import { buildBundle } from '../../harness/opa.ts'
import { run } from '../../harness/run.ts'

const root = join(import.meta.dirname, '..', '..', '..')

t.test("the table is the compiler's own", async (t) => {
  const args = ['list', '-m', '-f', '{{.Dir}}', 'github.com/open-policy-agent/opa']
  const folder = (await run('go', args, { cwd: join(root, 'test', 'peers', 'opa') })).toString().trim()
  const compiler = readFileSync(join(folder, 'internal', 'compiler', 'wasm', 'wasm.go'), 'utf8')
  const declared = readFileSync(join(folder, 'v1', 'ast', 'builtins.go'), 'utf8')
  const names = new Map(
    [...declared.matchAll(/^var (\w+) = &Builtin\{\s*Name:\s+"([^"]+)"/gm)].map(([, id, name]) => [id, name]),
  )
  const theirs = [...compiler.matchAll(/^\s+ast\.(\w+)\.Name:\s+"(\w+)",$/gm)].map(
    ([, id, runtime]) => `${runtime} ${names.get(id)}`,
  )
  const ours = [...nativeFunctions].flatMap(([runtime, builtins]) =>
    builtins.map((name) => `${runtime} ${name}`),
  )
  t.ok(theirs.length > 90)
  t.same(ours.sort(), theirs.sort())
})

t.test('a module names what it uses, and nothing of the rest', async (t) => {
  const used = async (expression: string) => {
    const bundle = await buildBundle({
      files: { 'a.rego': `package a\n\nb := ${expression}\n` },
      entrypoint: 'a/b',
    })
    const wasm = unpackBundle(bundle, 'a').get('policy.wasm') as Buffer
    return nativeBuiltins(new WebAssembly.Module(wasm as BufferSource))
  }
  t.same(await used('1'), [])
  t.same(await used('[upper(input.a), input.c + 1]'), ['plus', 'upper'])
  t.same(
    nativeBuiltins(new WebAssembly.Module(Buffer.from('0061736d01000000', 'hex'))),
    [],
    'stripped of its names',
  )
})
