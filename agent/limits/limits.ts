import { type Clock, systemClock } from '#base/clock.ts'
import { charge, type Rate, rateOf, refund, waitUs } from '#base/gcra.ts'
import type { Exchange, QuotaHold } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { computingVerbs } from '#decision/verbs.ts'
import { ALLOW, deny, type Refusal, type Verdict } from '#decision/verdict.ts'
import { coversModel, perResources, type QuotaLimit, type QuotaPolicy } from '#resources/resources.ts'
import { type Counter, Counters } from './counters.ts'

interface Rule {
  readonly policy: QuotaPolicy
  readonly limit: QuotaLimit
  readonly rate?: Rate
  readonly identity: string
}

/** A limit that applies to one request, with the counter it is counted on. */
interface Charge {
  readonly rule: Rule
  readonly counter: Counter
}

const compiled = perResources((resources) => {
  const rules = resources.quotas.flatMap(rulesOf)
  const forEveryone = rules.filter(({ policy }) => policy.tenants.includes('*'))
  const byTenant = new Map(
    [...new Set(rules.flatMap(({ policy }) => policy.tenants))].map((name) => [
      name,
      rules.filter(({ policy }) => policy.tenants.includes(name) || policy.tenants.includes('*')),
    ]),
  )
  return { forEveryone, byTenant }
})

/**
 * Rates and concurrency of tenants, in this process's memory. Every limit that applies is looked at before any is
 * charged: a refused request costs nothing. A counter survives a reload that leaves its limit as it was.
 *
 * What is not known is counted, never let off: requests without a tenant count together as one more tenant, which the
 * `*` policies cover; a request whose model is not known is charged to the policies of every model.
 */
export function createLimitsStage(options: { readonly clock?: Clock } = {}): Stage {
  const { clock = systemClock } = options
  const counters = new Counters()
  let epoch = 0

  const reserve = (x: Exchange): Verdict => {
    const { call, resources } = x
    if (call !== undefined && !computingVerbs.has(call.verb)) return ALLOW
    const tenant = x.tenant?.name ?? ''
    const model = call?.model
    const nowUs = clock.monotonicUs()
    if (resources.epoch > epoch) {
      epoch = resources.epoch
      counters.prune(nowUs)
    }
    const { forEveryone, byTenant } = compiled(resources)
    const charges: Charge[] = []
    for (const rule of byTenant.get(tenant) ?? forEveryone) {
      const { policy, rate, limit } = rule
      if (model !== undefined && !coversModel(policy.models, model)) continue
      const counter = counters.find(rule, tenant, policy.scope === 'model' ? (model ?? '') : '', nowUs)
      if (rate !== undefined) {
        const wait = waitUs(counter, rate, nowUs)
        if (wait > 0) return tooEarly(policy, wait)
      } else if (limit.unit === 'concurrency' && counter.running >= limit.max) {
        return deny('concurrency_limited', policy.name)
      }
      charges.push({ rule, counter })
    }
    if (charges.length > 0) x.hold = take(charges, nowUs, clock)
    return ALLOW
  }

  return {
    name: 'limits',
    failureReason: 'limits_failed',
    request: reserve,
    revoke: (x) => {
      x.hold?.refund()
      x.hold?.release()
    },
    end: (x) => x.hold?.release(),
  }
}

function take(charges: readonly Charge[], nowUs: number, clock: Clock): QuotaHold {
  for (const { rule, counter } of charges) {
    if (rule.rate === undefined) counter.running++
    else charge(counter, rule.rate, nowUs)
  }
  let [isRunning, isCharged] = [true, true]
  return {
    limits: charges.map(({ rule }) => rule.limit),
    release: () => {
      if (!isRunning) return
      isRunning = false
      for (const { rule, counter } of charges) if (rule.rate === undefined) counter.running--
    },
    refund: () => {
      if (!isCharged) return
      isCharged = false
      for (const { rule, counter } of charges)
        if (rule.rate !== undefined) refund(counter, rule.rate, nowUs, clock.monotonicUs())
    },
  }
}

function rulesOf(policy: QuotaPolicy): Rule[] {
  return policy.limits.map((limit, index) => {
    const identity = JSON.stringify([policy.name, index, policy.scope, limit])
    if (limit.unit === 'concurrency') return { policy, limit, identity }
    const { rate, window, burst = rate } = limit
    return { policy, limit, identity, rate: rateOf({ rate, windowMs: window, burst }) }
  })
}

function tooEarly(policy: QuotaPolicy, waitUs: number): Refusal {
  const retryAfterSeconds = Math.ceil(waitUs / 1e6)
  return { kind: 'deny', reason: 'rate_limited', detail: policy.name, retryAfterSeconds }
}
