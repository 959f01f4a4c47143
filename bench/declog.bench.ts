import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { Verdict } from '#decision/verdict.ts'
import { readBundle } from '#policy/bundle/bundle.ts'
import { decideRequest } from '#policy/decide.ts'
import type { Decided, DecisionSink } from '#policy/decided.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { openDecisionLog } from '#policy/log/log.ts'
import { buildBundle } from '../test/harness/opa.ts'
import { validDeciding, validExchange } from '../test/policy/exchange.ts'
import { validLogConfig } from '../test/policy/log/a-log.ts'
import type { BenchOptions, Row } from './bench.ts'

const decision = 'envoy/authz/allow'
const deciding = validDeciding()
const mask = `package system.log

mask contains "/input/attributes/request/http/headers/x-secret"
`
/** How many decisions are made before the log gets its turn; fewer than may wait for it. */
const burst = 500

/**
 * The decision log, in process: what a decision costs without a log, with one, and with one that asks a mask policy. `sinkUs`
 * is what the log itself takes on the way of a request, `cpuUs` all of it, the writing later included; `stall…` is the
 * longest turn of the event loop while a burst of events was written; on a busy machine it tells of that too.
 */
export async function measure(options: BenchOptions): Promise<Row[]> {
  const rbac = readFileSync(join(import.meta.dirname, 'authz', 'rbac.rego'), 'utf8')
  const plain = await engineOf({ 'rbac.rego': rbac }, [])
  const masking = await engineOf({ 'rbac.rego': rbac, 'log.rego': mask }, ['system/log/mask'])
  const contenders = [
    { name: 'no log', engine: plain, isLogged: false },
    { name: 'log', engine: plain, isLogged: true },
    { name: 'log and mask', engine: masking, isLogged: true },
  ].filter(({ name }) => options.only === undefined || options.only === name)
  const rows: Row[] = []
  for (const contender of contenders) rows.push(await run(contender, options.seconds))
  return rows
}

async function run(
  { name, engine, isLogged }: { name: string; engine: ReturnType<typeof createEngine>; isLogged: boolean },
  seconds: number,
): Promise<Row> {
  let uploadedBytes = 0
  await using log = openDecisionLog({
    config: validLogConfig(
      {
        post: async ({ body }) => {
          uploadedBytes += body.length
          return { status: 200 }
        },
      },
      { trigger: 'immediate' },
    ),
    labels: { id: 'bench', version: '0' },
    onProblem: () => {},
  })
  // Collected, and handed over together: a clock would cost more than what is measured.
  const told: Decided[] = []
  const sink: DecisionSink = (decided) => void told.push(decided)
  const active = { engine, revisions: { policy: 'r1' }, revision: 'r1', activatedAtMs: 0 }
  const headers = Array.from({ length: 12 }, (_, index) => [`x-header-${index}`, 'v'.repeat(24)] as const)
  const fields = Object.fromEntries([...headers, ['authorization', `Bearer ${'t'.repeat(300)}`]])
  const attributes = {
    source: { address: { socketAddress: { address: '10.0.0.1', portValue: 4711 } } },
    request: {
      http: { method: 'POST', path: '/v2/models/fraud/infer', headers: { ...fields, 'x-tenant': 't1' } },
    },
  }
  const ask = () => {
    const x = validExchange({ attributes, headers })
    return decideRequest(active, x, { ...deciding, sink: isLogged ? sink : undefined }) as Verdict
  }
  const handOver = () => {
    const start = performance.now()
    for (const decided of told) log.sink(decided)
    const tookUs = (performance.now() - start) * 1000
    told.length = 0
    return tookUs / burst
  }
  const unwritten = () => log.account().unwritten
  for (let warm = 0; warm < 10; warm++) {
    for (let each = 0; each < burst; each++) ask()
    handOver()
    await settled(unwritten)
  }
  const [wayUs, sinkUs, stallsMs]: [number[], number[], number[]] = [[], [], []]
  const [cpu, began] = [process.cpuUsage(), performance.now()]
  let decisions = 0
  while (performance.now() - began < seconds * 1000) {
    const start = performance.now()
    for (let each = 0; each < burst; each++) ask()
    const tookUs = ((performance.now() - start) * 1000) / burst
    sinkUs.push(isLogged ? handOver() : 0)
    wayUs.push(tookUs + (sinkUs.at(-1) ?? 0))
    decisions += burst
    stallsMs.push(await settled(unwritten))
  }
  const { user, system } = process.cpuUsage(cpu)
  for (const figures of [wayUs, sinkUs, stallsMs]) figures.sort((a, b) => a - b)
  const at = (sorted: readonly number[], share: number) =>
    sorted[Math.floor((sorted.length - 1) * share)] ?? 0
  return {
    name,
    rps: decisions / ((performance.now() - began) / 1000),
    cpuUs: (user + system) / decisions,
    p50Ms: at(wayUs, 0.5) / 1000,
    p99Ms: at(wayUs, 0.99) / 1000,
    rssMb: process.memoryUsage().rss / 1e6,
    sinkUs: at(sinkUs, 0.5),
    stallP5Ms: at(stallsMs, 0.05),
    stallP50Ms: at(stallsMs, 0.5),
    stallP99Ms: at(stallsMs, 0.99),
    bytesPerDecision: uploadedBytes / decisions,
  }
}

/** Lets the log write. @returns the longest turn of the event loop meanwhile, milliseconds. */
async function settled(unwritten: () => number): Promise<number> {
  let longest = 0
  let last = performance.now()
  while (unwritten() > 0) {
    await turn()
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  return longest
}

async function engineOf(files: Readonly<Record<string, string>>, moreEntrypoints: readonly string[]) {
  const bundle = readBundle(await buildBundle({ files, moreEntrypoints }), 'bench', decision)
  return createEngine({ ...bundle, place: 'bench' })
}
