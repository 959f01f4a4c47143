import { type Clock, systemClock } from '#base/clock.ts'
import { type After, systemAfter } from '#base/timers.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { computingVerbs } from '#decision/verbs.ts'
import { ALLOW, allowWith, type Header, type Mutations, type Verdict } from '#decision/verdict.ts'
import { perResources } from '#resources/resources.ts'
import {
  isOpenAiUnit,
  maxTold,
  openAiHeaders,
  policyHeader,
  type Standing,
  stateHeader,
} from './answer/answer.ts'
import { type Bill, billOf } from './charging.ts'
import { Hold } from './hold.ts'
import type { LimitsObserver } from './observer.ts'
import { storeRefusal, unchargedRefusal, violationRefusal } from './refusal.ts'
import { Renewals } from './renewals.ts'
import { compileRules } from './rules/rules.ts'
import type { CounterState, QuotaStore, ReserveAnswer } from './store/store.ts'

/** Says which soft limits a call goes over, to the client and to the model server. */
const overHeader = 'x-sluice-quota-over'

export interface LimitsOptions {
  readonly store: QuotaStore
  /** How long what was reserved for a call outlives this process. While it runs, it renews what its calls hold. */
  readonly holdMs?: number
  /** How long what is drawn beforehand may be used; 0 where nothing is. */
  readonly leaseMs?: number
  readonly observer?: LimitsObserver
  readonly clock?: Clock
  readonly after?: After
}

/**
 * Quotas of tenants. All limits that a call is for are charged what it may take at most, or none of them; in the end they
 * are settled, once, at what it took.
 *
 * What is not known is counted, never let off: calls without a tenant count together as one more tenant, which the `*`
 * policies cover; a call whose model is not known is charged to the policies of every model.
 */
export function createLimitsStage(options: LimitsOptions): Stage {
  const { store, holdMs = 3_600_000, leaseMs = 0, observer = {}, clock = systemClock } = options
  // Twice before it would end: one question to the store may fail.
  const renewals = new Renewals({ everyMs: holdMs / 3, clock, after: options.after ?? systemAfter })
  const compiled = perResources((resources) => compileRules(resources, { leaseMs }))

  const decided = (x: Exchange, bill: Bill, answer: ReserveAnswer): Verdict => {
    switch (answer.kind) {
      case 'granted': {
        const hold = new Hold({ x, bill, store, clock, holdMs, observer, renewals })
        x.hold = hold
        return granted(x, hold, bill, answer.states, observer)
      }
      case 'refused':
        observeRefusal(bill, answer.states, observer)
        return violationRefusal(bill.charged, answer.states)
      case 'failed':
        return storeRefusal(answer.fault, bill.charged[answer.index])
      default:
        return answer satisfies never
    }
  }

  return {
    name: 'limits',
    failureReason: 'limits_failed',
    request: (x) => {
      if (x.call !== undefined && !computingVerbs.has(x.call.verb)) return ALLOW
      const bill = billOf(x, compiled(x.resources))
      if ('why' in bill) return unchargedRefusal(bill)
      if (bill.charged.length === 0) return ALLOW
      const answer = store.reserve(
        x.id,
        bill.charged.map(({ charge }) => charge),
        holdMs,
      )
      return answer instanceof Promise
        ? answer.then((late) => decided(x, bill, late))
        : decided(x, bill, answer)
    },
    revoke: (x) => {
      if (x.hold instanceof Hold) x.hold.giveBack()
    },
    end: (x) => {
      if (x.hold instanceof Hold) x.hold.settle()
    },
  }
}

/** What an allowed call has changed about it, and what its client is told. */
function granted(
  x: Exchange,
  hold: Hold,
  { charged }: Bill,
  states: readonly CounterState[],
  observer: LimitsObserver,
): Verdict {
  let policies = ''
  let standing = ''
  let told = 0
  const isOpenAi = x.call?.protocol === 'openai'
  let standings: Standing[] | undefined
  let over: string[] | undefined
  let toldOver: string[] | undefined
  for (let i = 0; i < charged.length; i++) {
    const { rule, terms, charge } = charged[i] as Bill['charged'][number]
    const state = states[i] as CounterState
    const isTold = rule.policy.advertise && terms.mode !== 'shadow'
    if (isTold && told < maxTold) {
      told++
      const separator = policies === '' ? '' : ', '
      policies += separator + terms.policyText
      const resetSeconds = Math.ceil(state.resetUs / 1e6)
      standing += separator + terms.stateText(state.remaining, resetSeconds)
      const { unit, quota } = terms.advertised
      if (isOpenAi && isOpenAiUnit(unit)) {
        standings ??= []
        standings.push({ unit, quota, remaining: state.remaining, resetSeconds })
      }
    }
    if (state.isOver && terms.mode === 'soft') {
      over = [...(over ?? []), rule.name]
      if (isTold) toldOver = [...(toldOver ?? []), rule.name]
    }
    if (observer.onOutcome === undefined) continue
    const isOver = state.isOver && terms.mode !== 'enforce'
    const outcome = !isOver ? 'granted' : terms.mode === 'soft' ? 'soft_over' : 'shadow_over'
    observer.onOutcome(rule.name, rule.unit, outcome, charge.cost)
    if (!isOver && state.remaining * 100 <= terms.quota * (100 - rule.limit.warnAtPercent))
      observer.onOutcome(rule.name, rule.unit, 'near', charge.cost)
  }
  const setHeaders: Header[] = []
  if (over !== undefined) setHeaders.push([overHeader, overText(over)])
  // What a server compresses cannot be read.
  if (hold.isMetered) setHeaders.push(['accept-encoding', 'identity'])
  const addResponseHeaders: Header[] = []
  if (policies !== '') addResponseHeaders.push([policyHeader, policies], [stateHeader, standing])
  if (standings !== undefined) addResponseHeaders.push(...openAiHeaders(standings))
  if (toldOver !== undefined) addResponseHeaders.push([overHeader, overText(toldOver)])
  const requestBody = hold.isMetered ? x.meter?.requestReport() : undefined
  if (setHeaders.length === 0 && addResponseHeaders.length === 0 && requestBody === undefined) return ALLOW
  const mutations: Mutations = {
    ...(setHeaders.length > 0 && { setHeaders }),
    ...(addResponseHeaders.length > 0 && { addResponseHeaders }),
    ...(requestBody !== undefined && { requestBody }),
    ...(over !== undefined && { dynamicMetadata: { quota: { over } } }),
  }
  return allowWith(mutations)
}

const overText = (names: readonly string[]): string => names.slice(0, maxTold).join(', ')

function observeRefusal({ charged }: Bill, states: readonly CounterState[], observer: LimitsObserver): void {
  if (observer.onOutcome === undefined) return
  for (const [index, { rule, charge }] of charged.entries())
    if (charge.isEnforced && states[index]?.isOver === true)
      observer.onOutcome(rule.name, rule.unit, 'refused', charge.cost)
}
