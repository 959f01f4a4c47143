import { Counter, type Metric, type MetricValueWithName, type Registry } from 'prom-client'
import type { DecisionObserver } from '#decision/pipeline.ts'

/** Upper bounds of the buckets, microseconds. */
const boundsUs = [50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 200_000]

/** What is counted of one API. */
interface ApiCounts {
  /** One for each bucket, and one for what is above all of them. */
  readonly buckets: number[]
  sumUs: number
  count: number
  /** By verdict and reason. */
  readonly decisions: Map<string, number>
}

/**
 * Counts and times decisions in plain numbers, and writes them into the registry's metrics when somebody asks: the label
 * objects of a metrics library cost more on every request than the counting.
 */
export function registerDecisionMetrics(registry: Registry): DecisionObserver {
  const apis = new Map<string, ApiCounts>()
  new Counter({
    name: 'sluice_decisions_total',
    help: 'Decisions by API, verdict and reason.',
    labelNames: ['api', 'verdict', 'reason'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [api, counts] of apis) {
        for (const [key, value] of counts.decisions) {
          const [verdict = '', reason = ''] = key.split(' ')
          this.inc({ api, verdict, reason }, value)
        }
      }
    },
  })
  const name = 'sluice_decision_duration_seconds'
  const help = 'Time from the facts to the verdict.'
  // The library's histogram can only be given one value after the other; the registry takes whatever can be read.
  const get = async () => ({
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    values: [...apis].flatMap(([api, counts]) => readings(name, api, counts)),
  })
  registry.registerMetric({ name, help, get } as unknown as Metric)
  return (x, verdict, durationUs) => {
    const { api } = x.request
    let counts = apis.get(api)
    if (counts === undefined) {
      counts = { buckets: boundsUs.map(() => 0).concat(0), sumUs: 0, count: 0, decisions: new Map() }
      apis.set(api, counts)
    }
    const key = verdict.kind === 'allow' ? 'allow' : `${verdict.kind} ${verdict.reason}`
    counts.decisions.set(key, (counts.decisions.get(key) ?? 0) + 1)
    let bucket = 0
    while (bucket < boundsUs.length && durationUs > (boundsUs[bucket] as number)) bucket++
    ;(counts.buckets[bucket] as number)++
    counts.sumUs += durationUs
    counts.count++
  }
}

function readings(
  name: string,
  api: string,
  { buckets, sumUs, count }: ApiCounts,
): MetricValueWithName<'api' | 'le'>[] {
  let below = 0
  const cumulative = buckets.map((own, index) => {
    below += own
    const bound = boundsUs[index]
    const le = bound === undefined ? '+Inf' : bound / 1e6
    return { metricName: `${name}_bucket`, labels: { le, api }, value: below }
  })
  return [
    ...cumulative,
    { metricName: `${name}_sum`, labels: { api }, value: sumUs / 1e6 },
    { metricName: `${name}_count`, labels: { api }, value: count },
  ]
}
