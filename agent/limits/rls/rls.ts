import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import { watchPath } from '#base/watch.ts'
import type { QuotaStore } from '../store/store.ts'
import { createRateLimiter, type RateLimiter } from './limiter.ts'
import { type RuleOptions, type Rules, readRules } from './rules.ts'
import type { RateLimitSettings } from './settings.ts'

export { type Difference, differences } from './differences.ts'
export type { RateLimitAnswer, RateLimiter } from './limiter.ts'
export type { RateLimitSettings } from './settings.ts'
export {
  type Compat,
  type Descriptor,
  type DescriptorStatus,
  type RateLimitFault,
  type RateLimitRequest,
  type RateLimitResponse,
  requestBounds,
  type Unit,
} from './types.ts'

export interface LoadedRateLimits extends Disposable {
  readonly limiter: RateLimiter
  /** Why what was read last is not in force. */
  lastError(): string | undefined
  isReady(): boolean
}

/** Loads the files and watches them: a bad one takes no effect, the last good state stays, and so do the counters. */
export function openRateLimits(
  options: {
    /** Files, or folders of them. */
    readonly files: readonly string[]
    readonly store: QuotaStore
    readonly settings: RateLimitSettings
    readonly clock?: Clock
    readonly watchIntervalMs?: number
    readonly onLoad: (load: { readonly domains?: number; readonly problem?: string }) => void
  } & RuleOptions,
): LoadedRateLimits {
  const { files, store, settings, clock = systemClock, onLoad } = options
  let rules: Rules | undefined
  let lastError: string | undefined
  const load = () => {
    try {
      rules = readRules(files, options)
      lastError = undefined
    } catch (thrown) {
      lastError = messageOf(thrown)
    }
    onLoad(lastError === undefined ? { domains: rules?.domains.size ?? 0 } : { problem: lastError })
  }
  load()
  const interval = options.watchIntervalMs === undefined ? {} : { intervalMs: options.watchIntervalMs }
  const watches = files.map((file) => watchPath(file, load, interval))
  return {
    limiter: createRateLimiter({ rules: () => rules, store, settings, clock }),
    lastError: () => lastError,
    isReady: () => rules !== undefined,
    [Symbol.dispose]: () => {
      for (const watch of watches) watch[Symbol.dispose]()
    },
  }
}
