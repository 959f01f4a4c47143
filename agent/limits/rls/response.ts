import type { CounterState } from '../store/store.ts'
import { metadataOf } from './metadata.ts'
import type { Counted, Planned } from './plan.ts'
import type { RateLimitSettings } from './settings.ts'
import type { Compat, DescriptorStatus, RateLimitRequest, RateLimitResponse } from './types.ts'

/** What envoyproxy/ratelimit gives as what remains of no limit. */
const unlimited = 0xffff_ffff

const statusOfUnlimited: DescriptorStatus = { isOverLimit: false, remaining: unlimited }
const statusOfNone: DescriptorStatus = { isOverLimit: false, remaining: 0 }

/** What counters said of a request. */
export interface Outcome {
  readonly request: RateLimitRequest
  readonly planned: readonly Planned[]
  /** In the order of the charges. */
  readonly states: readonly CounterState[]
  readonly nowMs: number
}

/** Makes the answer: a status for each descriptor, and one for all of them. */
export function responseOf(outcome: Outcome, settings: RateLimitSettings, compat: Compat): RateLimitResponse {
  const { planned, states, nowMs } = outcome
  const statuses: DescriptorStatus[] = []
  let isOver = false
  let quotas = 0
  let quotasOver = 0
  let nearest: DescriptorStatus | undefined
  for (const each of planned) {
    if (each.kind === 'unlimited') {
      statuses.push(statusOfUnlimited)
      continue
    }
    if (each.kind === 'none') {
      if (settings.isQuota) quotas++
      statuses.push(statusOfNone)
      continue
    }
    const status = statusOf(each, states[each.at] as CounterState, nowMs, compat)
    if (each.isQuota) quotas++
    if (status.isOverLimit && each.isQuota) quotasOver++
    else if (status.isOverLimit) {
      isOver = true
      nearest = status
    }
    if (nearest === undefined || (!nearest.isOverLimit && status.remaining < nearest.remaining))
      nearest = status
    // The version that can be compared with tells of these as of limits that are kept, and not when they end.
    if (compat === 'strict' && each.isQuota && status.isOverLimit)
      statuses.push({ isOverLimit: false, limit: status.limit, remaining: status.remaining })
    else statuses.push(status)
  }
  if (compat === 'fixed' && quotas > 0 && quotas === quotasOver) isOver = true
  const { headers } = settings
  return {
    isOverLimit: isOver && !settings.isShadow,
    statuses,
    headers: headers && nearest && headersOf(headers, nearest),
    metadata: settings.hasMetadata ? metadataOf(outcome, statuses, compat) : undefined,
  }
}

function statusOf(
  { limit, hits }: Counted,
  state: CounterState,
  nowMs: number,
  compat: Compat,
): DescriptorStatus {
  const { resetUs, isOver } = state
  const isStrict = compat === 'strict'
  // A look was at a limit of one more.
  const remaining = isStrict && hits === 0 ? Math.max(0, state.remaining - 1) : state.remaining
  return {
    isOverLimit: isOver && !limit.isShadow && hits >= 0,
    limit: limit.applied,
    remaining: isStrict && isOver ? 0 : remaining,
    resetSeconds: Math.ceil(resetUs > 0 ? resetUs / 1e6 : (limit.lengthMs - (nowMs % limit.lengthMs)) / 1000),
  }
}

type HeaderNames = NonNullable<RateLimitSettings['headers']>

function headersOf(names: HeaderNames, status: DescriptorStatus): readonly (readonly [string, string])[] {
  return [
    [names.limit, `${status.limit?.requestsPerUnit ?? 0}`],
    [names.remaining, `${status.remaining}`],
    [names.reset, `${status.resetSeconds ?? 0}`],
  ]
}
