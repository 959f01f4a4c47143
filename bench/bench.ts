import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'

/** One line of a benchmark: a server, and what a decision cost it. */
export interface Row {
  readonly name: string
  /** Requests per second through Envoy. */
  readonly rps: number
  /** CPU of the deciding process for one decision, microseconds; 0 where there is none. */
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
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '32' },
  },
})

const known = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
const [name] = positionals
if (name === undefined || !known.includes(name)) {
  process.stderr.write(
    `usage: npm run -s bench -- NAME [--json] [--seconds N] [--connections N]\nNAME: ${known.join(', ')}\n`,
  )
  process.exit(2)
}

const { measure } = (await import(`./${name}.bench.ts`)) as {
  measure: (options: BenchOptions) => Promise<Row[]>
}
const rows = await measure({ seconds: Number(values.seconds), connections: Number(values.connections) })
if (values.json) process.stdout.write(`${JSON.stringify({ bench: name, rows })}\n`)
else {
  for (const row of rows) {
    const figures = Object.entries(row).filter(([key]) => key !== 'name')
    const text = figures.map(([key, value]) => `${key} ${typeof value === 'number' ? round(value) : value}`)
    process.stdout.write(`${row.name.padEnd(20)} ${text.join('  ')}\n`)
  }
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2)
}
