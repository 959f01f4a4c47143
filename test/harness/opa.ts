import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseExactJson } from '#policy/input/json-text.ts'
import { goTool } from './go-tools.ts'
import { run } from './run.ts'
import { temporaryFolder } from './temp.ts'

interface EvalResult {
  readonly expressions: readonly { readonly value: unknown }[]
}

const capabilities = join(import.meta.dirname, '..', '..', 'policies', 'capabilities.json')

/** Builds a bundle from source files with the real `opa`, for wasm unless said otherwise. @throws Error with what `opa` said. */
export async function buildBundle(options: {
  readonly files: Readonly<Record<string, string>>
  readonly entrypoint?: string
  /** Asked besides it. */
  readonly moreEntrypoints?: readonly string[]
  readonly revision?: string
  readonly target?: 'wasm' | 'plan' | 'rego'
}): Promise<Buffer> {
  using folder = temporaryFolder()
  for (const [name, text] of Object.entries(options.files)) {
    mkdirSync(dirname(join(folder.path, 'src', name)), { recursive: true })
    writeFileSync(join(folder.path, 'src', name), text)
  }
  const out = join(folder.path, 'bundle.tar.gz')
  const entrypoint = options.entrypoint ?? 'envoy/authz/allow'
  const revision = options.revision === undefined ? [] : ['-r', options.revision]
  const args = [
    'build',
    '-t',
    options.target ?? 'wasm',
    '-e',
    entrypoint,
    ...(options.moreEntrypoints ?? []).flatMap((each) => ['-e', each]),
    '--capabilities',
    capabilities,
    ...revision,
    '-o',
    out,
    '-b',
    '.',
  ]
  await run(await goTool('opa'), args, { cwd: join(folder.path, 'src') })
  return readFileSync(out)
}

/** `opa eval` of a query against an input, its numbers exact; `undefined` where Rego says undefined. */
export async function opaEval(query: string, input?: unknown): Promise<unknown> {
  using folder = temporaryFolder()
  const path = join(folder.path, 'input.json')
  writeFileSync(path, JSON.stringify(input ?? {}))
  const answer = await run(await goTool('opa'), ['eval', '--format', 'json', '--input', path, query])
  const { result } = parseExactJson(answer.toString()) as { readonly result?: readonly EvalResult[] }
  return result?.[0]?.expressions[0]?.value
}
