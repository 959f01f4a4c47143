import { Counter, type Registry } from 'prom-client'

/** Hits that came to one limit since the start. */
export interface RateLimitCount {
  readonly limit: string
  readonly within: number
  readonly over: number
  readonly shadow: number
}

const outcomes = ['within', 'over', 'shadow'] as const

/** Shows what the limits of the rate limit service have counted. */
export function registerRateLimitMetrics(registry: Registry, read: () => Iterable<RateLimitCount>): void {
  new Counter({
    name: 'sluice_rate_limit_hits_total',
    help: 'Hits of the rate limit service by limit: within it, over it, or over it in shadow mode.',
    labelNames: ['limit', 'outcome'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const count of read())
        for (const outcome of outcomes)
          if (count[outcome] > 0) this.inc({ limit: count.limit, outcome }, count[outcome])
    },
  })
}
