import { overloadSchema } from '#config/overload-schema.ts'
import type { Exchange } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { openOverload } from '#limits/overload/overload.ts'
import { noResources } from '#resources/resources.ts'
import { someRequest } from '../test/decision/an-exchange.ts'
import type { BenchOptions, Row } from './bench.ts'
import { cores, pinMyself } from './pin.ts'
import { rssMb } from './process-usage.ts'

const everything = {
  models: [{ models: ['*'], breaker: {} }],
  tenants: [{ tenants: ['acme'], weight: 4 }],
  anomaly: { action: 'deny' as const },
}
const cases = {
  limit: { models: [{ models: ['*'] }] },
  everything,
  'load in answers': { ...everything, reportLoad: true },
}

/** What a call costs that need not wait, from its request to its end: the least mean of a batch. */
export async function measure(options: BenchOptions): Promise<Row[]> {
  pinMyself(cores.measured)
  const rows: Row[] = []
  for (const [name, config] of Object.entries(cases)) {
    if (options.only !== undefined && options.only !== name) continue
    await using overload = openOverload({ settings: overloadSchema.parse(config), onEvent: () => {} })
    const { stage } = overload
    const served = { httpStatus: 200, headers: new RequestHeaders(), isBodyComplete: true }
    const end = performance.now() + options.seconds * 1000
    let bestUs = Number.POSITIVE_INFINITY
    while (performance.now() < end) {
      const batch = Array.from({ length: 500 }, anExchange)
      const began = performance.now()
      for (const x of batch) {
        const verdict = stage.request?.(x)
        if (verdict === undefined || verdict instanceof Promise) throw new Error('it waits')
        x.served = served
        stage.response?.(x)
        stage.end?.(x)
      }
      bestUs = Math.min(bestUs, ((performance.now() - began) * 1000) / batch.length)
    }
    rows.push({ name, rps: 1e6 / bestUs, cpuUs: bestUs, p50Ms: 0, p99Ms: 0, rssMb: rssMb(process.pid) })
  }
  return rows
}

const names = ['content-type', 'content-length', 'accept', 'user-agent', 'x-request-id', 'x-forwarded-proto']

const headers = [':method', ':path', ':authority', ':scheme', ...names].map(
  (name) => [name, 'value'] as const,
)

function anExchange(): Exchange {
  return {
    id: 'x',
    request: someRequest({ client: 'json', headers }),
    resources: noResources,
    startedUs: 0,
    tenant: { name: 'acme', peers: [], models: ['*'], residency: { allow: [] } },
    call: { protocol: 'v2-http', verb: 'infer', model: 'fraud' },
    route: { version: '1', by: 'split' },
  }
}
