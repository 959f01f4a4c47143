// Runs OPA's own cases, as they come with its Go module, through our engine. `--json` prints the counts alone; without it
// each case that does not pass is named with what came and what should have come.
import { execFile } from 'node:child_process'
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import type { JsonValue } from '#base/json.ts'
import { readBundle } from '#policy/bundle/bundle.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { goTool } from '../test/harness/go-tools.ts'
import { run } from '../test/harness/run.ts'
import { temporaryFolder } from '../test/harness/temp.ts'

interface Case {
  readonly note: string
  readonly query: string
  readonly modules?: readonly string[]
  readonly data?: unknown
  readonly input?: unknown
  readonly input_term?: string
  readonly want_result?: readonly { readonly x: unknown }[]
  readonly want_error?: string
  readonly want_error_code?: string
}

/** What became of a case. A skip says why it could not be asked at all. */
interface Outcome {
  readonly state: 'pass' | 'fail' | 'skip'
  readonly why: string
}

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
const root = join(import.meta.dirname, '..')
const capabilities = join(root, 'policies', 'capabilities.json')
const opa = await goTool('opa')
const moduleFolder = (
  await run('go', ['list', '-m', '-f', '{{.Dir}}', 'github.com/open-policy-agent/opa'], {
    cwd: join(root, 'test', 'peers', 'opa'),
  })
)
  .toString()
  .trim()
const folder = join(moduleFolder, 'v1', 'test', 'cases', 'testdata', 'v1')
const cases = globSync('**/*.yaml', { cwd: folder })
  .sort()
  .flatMap((file) => parseAllDocuments(readFileSync(join(folder, file), 'utf8')))
  .flatMap((document) => (document.toJS() as { readonly cases?: readonly Case[] } | null)?.cases ?? [])

const counts = { pass: 0, fail: 0, skip: 0, total: cases.length }
const told: string[] = []
using work = temporaryFolder()
const waiting = cases.entries()
await Promise.all([judge(), judge()])
if (!values.json) process.stdout.write(`${told.sort().join('\n')}\n`)
process.stdout.write(`${JSON.stringify(counts)}\n`)

/** Takes cases until none is left; two of these keep two compilers busy. */
async function judge(): Promise<void> {
  for (const [index, each] of waiting) {
    const { state, why } = await outcomeOf(each, join(work.path, String(index)))
    counts[state]++
    if (state !== 'pass') told.push(`${state} ${each.note}: ${why}`)
  }
}

async function outcomeOf(each: Case, source: string): Promise<Outcome> {
  const path = /^data\.([\w.]+) = x$/.exec(each.query)?.[1]
  if (path === undefined) return { state: 'skip', why: `the query ${each.query} names no entrypoint` }
  if (each.input_term !== undefined) return { state: 'skip', why: 'its input is a term that JSON cannot say' }
  const entrypoint = path.replaceAll('.', '/')
  mkdirSync(source)
  for (const [index, text] of (each.modules ?? []).entries())
    writeFileSync(join(source, `${index}.rego`), text)
  if (each.data !== undefined) writeFileSync(join(source, 'data.json'), JSON.stringify(each.data))
  const bundle = join(source, 'bundle.tar.gz')
  const args = [
    'build',
    '-t',
    'wasm',
    '-e',
    entrypoint,
    '--capabilities',
    capabilities,
    '-o',
    bundle,
    '-b',
    '.',
  ]
  try {
    await promisify(execFile)(opa, args, { cwd: source })
  } catch (cause) {
    const said = String((cause as { readonly stderr?: string }).stderr ?? cause)
    const missing = /undefined function (\S+)/.exec(said)?.[1]
    const why = missing === undefined ? said.trim().replaceAll('\n', ' ') : `needs ${missing}`
    return { state: 'skip', why: `does not compile: ${why}` }
  }
  let found: unknown
  let trouble: unknown
  try {
    const engine = createEngine({ ...readBundle(readFileSync(bundle), 'case', entrypoint), place: 'case' })
    const input = each.input === undefined ? undefined : new InputDocument(each.input as JsonValue)
    found = engine.evaluate(entrypoint, input, { nowNs: BigInt(Date.now()) * 1_000_000n })
  } catch (thrown) {
    trouble = thrown
  }
  const shown = trouble === undefined ? JSON.stringify(found) : String(trouble)
  const isErrorWanted = each.want_error !== undefined || each.want_error_code !== undefined
  // An error of one call is undefined to the module; a policy that fails as a whole throws.
  if (isErrorWanted) {
    const isRight = trouble !== undefined || found === undefined
    return isRight ? { state: 'pass', why: '' } : { state: 'fail', why: `${shown} instead of an error` }
  }
  const wanted = each.want_result?.[0]?.x
  const isRight = trouble === undefined && JSON.stringify(ordered(found)) === JSON.stringify(ordered(wanted))
  return isRight
    ? { state: 'pass', why: '' }
    : { state: 'fail', why: `${shown} instead of ${JSON.stringify(wanted)}` }
}

/** Sets come as arrays in an order of the module's own, so that order tells nothing. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .map(ordered)
      .map((item) => JSON.stringify(item))
      .sort()
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, ordered(item)])
}
