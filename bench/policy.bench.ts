import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '#base/json.ts'
import { readBundle, readPlanBundle } from '#policy/bundle/bundle.ts'
import { createCompiledEngine } from '#policy/compiled/compiled.ts'
import { createEngine, type SyncEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { goTool } from '../test/harness/go-tools.ts'
import { buildBundle } from '../test/harness/opa.ts'
import { run } from '../test/harness/run.ts'
import { temporaryFolder } from '../test/harness/temp.ts'
import type { BenchOptions, Row } from './bench.ts'
import { cores, pinMyself } from './pin.ts'
import { policyScenes, type Scene } from './policy/scenes.ts'
import { rssMb } from './process-usage.ts'

const decision = 'envoy/authz/allow'

/**
 * Evaluation alone, each in a request's state: the input is an object that no engine has seen, 2.4 KB of it as text. The
 * compiled engine, the wasm engine, and what `opa bench` says of its own on one of the inputs, which it has parsed before.
 */
export async function measure(options: BenchOptions): Promise<Row[]> {
  pinMyself(cores.measured)
  const rows: Row[] = []
  for (const scene of policyScenes()) {
    if (options.only !== undefined && options.only !== scene.name) continue
    const { files } = scene
    const [wasm, plan] = await Promise.all([buildBundle({ files }), buildBundle({ files, target: 'plan' })])
    const compiled = createCompiledEngine({ ...readPlanBundle(plan, 'plan', decision), place: 'plan' })
    const module = createEngine({ ...readBundle(wasm, 'wasm', decision), place: 'wasm' })
    rows.push(evaluate('compiled', compiled, scene, options.seconds))
    rows.push(evaluate('wasm', module, scene, options.seconds))
    rows.push(await opaBench(scene))
  }
  return rows
}

/** Evaluations that are timed together: one alone is shorter than the clock's own cost. */
const batch = 50

function evaluate(name: string, engine: SyncEngine, scene: Scene, seconds: number): Row {
  const context = { nowNs: 1_790_000_000_000_000_000n }
  const ask = (index: number) => {
    const document = new InputDocument(scene.inputs[index % scene.inputs.length] as JsonObject)
    // What every request's input is asked first: whether it is not too large.
    const characters = engine.readsValue ? document.characters : document.text.length
    if (characters > 1 << 20 || engine.evaluate(decision, document, { ...context }) !== true)
      throw new Error(`${scene.name}: ${name} does not allow input ${index}`)
  }
  const during = (milliseconds: number, onBatch: (each: number) => void): number => {
    const end = performance.now() + milliseconds
    let count = 0
    for (let began = performance.now(); began < end; ) {
      for (let i = 0; i < batch; i++) ask(count++)
      const now = performance.now()
      onBatch((now - began) / batch)
      began = now
    }
    return count
  }
  during(1000, () => {})
  const times: number[] = []
  const before = process.cpuUsage()
  const count = during(seconds * 1000, (each) => times.push(each))
  const { user, system } = process.cpuUsage(before)
  times.sort((a, b) => a - b)
  return {
    name,
    case: scene.name,
    rps: count / seconds,
    cpuUs: (user + system) / count,
    p50Ms: times[Math.floor(times.length * 0.5)] as number,
    p99Ms: times[Math.floor(times.length * 0.99)] as number,
    rssMb: rssMb(process.pid),
  }
}

async function opaBench({ name, files, inputs }: Scene): Promise<Row> {
  using folder = temporaryFolder()
  const write = (file: string, text: string) => writeFileSync(join(folder.path, file), text)
  for (const [file, text] of Object.entries(files)) write(file, text)
  write('input', JSON.stringify(inputs[0]))
  const data = Object.keys(files).flatMap((file) => ['-d', join(folder.path, file)])
  const query = `data.${decision.replaceAll('/', '.')}`
  const args = ['bench', '--format', 'json', ...data, '-i', join(folder.path, 'input'), query]
  const said = JSON.parse((await run(await goTool('opa'), args)).toString())
  const histogram = (part: string) => said.Extra[`histogram_timer_rego_query_eval_ns_${part}`] / 1e6
  return {
    name: 'opa',
    case: name,
    rps: (said.N / said.T) * 1e9,
    cpuUs: said.T / said.N / 1e3,
    p50Ms: histogram('median'),
    p99Ms: histogram('99%'),
    rssMb: 0,
  }
}
