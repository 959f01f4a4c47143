import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRateLimiter, type RateLimitAnswer } from '../../../agent/limits/rls/limiter.ts'
import { type RuleOptions, readRules } from '../../../agent/limits/rls/rules.ts'
import type { RateLimitSettings } from '../../../agent/limits/rls/settings.ts'
import type { Descriptor, RateLimitRequest } from '../../../agent/limits/rls/types.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import { temporaryFolder } from '../../harness/temp.ts'

/** What the service does where nothing is said of it. */
export const defaultSettings: RateLimitSettings = {
  isShadow: false,
  isQuota: false,
  hasMetadata: false,
  isLeased: false,
  onStoreFailure: 'deny',
}

const folder = temporaryFolder()
process.once('exit', () => folder[Symbol.dispose]())
let files = 0

/** A file of this text, in a folder that is gone in the end. */
export function file(text: string): string {
  const path = join(folder.path, `${files++}.yaml`)
  writeFileSync(path, text)
  return path
}

export const asFixed: RuleOptions = { compat: 'fixed', mergeDomains: false }

/** A limiter in memory on a clock that stands until it is moved. */
export function limiter(text: string, options: Partial<RuleOptions & RateLimitSettings> = {}) {
  const { compat = 'fixed', mergeDomains = false, ...settings } = options
  const rules = readRules([file(text)], { compat, mergeDomains })
  const clock = { ms: 1_800_000_000_000, nowMs: () => clock.ms, monotonicUs: () => clock.ms * 1000 }
  const { shouldRateLimit, counts } = createRateLimiter({
    rules: () => rules,
    store: createMemoryStore({ clock }),
    settings: { ...defaultSettings, ...settings },
    clock,
  })
  return { clock, rules, counts, ask: async (request: RateLimitRequest) => await shouldRateLimit(request) }
}

/** `key=value,key=value` */
export function descriptor(path: string, more: Partial<Descriptor> = {}): Descriptor {
  const entries = path.split(',').map((entry) => {
    const [key = '', value = ''] = entry.split('=')
    return { key, value }
  })
  return { entries, isNegativeHits: false, ...more }
}

export function request(...descriptors: readonly (Descriptor | string)[]): RateLimitRequest {
  const each = (one: Descriptor | string) => (typeof one === 'string' ? descriptor(one) : one)
  return { domain: 'models', descriptors: descriptors.map(each), hitsAddend: 0 }
}

/** The request's code and, of the first status, what remains and of what. */
export function told(answer: RateLimitAnswer): readonly unknown[] {
  if ('fault' in answer) return [answer.fault]
  const [status] = answer.statuses
  return [answer.isOverLimit ? 'over' : 'ok', status?.remaining, status?.limit?.requestsPerUnit]
}

/** The request's code, and each descriptor's with what remains. */
export function codes(answer: RateLimitAnswer): readonly string[] {
  if ('fault' in answer) return [answer.fault]
  const code = (isOver: boolean) => (isOver ? 'over' : 'ok')
  return [
    code(answer.isOverLimit),
    ...answer.statuses.map(({ isOverLimit, remaining }) => `${code(isOverLimit)} ${remaining}`),
  ]
}
