import type { Clock } from '#base/clock.ts'
import { noUsage, type Usage } from '#decision/usage.ts'
import type { Resources } from '#resources/resources.ts'
import { chargeOf } from '../rules/charge.ts'
import { compileRules, type Rule, type Subject } from '../rules/rules.ts'
import { createMemoryStore } from '../store/memory.ts'
import type { Charge, ReserveAnswer } from '../store/store.ts'
import type { SimulatedCall } from './calls.ts'

export { readCalls } from './calls.ts'

/** What a limit would have done. */
export interface SimulatedLimit {
  /** `policy/limit` */
  readonly limit: string
  readonly unit: string
  readonly mode: string
  readonly calls: number
  /** Calls that this limit let through, or would have. */
  readonly granted: number
  readonly over: number
  /** Units that were charged. */
  readonly charged: number
  /** When it was over for the first time. */
  readonly firstOver?: string
  /** Refused calls by tenant, the most first; ten at most. */
  readonly tenants: readonly { readonly tenant: string; readonly over: number }[]
}

export interface Simulation {
  readonly calls: number
  readonly refused: number
  readonly limits: readonly SimulatedLimit[]
}

interface Tally {
  calls: number
  over: number
  charged: number
  firstOverMs: number | undefined
  readonly tenants: Map<string, number>
}

/**
 * Plays calls against the quotas of `resources` in virtual time, with the engine that decides in the agent. Calls are taken
 * in the order of their times; what runs ends when its time is over.
 */
export function simulate(resources: Resources, calls: readonly SimulatedCall[]): Simulation {
  const inOrder = [...calls].sort((a, b) => a.atMs - b.atMs)
  let nowMs = inOrder[0]?.atMs ?? 0
  const clock: Clock = { nowMs: () => nowMs, monotonicUs: () => nowMs * 1000 }
  const store = createMemoryStore({ clock })
  const rules = compileRules(resources, { leaseMs: 0 })
  const tallies = new Map<Rule, Tally>()
  const running: { readonly id: string; readonly endMs: number; readonly costs: readonly number[] }[] = []
  let refused = 0
  const endBefore = (atMs: number) => {
    running.sort((a, b) => a.endMs - b.endMs)
    for (let first = running[0]; first !== undefined && first.endMs <= atMs; first = running[0]) {
      nowMs = Math.max(nowMs, first.endMs)
      void store.settle(first.id, first.costs)
      running.shift()
    }
  }
  for (const [index, { atMs, durationMs, subject, usage }] of inOrder.entries()) {
    endBefore(atMs)
    nowMs = atMs
    const charged = charges(rules.rulesFor(subject), subject, { ...noUsage, inferences: 1, ...usage })
    const id = `simulated-${index}`
    // Its own memory answers at once.
    const answer = store.reserve(
      id,
      charged.map(({ charge }) => charge),
      durationMs + 1,
    ) as ReserveAnswer
    if (answer.kind !== 'granted') refused++
    else running.push({ id, endMs: atMs + durationMs, costs: charged.map(({ actual }) => actual) })
    charged.forEach(({ rule, actual }, at) => {
      const isOver = answer.kind === 'failed' || answer.states[at]?.isOver === true
      count(tallies, rule, {
        isOver,
        isCharged: answer.kind === 'granted',
        cost: actual,
        atMs,
        tenant: subject.tenant ?? '',
      })
    })
  }
  return { calls: inOrder.length, refused, limits: rules.all.map((rule) => summary(rule, tallies.get(rule))) }
}

function charges(
  rules: readonly Rule[],
  subject: Subject,
  usage: Usage,
): { readonly rule: Rule; readonly charge: Charge; readonly actual: number }[] {
  // Nobody can tell these before the answer is there.
  const known = { ...usage, responseBytes: 0, gpuMs: 0 }
  return rules.flatMap((rule) => {
    const terms = rule.termsFor(subject, {})
    if (typeof terms === 'string') return []
    // A cost that is no number refuses in the agent; here it is more than there can be.
    const cost = rule.cost(known, subject) ?? Number.MAX_SAFE_INTEGER
    const actual = rule.cost(usage, subject) ?? cost
    return [{ rule, charge: chargeOf(rule, { terms, subject, cost }), actual }]
  })
}

function count(
  tallies: Map<Rule, Tally>,
  rule: Rule,
  one: {
    readonly isOver: boolean
    readonly isCharged: boolean
    readonly cost: number
    readonly atMs: number
    readonly tenant: string
  },
): void {
  let tally = tallies.get(rule)
  if (tally === undefined) {
    tally = { calls: 0, over: 0, charged: 0, firstOverMs: undefined, tenants: new Map() }
    tallies.set(rule, tally)
  }
  tally.calls++
  if (one.isCharged) tally.charged += one.cost
  if (!one.isOver) return
  tally.over++
  tally.firstOverMs ??= one.atMs
  tally.tenants.set(one.tenant, (tally.tenants.get(one.tenant) ?? 0) + 1)
}

function summary(rule: Rule, tally: Tally | undefined): SimulatedLimit {
  const { calls = 0, over = 0, charged = 0, firstOverMs, tenants = new Map<string, number>() } = tally ?? {}
  return {
    limit: rule.name,
    unit: rule.unit,
    mode: rule.limit.mode,
    calls,
    granted: calls - over,
    over,
    charged,
    ...(firstOverMs !== undefined && { firstOver: new Date(firstOverMs).toISOString() }),
    tenants: [...tenants]
      .map(([tenant, count]) => ({ tenant, over: count }))
      .sort((a, b) => b.over - a.over)
      .slice(0, 10),
  }
}
