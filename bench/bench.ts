import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'

/** One line of a benchmark: a server, and what a decision cost it. */
export interface Row {
  readonly name: string
  /** Requests per second through Envoy. */
  readonly rps: number
  /** CPU of the deciding process for one request, microseconds; 0 where there is none. */
  readonly cpuUs: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Resident memory of the deciding process after the load. */
  readonly rssMb: number
  readonly [more: string]: number | string
}

export interface BenchOptions {
  /** How long each measurement lasts. */
  readonly seconds: number
  /** Requests in flight. */
  readonly connections: number
  /** `authz`: also the whole pipeline. */
  readonly isPipelineWanted: boolean
  /** `quota-chaos`: what goes wrong, and when. */
  readonly seed: number
  /** The one contender or case to measure. */
  readonly only?: string | undefined
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '32' },
    seq: { type: 'boolean', default: false },
    pipeline: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
})

const known = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
const [name] = positionals
const options: BenchOptions = {
  seconds: Number(values.seconds),
  connections: values.seq ? 1 : Number(values.connections),
  isPipelineWanted: values.pipeline,
  seed: Number(values.seed),
  only: values.only,
}
const { seconds, connections, seed } = options
const isMeant = seconds > 0 && Number.isInteger(connections) && connections > 0 && Number.isSafeInteger(seed)
if (name === undefined || !known.includes(name) || !isMeant) {
  process.stderr.write(
    'usage: npm run -s bench -- NAME [--json] [--seconds N] [--connections N | --seq] [--pipeline] [--seed N] [--only NAME|CASE]\n' +
      `NAME: ${known.join(', ')}\n`,
  )
  process.exit(2)
}

const { measure } = (await import(`./${name}.bench.ts`)) as {
  measure: (options: BenchOptions) => Promise<Row[]>
}
const rows = await measure(options)
if (values.json) process.stdout.write(`${JSON.stringify({ bench: name, rows })}\n`)
else {
  for (const row of rows) {
    const figures = Object.entries(row).filter(([key]) => key !== 'name')
    const text = figures.map(([key, value]) => `${key} ${typeof value === 'number' ? round(value) : value}`)
    process.stdout.write(`${row.name.padEnd(20)} ${text.join('  ')}\n`)
  }
}

function round(value: number): string {
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(2)
}
