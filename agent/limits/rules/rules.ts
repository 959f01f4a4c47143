import type { RequestHeaders } from '#decision/request-headers.ts'
import type { Usage } from '#decision/usage.ts'
import {
  coversModel,
  limitNameOf,
  type QuotaLimit,
  type QuotaPolicy,
  type QuotaUnit,
  type Resources,
} from '#resources/resources.ts'
import type { Advertised } from '../answer/answer.ts'
import { calendarOf } from '../calendar/calendar.ts'
import type { Calendar, CounterKey, CounterRule } from '../store/store.ts'
import { keyMaker } from './key.ts'
import { termsMaker } from './terms.ts'
import { unitCost } from './units.ts'

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

/** How a limit counts for one subject. The same object for the same numbers. */
export interface Terms {
  readonly counter: CounterRule
  readonly mode: 'enforce' | 'soft' | 'shadow'
  /** Whether it may be granted from what was drawn beforehand; `counter` then makes up for the life of that. */
  readonly isLeased: boolean
  /** The number that was declared, or that stands in its place. */
  readonly quota: number
  /** As clients are told of it. */
  readonly advertised: Advertised
  /** What `RateLimit-Policy` and `RateLimit` say of it. */
  readonly policyText: string
  stateText(remaining: number, resetSeconds: number): string
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
  /** Whether its cost depends on more than that there is a call. */
  readonly readsUsage: boolean
  /** Whether it grows while an answer is generated. */
  readonly readsOutputTokens: boolean
  /** Units of a call that took this much: whole, rounded up, 0 to 2^53-1; `undefined` where the expression gives no such number. */
  cost(usage: Usage, subject: Subject): number | undefined
  /** Whether all of a bound that goes into its cost is one: 2^53-1 stands where nothing bounds an amount. */
  isBoundedBy(bound: Usage): boolean
  /** The same of a call that takes at most this much. */
  costAtMost(bound: Usage, subject: Subject): number | undefined
  keyOf(subject: Subject): CounterKey
  /**
   * How it counts for this subject: by the declared numbers, those of an override, or what was handed in.
   *
   * @returns `off` where an override lifts it, `invalid` where what was handed in is no number of the range
   */
  termsFor(subject: Subject, handedIn: HandedIn): Terms | 'off' | 'invalid'
}

/** All limits of one set of resources. */
export interface Rules {
  /** Those that a call of this subject is charged to. */
  rulesFor(subject: Subject): readonly Rule[]
  readonly all: readonly Rule[]
}

/** The rules that may apply to one tenant. */
interface Shelf {
  readonly rules: readonly Rule[]
  /** Whether all of them apply to every model and route. */
  readonly isOpen: boolean
}

/** Builds the rules of a set of resources; `leaseMs` is how long what is drawn beforehand may be used, 0 where nothing is. */
export function compileRules(resources: Resources, options: { readonly leaseMs: number }): Rules {
  const all = resources.quotas.flatMap((policy) =>
    policy.limits.map((limit) => compileRule(policy, limit, options.leaseMs)),
  )
  const forEveryone = shelf(all.filter(({ policy }) => policy.tenants.includes('*')))
  const byTenant = shelvesOf(all, forEveryone)
  return {
    all,
    rulesFor: (subject) => {
      const { tenant } = subject
      const { rules, isOpen } = (tenant === undefined ? undefined : byTenant.get(tenant)) ?? forEveryone
      return isOpen ? rules : rules.filter(({ policy }) => applies(policy, subject))
    },
  }
}

/** In the order of the policies. Each is looked at once for each of its tenants: there may be ten thousand of both. */
function shelvesOf(all: readonly Rule[], forEveryone: Shelf): ReadonlyMap<string, Shelf> {
  const places = new Map(all.map((rule, place) => [rule, place]))
  const own = new Map<string, Rule[]>()
  for (const rule of all) {
    if (rule.policy.tenants.includes('*')) continue
    for (const tenant of new Set(rule.policy.tenants)) {
      const rules = own.get(tenant)
      if (rules === undefined) own.set(tenant, [rule])
      else rules.push(rule)
    }
  }
  const inOrder = (a: Rule, b: Rule) => (places.get(a) ?? 0) - (places.get(b) ?? 0)
  return new Map(
    [...own].map(([tenant, rules]) => [tenant, shelf([...forEveryone.rules, ...rules].sort(inOrder))]),
  )
}

function shelf(rules: readonly Rule[]): Shelf {
  return { rules, isOpen: rules.every(({ policy: { models, routes } }) => models.includes('*') && !routes) }
}

/** What is not known is covered: nobody is let off by not saying. */
function applies({ models, routes }: QuotaPolicy, { model, route }: Subject): boolean {
  if (model !== undefined && !coversModel(models, model)) return false
  return route === undefined || routes === undefined || routes.includes(route)
}

function calendarFor(period: Extract<QuotaLimit, { kind: 'calendar' }>['period']): Calendar {
  const answer = calendarOf(period)
  if (!answer.ok) throw new Error(`${answer.member} of a period that nobody refused: ${answer.found}`)
  return answer.calendar
}

function compileRule(policy: QuotaPolicy, limit: QuotaLimit, leaseMs: number): Rule {
  const limitName = limitNameOf(limit)
  const name = `${policy.name}/${limitName}`
  const { of, atMost, ...reads } = unitCost(limit)
  const termsFor = termsMaker({
    name,
    limit,
    overrides: policy.overrides.filter((override) => override.limit === limitName),
    calendar: limit.kind === 'calendar' ? calendarFor(limit.period) : undefined,
    leaseMs,
  })
  return {
    name,
    policy,
    limit,
    unit: limit.unit,
    ...reads,
    cost: of,
    costAtMost: atMost,
    keyOf: keyMaker(name, typeof policy.scope === 'string' ? [policy.scope] : policy.scope),
    termsFor,
  }
}
