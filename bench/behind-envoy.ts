import type { JsonObject } from '#base/json.ts'
import { startEnvoy } from '../test/harness/envoy.ts'
import { freePorts } from '../test/harness/ports.ts'
import { temporaryFolder } from '../test/harness/temp.ts'
import type { BenchOptions, Row } from './bench.ts'
import { askOnce, load, type Questions } from './load.ts'
import { cores, pinMyself } from './pin.ts'
import { cpuSeconds, rssMb } from './process-usage.ts'

/** What Envoy asks, running. */
export interface Decider extends AsyncDisposable {
  readonly pid: number
  /** `unix:/path` or `host:port`. */
  readonly address: string
}

export interface Ports {
  /** Where the load goes to. */
  readonly port: number
  /** For a model server in the same Envoy, and for a listener that nobody asks. */
  readonly upstreamPort: number
  readonly sparePort: number
}

/** One row to be: what is started, how Envoy asks it, and how it is loaded. */
export interface Contender {
  readonly name: string
  /** What is done, where a benchmark does several things. */
  readonly case?: string
  /** Absent: Envoy alone. */
  start?(folder: string): Promise<Decider>
  bootstrap(ports: Ports, decider: string): JsonObject
  readonly questions: Questions
  /** Requests with a known outcome: what does not decide is not worth measuring. */
  readonly checks: readonly { readonly request: string | Uint8Array; readonly status: string }[]
  /** Fewer connections than asked for, where each is heavy. */
  readonly maxConnections?: number
}

/**
 * Measures one contender after the other, each alone with its Envoy: both on one core, the load on another. A warm-up
 * comes first; a single answer other than 200 ends the benchmark.
 */
export async function measureBehindEnvoy(
  contenders: readonly Contender[],
  options: BenchOptions,
): Promise<Row[]> {
  const rows: Row[] = []
  for (const contender of contenders) {
    if (options.only !== undefined && options.only !== contender.name && options.only !== contender.case)
      continue
    process.stderr.write(`${[contender.name, contender.case].filter(Boolean).join(', ')} …\n`)
    rows.push(await measureOne(contender, options))
  }
  return rows
}

async function measureOne(contender: Contender, options: BenchOptions): Promise<Row> {
  const { name, questions } = contender
  using folder = temporaryFolder()
  // Children inherit it, so that a runtime sizes itself for the core that it will have.
  pinMyself(cores.measured)
  await using decider = await contender.start?.(folder.path)
  const [port, upstreamPort, sparePort] = (await freePorts(3)) as [number, number, number]
  const ports = { port, upstreamPort, sparePort }
  await using envoy = await startEnvoy(contender.bootstrap(ports, decider?.address ?? ''))
  pinMyself(cores.load)

  for (const [index, { request, status }] of contender.checks.entries()) {
    const found = await askOnce(questions, port, request)
    if (found !== status) throw new Error(`${name}: check ${index} gave ${found}, expected ${status}`)
  }
  const connections = Math.min(options.connections, contender.maxConnections ?? Number.POSITIVE_INFINITY)
  const { seconds } = options
  await load(questions, { port, connections, seconds: Math.min(2, seconds) })

  const cpuOf = (pid: number | undefined) => (pid === undefined ? 0 : cpuSeconds(pid))
  const before = { decider: cpuOf(decider?.pid), envoy: cpuOf(envoy.pid) }
  const result = await load(questions, { port, connections, seconds })
  const used = { decider: cpuOf(decider?.pid) - before.decider, envoy: cpuOf(envoy.pid) - before.envoy }
  const others = [...result.statuses].filter(([status]) => status !== '200')
  if (others.length > 0) throw new Error(`${name}: not every request was allowed: ${others.join('; ')}`)
  return {
    name,
    ...(contender.case !== undefined && { case: contender.case }),
    rps: result.requests / result.seconds,
    cpuUs: (used.decider / result.requests) * 1e6,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    rssMb: decider === undefined ? 0 : rssMb(decider.pid),
    connections,
    envoyCpuUs: (used.envoy / result.requests) * 1e6,
    loadPercent: result.loadPercent,
  }
}
