import type { Calendar, Charge, CounterRule, StoreFailurePolicy } from '../../agent/limits/store/store.ts'

/** How long what is drawn beforehand may be used, in these runs. */
export const leaseMs = 400

/** How long what runs at a replica is counted after its last sign, in these runs. */
export const slotLifeMs = 3000

/** One limit as it is promised, and as it is charged. */
export interface ChaosLimit {
  readonly name: string
  readonly promise:
    | { readonly kind: 'rate'; readonly perSecond: number; readonly burst: number }
    | { readonly kind: 'window'; readonly limit: number; readonly windowMs: number }
    | { readonly kind: 'span'; readonly limit: number; readonly spanMs: number }
    | { readonly kind: 'slots'; readonly limit: number }
  readonly isLeased: boolean
  readonly onStoreFailure: StoreFailurePolicy
}

export const limits: readonly ChaosLimit[] = [
  {
    name: 'rate',
    promise: { kind: 'rate', perSecond: 50, burst: 15 },
    isLeased: false,
    onStoreFailure: 'deny',
  },
  {
    name: 'leased-rate',
    promise: { kind: 'rate', perSecond: 400, burst: 500 },
    isLeased: true,
    onStoreFailure: 'deny',
  },
  {
    name: 'window',
    promise: { kind: 'window', limit: 40, windowMs: 500 },
    isLeased: false,
    onStoreFailure: 'deny',
  },
  {
    name: 'leased-window',
    promise: { kind: 'window', limit: 450, windowMs: 1000 },
    isLeased: true,
    onStoreFailure: 'deny',
  },
  {
    name: 'span',
    promise: { kind: 'span', limit: 60, spanMs: 1000 },
    isLeased: false,
    onStoreFailure: 'deny',
  },
  {
    name: 'leased-span',
    promise: { kind: 'span', limit: 450, spanMs: 1000 },
    isLeased: true,
    onStoreFailure: 'deny',
  },
  {
    name: 'shared-span',
    promise: { kind: 'span', limit: 80, spanMs: 1000 },
    isLeased: false,
    onStoreFailure: 'share',
  },
  {
    name: 'shared-rate',
    promise: { kind: 'rate', perSecond: 60, burst: 30 },
    isLeased: false,
    onStoreFailure: 'share',
  },
  {
    name: 'leased-shared-window',
    promise: { kind: 'window', limit: 250, windowMs: 1000 },
    isLeased: true,
    onStoreFailure: 'share',
  },
  {
    name: 'slots',
    promise: { kind: 'slots', limit: 8 },
    isLeased: false,
    onStoreFailure: 'deny',
  },
  // Of it nothing is promised but that it keeps nobody out.
  {
    name: 'allowed-span',
    promise: { kind: 'span', limit: 100, spanMs: 1000 },
    isLeased: false,
    onStoreFailure: 'allow',
  },
]

/** Units that no run uses up; what is counted here is compared with what was recorded. */
export const ledgerLimit = 1e9
const always: Calendar = { spanAt: () => ({ startMs: 0, endMs: 4e12 }) }
const debtCap = Number.POSITIVE_INFINITY

/** What is promised, charged so that the life of a lease is made up for. */
export function chargeOf(limit: ChaosLimit, cost: number): Charge {
  const { name, isLeased, onStoreFailure } = limit
  const rule = ruleOf(limit)
  return {
    key: { partition: 'chaos', id: name },
    rule,
    cost,
    isEnforced: true,
    debtCap,
    onStoreFailure,
    isLeased,
  }
}

/** A counter that refuses nothing and forgets nothing. */
export function ledgerCharge(name: string, cost: number, isLeased: boolean): Charge {
  return {
    key: { partition: 'chaos', id: `${name}-${isLeased ? 'leased' : 'strict'}` },
    rule: { kind: 'calendar', limit: ledgerLimit, calendar: always },
    cost,
    isEnforced: false,
    debtCap,
    onStoreFailure: 'share',
    isLeased,
  }
}

const rules = new Map<ChaosLimit, CounterRule>()

function ruleOf(limit: ChaosLimit): CounterRule {
  let rule = rules.get(limit)
  if (rule === undefined) {
    rule = makeRule(limit)
    rules.set(limit, rule)
  }
  return rule
}

function makeRule({ promise, isLeased }: ChaosLimit): CounterRule {
  const lifeMs = isLeased ? leaseMs : 0
  switch (promise.kind) {
    case 'rate': {
      const burst = promise.burst - (promise.perSecond * lifeMs) / 1000
      const weight = 1_000_000 / promise.perSecond
      return { kind: 'gcra', burst, rate: { tickUs: 1, weight, drain: 1, capacity: burst * weight } }
    }
    case 'window': {
      const sliceMs = promise.windowMs / 10
      return {
        kind: 'sliding',
        limit: promise.limit,
        sliceUs: sliceMs * 1000,
        sliceCount: 10 + lifeMs / sliceMs,
      }
    }
    case 'span': {
      const { spanMs } = promise
      const spanAt = (atMs: number) => {
        const startMs = Math.floor(atMs / spanMs) * spanMs
        return { startMs, endMs: startMs + spanMs }
      }
      return { kind: 'calendar', limit: promise.limit, calendar: { spanAt } }
    }
    case 'slots':
      return { kind: 'concurrency', limit: promise.limit }
    default:
      return promise satisfies never
  }
}
