import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import { watchPath } from '#base/watch.ts'
import { findRule, type Rule, type Rules, readRules } from './rules.ts'
import {
  type Descriptor,
  type DescriptorStatus,
  type RateLimitRequest,
  type RateLimitResponse,
  unitSeconds,
} from './types.ts'
import { Windows } from './windows.ts'

export type { Descriptor, DescriptorStatus, RateLimitRequest, RateLimitResponse, Unit } from './types.ts'

/** Why a request has no answer: `invalid` is the caller's fault, the others ours. */
export interface RateLimitFault {
  readonly fault: 'invalid' | 'not_loaded' | 'too_many_keys'
  readonly why: string
}

export interface RateLimiter {
  shouldRateLimit(request: RateLimitRequest): RateLimitResponse | RateLimitFault
}

/** What envoyproxy/ratelimit gives as what remains of no limit. */
const unlimited = 0xffff_ffff

/** Bounds of one request; what is beyond is no request of Envoy. */
const maxDescriptors = 64
const maxEntries = 32

/**
 * Counts hits in fixed windows that are aligned to the clock, as envoyproxy/ratelimit does: every descriptor of a request
 * is counted on its own, also the one that is over its limit.
 *
 * Two things are different on purpose. Keys are written so that no two descriptors share a counter. A request that only
 * looks (`hits_addend: 0`) at a limit that is used up is told so.
 */
export function createRateLimiter(options: {
  rules(): Rules | undefined
  readonly clock?: Clock
}): RateLimiter {
  const { clock = systemClock } = options
  const windows = new Windows()

  const statusOf = (
    request: RateLimitRequest,
    descriptor: Descriptor,
    rule: Rule | undefined,
    nowSeconds: number,
  ): DescriptorStatus | RateLimitFault => {
    const { limit: override } = descriptor
    if (override === undefined && rule === undefined)
      return { isOverLimit: false, remaining: 0, resetSeconds: 0 }
    if (override === undefined && rule?.isUnlimited)
      return { isOverLimit: false, remaining: unlimited, resetSeconds: 0 }
    const limit = override ?? (rule as Rule)
    const { unit, requestsPerUnit } = limit
    const seconds = unitSeconds[unit] * (override?.multiplier ?? 1)
    const endsAtSeconds = (Math.floor(nowSeconds / seconds) + 1) * seconds
    const key = JSON.stringify([
      request.domain,
      seconds,
      ...descriptor.entries.flatMap((entry) => [entry.key, entry.value]),
    ])
    const addend = descriptor.hitsAddend ?? (request.hitsAddend === 0 ? 1 : request.hitsAddend)
    const hits = descriptor.isNegativeHits ? -addend : addend
    const before = windows.used(key, nowSeconds)
    if (!windows.add({ key, hits, endsAtSeconds, nowSeconds }))
      return { fault: 'too_many_keys', why: 'no room for another counter' }
    const isOver = hits === 0 ? before >= requestsPerUnit : hits > 0 && before + hits > requestsPerUnit
    return {
      // A limit that comes with the request is meant, whatever the configuration says of the one it replaces.
      isOverLimit: isOver && !(override === undefined && rule?.isShadow),
      limit: { requestsPerUnit, unit, name: override === undefined ? (rule?.name ?? '') : '' },
      remaining: Math.max(0, requestsPerUnit - Math.max(0, before + hits)),
      resetSeconds: Math.ceil(endsAtSeconds - nowSeconds),
    }
  }

  return {
    shouldRateLimit: (request) => {
      const rules = options.rules()
      if (rules === undefined) return { fault: 'not_loaded', why: 'no rate limits are loaded' }
      const fault = requestFault(request)
      if (fault !== undefined) return { fault: 'invalid', why: fault }
      const nowSeconds = clock.nowMs() / 1000
      const found = request.descriptors.map((each) => findRule(rules, request.domain, each))
      const replaced = new Set(found.flatMap((rule) => rule?.replaces ?? []))
      const statuses: DescriptorStatus[] = []
      for (const [index, descriptor] of request.descriptors.entries()) {
        const rule = found[index]
        const isReplaced = rule !== undefined && rule.name !== '' && replaced.has(rule.name)
        const status = statusOf(request, descriptor, isReplaced ? undefined : rule, nowSeconds)
        if ('fault' in status) return status
        statuses.push(status)
      }
      return { isOverLimit: statuses.some(({ isOverLimit }) => isOverLimit), statuses }
    },
  }
}

function requestFault({ domain, descriptors }: RateLimitRequest): string | undefined {
  if (domain === '') return 'the domain is empty'
  if (descriptors.length === 0) return 'no descriptors'
  if (descriptors.length > maxDescriptors) return `more than ${maxDescriptors} descriptors`
  for (const { entries } of descriptors) {
    if (entries.length === 0) return 'a descriptor without entries'
    if (entries.length > maxEntries) return `a descriptor of more than ${maxEntries} entries`
  }
  return undefined
}

export interface LoadedRateLimits extends Disposable {
  readonly limiter: RateLimiter
  /** Why what was read last is not in force. */
  lastError(): string | undefined
  isReady(): boolean
}

/** Loads the files and watches them: a bad one takes no effect, the last good state stays, and so do the counters. */
export function openRateLimits(options: {
  readonly files: readonly string[]
  readonly clock?: Clock
  readonly watchIntervalMs?: number
  readonly onLoad: (load: { readonly domains?: number; readonly problem?: string }) => void
}): LoadedRateLimits {
  const { files, clock = systemClock, onLoad } = options
  let rules: Rules | undefined
  let lastError: string | undefined
  const load = () => {
    try {
      rules = readRules(files)
      lastError = undefined
    } catch (thrown) {
      lastError = messageOf(thrown)
    }
    onLoad(lastError === undefined ? { domains: rules?.size ?? 0 } : { problem: lastError })
  }
  load()
  const interval = options.watchIntervalMs === undefined ? {} : { intervalMs: options.watchIntervalMs }
  const watches = files.map((file) => watchPath(file, load, interval))
  return {
    limiter: createRateLimiter({ rules: () => rules, clock }),
    lastError: () => lastError,
    isReady: () => rules !== undefined,
    [Symbol.dispose]: () => {
      for (const watch of watches) watch[Symbol.dispose]()
    },
  }
}
