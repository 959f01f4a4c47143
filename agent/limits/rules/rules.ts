import type { RequestHeaders } from '#decision/request-headers.ts'
import type { Usage } from '#decision/usage.ts'
import type { QuotaLimit, QuotaPolicy, QuotaUnit, Resources } from '#resources/resources.ts'
import type { CounterKey, CounterRule } from '../store/store.ts'

/** Who and what a limit may be scoped to. What is not known is absent, and counted together. */
export interface Subject {
  readonly tenant?: string | undefined
  /** Issuer and subject of the token. */
  readonly user?: string | undefined
  /** SPIFFE ID of the caller's certificate. */
  readonly peer?: string | undefined
  readonly model?: string | undefined
  readonly version?: string | undefined
  /** Name of Envoy's route. */
  readonly route?: string | undefined
  readonly headers?: RequestHeaders | undefined
}

/** Numbers in place of those that are declared. */
export interface HandedIn {
  /** By `policy/limit`. */
  readonly policy?: ReadonlyMap<string, number> | undefined
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

/** One limit of one policy, ready to be charged. */
export interface Rule {
  /** `policy/limit` */
  readonly name: string
  readonly policy: QuotaPolicy
  readonly limit: QuotaLimit
  readonly unit: QuotaUnit
  /** Whether its cost is only known when the answer is. */
  readonly isMetered: boolean
  /** Units of a call that takes this much: whole, rounded up, 0 to 2^53-1; `undefined` where the expression gives no such number. */
  cost(usage: Usage, subject: Subject): number | undefined
  keyOf(subject: Subject): CounterKey
  /**
   * How it counts for this subject: the declared numbers, those of an override, or what was handed in.
   *
   * @returns `off` where an override lifts it, `invalid` where what was handed in is no number of the range
   */
  counterFor(subject: Subject, handedIn: HandedIn): CounterRule | 'off' | 'invalid'
}

/** All limits of one set of resources. */
export interface Rules {
  /** Those that a call of this subject is charged to. */
  rulesFor(subject: Subject): readonly Rule[]
  readonly all: readonly Rule[]
}

/** Builds the rules of a set of resources; `leaseMs` is how long what is drawn beforehand may be used, 0 where nothing is. */
export function compileRules(_resources: Resources, _options: { readonly leaseMs: number }): Rules {
  return { all: [], rulesFor: () => [] }
}
