import type { Exchange } from '#decision/exchange.ts'
import { noUsage } from '#decision/usage.ts'
import { type Bound, boundOf, knownPart, type Reservation, reservationOf } from './bound.ts'
import { chargeOf } from './rules/charge.ts'
import type { Rule, Rules, Subject, Terms } from './rules/rules.ts'
import type { Charge } from './store/store.ts'
import { handedInOf, subjectOf } from './subject.ts'

/** One limit that a call is charged to. */
export interface Charged {
  readonly rule: Rule
  readonly terms: Terms
  readonly charge: Charge
  /** There where its cost depends on what the call takes. */
  readonly reservation: Reservation | undefined
}

/** Why a call cannot be charged, by the limit that says so. */
export interface Uncharged {
  readonly why: 'handed_in_invalid' | 'cost_unbounded' | 'cost_failed'
  readonly rule: Rule
}

/** What a call is charged before it runs. */
export interface Bill {
  readonly subject: Subject
  readonly charged: readonly Charged[]
}

/** Works out what a call is charged, or why it cannot be. What never refuses is left out where it cannot be counted. */
export function billOf(x: Exchange, rules: Rules): Bill | Uncharged {
  const subject = subjectOf(x)
  const handedIn = handedInOf(x)
  const charged: Charged[] = []
  let bound: Bound | undefined
  for (const rule of rules.rulesFor(subject)) {
    const terms = rule.termsFor(subject, handedIn)
    if (terms === 'off') continue
    if (terms === 'invalid') return { why: 'handed_in_invalid', rule }
    const isEnforced = terms.mode === 'enforce'
    let reservation: Reservation | undefined
    if (rule.readsUsage) {
      bound ??= boundOf(x)
      reservation = reservationOf(rule.policy, bound)
      if (!rule.isBoundedBy(reservation.usage)) {
        if (isEnforced) return { why: 'cost_unbounded', rule }
        // What never refuses counts what is known.
        reservation = { ...reservation, usage: knownPart(reservation.usage) }
      }
    }
    const cost = rule.costAtMost(reservation?.usage ?? noUsage, subject)
    if (cost !== undefined)
      charged.push({ rule, terms, reservation, charge: chargeOf(rule, { terms, subject, cost }) })
    else if (isEnforced) return { why: 'cost_failed', rule }
  }
  return { subject, charged }
}
