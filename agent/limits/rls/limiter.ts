import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '#base/clock.ts'
import { zeros } from '../store/split.ts'
import type { CounterState, QuotaStore, ReserveAnswer, StoreFault } from '../store/store.ts'
import { type LimitCount, LimitCounts } from './limit-counts.ts'
import { type Plan, planRequest } from './plan.ts'
import { responseOf } from './response.ts'
import type { Rules } from './rules.ts'
import type { RateLimitSettings } from './settings.ts'
import {
  type Compat,
  type RateLimitFault,
  type RateLimitRequest,
  type RateLimitResponse,
  requestBounds,
} from './types.ts'

export type RateLimitAnswer = RateLimitResponse | RateLimitFault

export interface RateLimiter {
  /** At once where the counters are here. */
  shouldRateLimit(request: RateLimitRequest): RateLimitAnswer | Promise<RateLimitAnswer>
  /** What came to each limit so far, for metrics. */
  counts(): Iterable<LimitCount>
}

/** How long it can still be taken back that a request was counted, where that may have to be. */
const holdMs = 1000

type States = readonly CounterState[]
/** `id` is there where something was written that can be taken back. */
type Counts = { readonly states: States; readonly id?: string } | RateLimitFault

/**
 * Counts requests against the windows of their limits.
 *
 * `fixed` charges all limits of a request or none, in one step. `strict` charges all of them whatever comes of it, as
 * envoyproxy/ratelimit does.
 */
export function createRateLimiter(options: {
  rules(): Rules | undefined
  readonly store: QuotaStore
  readonly settings: RateLimitSettings
  readonly clock?: Clock
}): RateLimiter {
  const { store, settings, clock = systemClock } = options
  const idPrefix = randomBytes(12).toString('base64url')
  const limitCounts = new LimitCounts()
  let ids = 0
  const newId = () => `${idPrefix}${(ids++).toString(36)}`

  const finish = (request: RateLimitRequest, plan: Plan, counts: Counts, compat: Compat): RateLimitAnswer => {
    if ('fault' in counts) return counts
    const { states, id } = counts
    limitCounts.record(request, plan, states)
    const outcome = { request, planned: plan.planned, states, nowMs: clock.nowMs() }
    const response = responseOf(outcome, settings, compat)
    // All quotas are over: what they were charged comes back.
    if (id !== undefined && response.isOverLimit && compat === 'fixed') void store.settle(id, zeros(states))
    return response
  }

  return {
    counts: () => limitCounts.read(),
    shouldRateLimit: (request) => {
      const rules = options.rules()
      if (rules === undefined) return { fault: 'not_loaded', why: 'no rate limits are loaded' }
      const { compat } = rules
      const fault = requestFault(request, compat)
      if (fault !== undefined) return { fault: 'invalid', why: fault }
      const plan = planRequest(rules, request, settings)
      const counts = count(store, plan, newId)
      return counts instanceof Promise
        ? counts.then((settled) => finish(request, plan, settled, compat))
        : finish(request, plan, counts, compat)
    },
  }
}

function count(store: QuotaStore, plan: Plan, newId: () => string): Counts | Promise<Counts> {
  const { charges } = plan
  if (charges.length === 0) return { states: [] }
  if (plan.isSerial) return countInTurn(store, plan, newId)
  if (plan.back !== undefined) return countWithBack(store, plan, plan.back, newId)
  if (plan.isLook) {
    const states = store.peek(charges)
    return states instanceof Promise ? states.then(lookedAt) : { states }
  }
  const id = newId()
  const answer = store.reserve(id, charges, lifeMs(plan))
  return answer instanceof Promise ? answer.then((later) => reserved(later, id)) : reserved(answer, id)
}

/** What is never taken back is over as soon as it is counted. */
function lifeMs({ hasQuota }: Plan): number {
  return hasQuota ? holdMs : 0
}

function lookedAt(states: States | StoreFault): Counts {
  return typeof states === 'string' ? faultOf(states) : { states }
}

function reserved(answer: ReserveAnswer, id: string): Counts {
  if (answer.kind === 'failed') return faultOf(answer.fault)
  return answer.kind === 'granted' ? { states: answer.states, id } : { states: answer.states }
}

function faultOf(fault: StoreFault): RateLimitFault {
  return fault === 'lost'
    ? { fault, why: 'the counters were lost' }
    : { fault: 'unavailable', why: 'the counters cannot be reached' }
}

/** One charge after the other: two of them have the same counter, and each is told what it found. */
async function countInTurn(store: QuotaStore, { charges }: Plan, newId: () => string): Promise<Counts> {
  const states: CounterState[] = []
  for (const charge of charges) {
    const answer = await store.reserve(newId(), [charge], 0)
    if (answer.kind === 'failed') return faultOf(answer.fault)
    states.push(answer.states[0] as CounterState)
  }
  return { states }
}

/** What is taken first, all or nothing; then what is given back. */
async function countWithBack(
  store: QuotaStore,
  plan: Plan,
  back: readonly number[],
  newId: () => string,
): Promise<Counts> {
  const { charges, isLook } = plan
  const id = newId()
  const counts = isLook
    ? lookedAt(await store.peek(charges))
    : reserved(await store.reserve(id, charges, lifeMs(plan)), id)
  if ('fault' in counts) return counts
  const isRefused = isLook
    ? charges.some(({ isEnforced }, index) => isEnforced && counts.states[index]?.isOver)
    : counts.id === undefined
  if (isRefused) return counts
  const states = [...counts.states]
  for (const [index, units] of back.entries()) {
    const charge = charges[index]
    if (units === undefined || charge === undefined) continue
    const state = await store.adjust(newId(), charge, { back: units })
    if (typeof state === 'string') return faultOf(state)
    states[index] = state
  }
  return { states }
}

function requestFault({ domain, descriptors }: RateLimitRequest, compat: Compat): string | undefined {
  if (domain === '') return 'the domain is empty'
  if (descriptors.length === 0) return 'no descriptors'
  const { descriptors: maxDescriptors, entries: maxEntries } = requestBounds
  if (descriptors.length > maxDescriptors) return `more than ${maxDescriptors} descriptors`
  for (const { entries } of descriptors) {
    if (entries.length === 0 && compat === 'fixed') return 'a descriptor without entries'
    if (entries.length > maxEntries) return `a descriptor of more than ${maxEntries} entries`
  }
  return undefined
}
