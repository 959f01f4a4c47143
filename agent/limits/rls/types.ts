import type { JsonObject } from '#base/json.ts'

/** Units of a window, by their names in YAML. */
export const unitSeconds = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
  /** 30 days, and a year 365, as envoyproxy/ratelimit counts them. */
  month: 2_592_000,
  year: 31_536_000,
} as const

export type Unit = keyof typeof unitSeconds

/** `strict` repeats what envoyproxy/ratelimit does wrong; {@link differences} says what that is. */
export type Compat = 'fixed' | 'strict'

/** A limit that Envoy sends with a descriptor, in place of a configured one. */
export interface LimitOverride {
  readonly requestsPerUnit: number
  readonly unit: Unit
  /** How many units a window lasts. */
  readonly multiplier: number
}

export interface Entry {
  readonly key: string
  readonly value: string
}

export interface Descriptor {
  readonly entries: readonly Entry[]
  readonly limit?: LimitOverride | undefined
  /** In place of the request's; 0 only looks. */
  readonly hitsAddend?: number | undefined
  /** Gives back instead of taking. */
  readonly isNegativeHits: boolean
}

/** Of one request, and of each of its descriptors; what is beyond is no request of Envoy. */
export const requestBounds = { descriptors: 64, entries: 32 } as const

/** envoy.service.ratelimit.v3.RateLimitRequest */
export interface RateLimitRequest {
  readonly domain: string
  readonly descriptors: readonly Descriptor[]
  /** 0 stands for 1. */
  readonly hitsAddend: number
}

export interface AppliedLimit {
  readonly requestsPerUnit: number
  readonly unit: Unit
  /** How many units a window lasts. */
  readonly multiplier: number
  /** Empty when it has none. */
  readonly name: string
}

/** What became of one descriptor; without a limit it has none that applies. */
export interface DescriptorStatus {
  readonly isOverLimit: boolean
  readonly limit?: AppliedLimit | undefined
  readonly remaining: number
  /** Absent where it is not told. */
  readonly resetSeconds?: number | undefined
}

/** envoy.service.ratelimit.v3.RateLimitResponse */
export interface RateLimitResponse {
  readonly isOverLimit: boolean
  readonly statuses: readonly DescriptorStatus[]
  /** For the answer to the client. */
  readonly headers?: readonly (readonly [string, string])[] | undefined
  /** For Envoy's other filters and its log. */
  readonly metadata?: JsonObject | undefined
}

/** Why a request has no answer: `invalid` is the caller's fault, the others ours. */
export interface RateLimitFault {
  readonly fault: 'invalid' | 'not_loaded' | 'unavailable' | 'lost'
  readonly why: string
}
