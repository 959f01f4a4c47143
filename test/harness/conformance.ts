import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import { cached } from './cache.ts'
import { goTool } from './go-tools.ts'
import { run } from './run.ts'

const root = join(import.meta.dirname, '..', '..')
const capabilities = join(root, 'policies', 'capabilities.json')
const module = join(root, 'test', 'peers', 'conformance')

/** What is known of one case. Rego values are texts, so that none is rounded on the way. */
export interface Head {
  /** Such as `v1/sprintf/big_int`; no two are the same. */
  readonly name: string
  /** What was compiled; it binds `result`, and the entrypoint is `eval`. */
  readonly query?: string
  /** Where it is set, the result is what this variable is bound to in the one row; else the result is the set of rows. */
  readonly variable?: string
  /** A Rego term; absent where there is no input. */
  readonly input?: string
  /** JSON. */
  readonly data: string
  /** JSON of the rows that the case wants. */
  readonly want?: string
  readonly wantDefined?: boolean
  /** The code of the error that the case wants. */
  readonly wantError?: string
  /** The error is one in OPA's strict mode only. */
  readonly isStrict?: boolean
  readonly sortBindings?: boolean
  /** JSON of the rows that OPA's interpreter gives outside of its strict mode. */
  readonly answer?: string
  readonly answerError?: string
  /** Why it does not compile with our capabilities. */
  readonly refused?: string
  /** The builtins that it lacks, where that is all. */
  readonly missing?: readonly string[]
}

/** A case with what OPA made of it; the module and the plan (OPA's IR, in JSON) are empty where `head.refused` is set. */
export interface Question {
  readonly head: Head
  readonly wasm: Buffer
  readonly plan: Buffer
}

/** A case to compile, in the words of OPA's own suite. */
export interface Asked {
  readonly note: string
  readonly query: string
  readonly modules?: readonly string[]
  /** A Rego term. */
  readonly input_term?: string
}

/**
 * OPA's whole suite, compiled with our capabilities: seconds of every core, once for each state of the program, of OPA and
 * of the list of builtins.
 */
export async function conformanceArchive(): Promise<string> {
  const program = await goTool('conformance')
  const key = createHash('sha256')
    .update(basename(dirname(program)))
    .update(readFileSync(capabilities))
  const folder = await cached(`conformance/${key.digest('hex').slice(0, 16)}`, async (draft) => {
    const told = await run('go', ['mod', 'download', '-json', 'github.com/open-policy-agent/opa'], {
      cwd: module,
    })
    const { Dir: source } = JSON.parse(told.toString())
    const cases = join(source, 'v1', 'test', 'cases', 'testdata')
    const out = join(draft, 'suite.zst')
    await run(program, ['suite', '-cases', cases, '-capabilities', capabilities, '-o', out])
  })
  return join(folder, 'suite.zst')
}

/** Every case of OPA's suite, in its order. */
export async function* suiteQuestions(): AsyncGenerator<Question> {
  const packed = createReadStream(await conformanceArchive())
  const plain = createZstdDecompress()
  packed.on('error', (cause) => plain.destroy(cause))
  yield* questionsOf(packed.pipe(plain))
}

/** Has OPA compile and answer cases, in their order; one process for all of them. */
export async function* compileCases(cases: Iterable<Asked>): AsyncGenerator<Question> {
  const program = await goTool('conformance')
  const child = spawn(program, ['batch', '-capabilities', capabilities], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = endOf(child)
  ended.catch(() => {})
  child.stdin.end([...cases].map((each) => `${JSON.stringify(each)}\n`).join(''))
  yield* questionsOf(child.stdout)
  await ended
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`the conformance program ended with ${code}`)),
    )
  })
}

const lengthBytes = 12

/** The frames of test/peers/conformance/frame.go. */
async function* questionsOf(stream: Readable): AsyncGenerator<Question> {
  let chunks: Buffer[] = []
  let held = 0
  let wanted = lengthBytes
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    held += chunk.length
    if (held < wanted) continue
    let bytes = Buffer.concat(chunks)
    for (;;) {
      if (bytes.length < lengthBytes) break
      const [head = 0, wasm = 0, plan = 0] = [0, 4, 8].map((at) => bytes.readUInt32BE(at))
      wanted = lengthBytes + head + wasm + plan
      if (bytes.length < wanted) break
      const body = bytes.subarray(lengthBytes, wanted)
      bytes = bytes.subarray(wanted)
      wanted = lengthBytes
      yield {
        head: JSON.parse(body.toString('utf8', 0, head)),
        wasm: body.subarray(head, head + wasm),
        plan: body.subarray(head + wasm),
      }
    }
    chunks = [bytes]
    held = bytes.length
  }
  if (held > 0) throw new Error(`${held} bytes of an unfinished frame`)
}
