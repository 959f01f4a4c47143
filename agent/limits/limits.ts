import { type Clock, systemClock } from '#base/clock.ts'
import type { Exchange, ModelVerb } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, deny, type Refusal, type Verdict } from '#decision/verdict.ts'
import { perResources, type QuotaLimit, type QuotaPolicy } from '#resources/resources.ts'
import { type GcraLimit, gcra, gcraLimit } from './gcra.ts'

/** Verbs that cost the model server work. Asking whether it is ready is never charged. */
const charged: ReadonlySet<ModelVerb> = new Set(['infer', 'stream_infer', 'generate', 'generate_stream'])

interface Counter {
  /** Theoretical arrival time of a rate, microseconds. */
  tatUs: number
  /** Requests that run now. */
  running: number
}

interface Rule {
  readonly policy: QuotaPolicy
  readonly limit: QuotaLimit
  readonly rate?: GcraLimit
  /** What makes its counters the same ones after a reload. */
  readonly identity: string
}

const compiled = perResources((resources) =>
  resources.quotas.flatMap((policy) =>
    policy.limits.map((limit, index): Rule => {
      const identity = JSON.stringify([policy.name, index, limit])
      if (limit.unit === 'concurrency') return { policy, limit, identity }
      const { rate, window, burst = rate } = limit
      return { policy, limit, identity, rate: gcraLimit({ rate, windowMs: window, burst }) }
    }),
  ),
)

/** How many counters may be idle before the oldest are looked over. */
const sweepEvery = 10_000

/**
 * Rates and concurrency of tenants, in this process's memory. Every limit that applies is looked at before any is
 * charged: a refused request costs nothing. A request without a tenant counts as the tenant with the empty name, which
 * only `*` policies cover.
 */
export function createLimitsStage(options: { readonly clock?: Clock } = {}): Stage {
  const { clock = systemClock } = options
  const counters = new Map<string, Counter>()

  const counterOf = (key: string): Counter => {
    let counter = counters.get(key)
    if (counter === undefined) {
      if (counters.size > 0 && counters.size % sweepEvery === 0) sweep(counters, clock.monotonicUs())
      counter = { tatUs: 0, running: 0 }
      counters.set(key, counter)
    }
    return counter
  }

  const reserve = (x: Exchange): Verdict => {
    const { call } = x
    if (call !== undefined && !charged.has(call.verb)) return ALLOW
    const tenant = x.tenant?.name ?? ''
    const model = call?.model ?? ''
    const nowUs = clock.monotonicUs()
    const charges: { readonly counter: Counter; readonly rule: Rule; readonly tatUs: number }[] = []
    for (const rule of compiled(x.resources)) {
      if (!applies(rule.policy, tenant, model)) continue
      const counter = counterOf(
        JSON.stringify([rule.identity, tenant, rule.policy.scope === 'model' ? model : null]),
      )
      if (rule.rate === undefined) {
        if (rule.limit.unit === 'concurrency' && counter.running >= rule.limit.max) {
          return deny('concurrency_limited', rule.policy.name)
        }
        charges.push({ counter, rule, tatUs: 0 })
        continue
      }
      const answer = gcra(counter.tatUs, rule.rate, nowUs)
      if (answer.kind === 'early') return tooEarly(rule, answer.retryAfterUs)
      charges.push({ counter, rule, tatUs: answer.tatUs })
    }
    if (charges.length === 0) return ALLOW
    for (const { counter, rule, tatUs } of charges) {
      if (rule.rate === undefined) counter.running++
      else counter.tatUs = tatUs
    }
    let isHeld = true
    x.hold = {
      limits: charges.map(({ rule }) => rule.limit),
      release: () => {
        if (!isHeld) return
        isHeld = false
        for (const { counter, rule } of charges) if (rule.rate === undefined) counter.running--
      },
      refund: () => {
        for (const { counter, rule } of charges)
          if (rule.rate !== undefined) counter.tatUs -= rule.rate.periodUs
      },
    }
    return ALLOW
  }

  return {
    name: 'limits',
    failureReason: 'limits_failed',
    request: reserve,
    revoke: (x) => {
      x.hold?.refund()
      x.hold?.release()
      delete x.hold
    },
    end: (x) => x.hold?.release(),
  }
}

function tooEarly(rule: Rule, retryAfterUs: number): Refusal {
  return {
    kind: 'deny',
    reason: 'rate_limited',
    detail: rule.policy.name,
    retryAfterSeconds: Math.max(1, Math.ceil(retryAfterUs / 1e6)),
  }
}

function applies(policy: QuotaPolicy, tenant: string, model: string): boolean {
  if (!policy.tenants.includes('*') && !policy.tenants.includes(tenant)) return false
  return policy.models.some((pattern) =>
    pattern.endsWith('*') ? model.startsWith(pattern.slice(0, -1)) : model === pattern,
  )
}

/** Forgets counters that say the same as none would: nothing runs, and the rate has caught up. */
function sweep(counters: Map<string, Counter>, nowUs: number): void {
  for (const [key, counter] of counters) {
    if (counter.running === 0 && counter.tatUs <= nowUs) counters.delete(key)
  }
}
