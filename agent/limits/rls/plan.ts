import { type Charge, maxUnits } from '../store/store.ts'
import type { Limit } from './limit.ts'
import { type Found, findLimit } from './lookup.ts'
import type { Rules } from './rules.ts'
import type { RateLimitSettings } from './settings.ts'
import type { RateLimitRequest } from './types.ts'

/** What one descriptor of a request is counted against. */
export interface Counted {
  readonly kind: 'counted'
  readonly limit: Limit
  /** Negative for what is given back. */
  readonly hits: number
  /** Which of the charges is its own; several may share one. */
  readonly at: number
  /** Whether it is one of those of which all have to be over. */
  readonly isQuota: boolean
}

export type Planned = Counted | { readonly kind: 'unlimited' } | { readonly kind: 'none' }

/** What a request is counted against, before anything is. */
export interface Plan {
  /** In the order of the descriptors. */
  readonly planned: readonly Planned[]
  readonly charges: readonly Charge[]
  /** The charges that are given back; the others' numbers are 0 there. */
  readonly back: readonly number[] | undefined
  /** Whether nothing is taken. */
  readonly isLook: boolean
  /** Whether all quotas together may refuse what was charged. */
  readonly hasQuota: boolean
  /** Whether two descriptors have one counter and must be counted one after the other. */
  readonly isSerial: boolean
}

const unlimited: Planned = { kind: 'unlimited' }
const none: Planned = { kind: 'none' }
const debtCap = Number.POSITIVE_INFINITY

/** Finds the limits of a request and what it takes of each. */
export function planRequest(rules: Rules, request: RateLimitRequest, settings: RateLimitSettings): Plan {
  const { descriptors, domain } = request
  const isFixed = rules.compat === 'fixed'
  const found: (Found | undefined)[] = []
  let replaced: Set<string> | undefined
  for (const descriptor of descriptors) {
    const each = findLimit(rules, domain, descriptor)
    found.push(each)
    for (const name of each?.limit.replaces ?? []) replaced = (replaced ?? new Set()).add(name)
  }
  const partition = rules.spelling.partition(domain)
  const planned: Planned[] = []
  const charges: Charge[] = []
  let back: number[] | undefined
  let isLook = true
  let isSerial = false
  let hasQuota = false
  for (let i = 0; i < descriptors.length; i++) {
    const each = found[i]
    if (each === undefined) {
      planned.push(none)
      continue
    }
    const { limit, counterId } = each
    if (limit.isUnlimited) {
      planned.push(unlimited)
      continue
    }
    if (replaced?.has(limit.applied.name)) {
      planned.push(none)
      continue
    }
    const { hitsAddend, isNegativeHits } = descriptors[i] as RateLimitRequest['descriptors'][number]
    const addend = Math.min(hitsAddend ?? Math.max(1, request.hitsAddend), maxUnits)
    // That hits can be negative is not known there.
    const isBack = isFixed && isNegativeHits && addend > 0
    const cost = isBack ? 0 : addend
    const isQuota = settings.isQuota || limit.isQuota
    if (isQuota) hasQuota = true
    // What is given back is welcome at a limit that is used up.
    const isEnforced = isFixed && !limit.isShadow && !isQuota && !settings.isShadow && !isBack
    let at = indexOf(charges, counterId)
    if (at !== -1 && isFixed) charges[at] = together(charges[at] as Charge, { cost, isEnforced, limit })
    else {
      if (at !== -1) isSerial = true
      at = charges.length
      charges.push({
        key: { partition, id: counterId, family: limit.family },
        rule: cost === 0 && !isFixed ? limit.beyond : limit.rule,
        cost,
        isEnforced,
        debtCap,
        onStoreFailure: settings.onStoreFailure,
        isLeased: settings.isLeased,
      })
    }
    if (isBack) {
      back ??= []
      back[at] = (back[at] ?? 0) + addend
    }
    if (cost > 0) isLook = false
    planned.push({ kind: 'counted', limit, hits: isBack ? -addend : addend, at, isQuota })
  }
  return { planned, charges, back, isLook, hasQuota: hasQuota && isFixed, isSerial }
}

function indexOf(charges: readonly Charge[], id: string): number {
  for (let i = 0; i < charges.length; i++) if (charges[i]?.key.id === id) return i
  return -1
}

/** A counter is charged once for a request: the sum, against the smaller limit. */
function together(
  charge: Charge,
  more: { readonly cost: number; readonly isEnforced: boolean; readonly limit: Limit },
): Charge {
  const isSmaller = charge.rule.kind === 'calendar' && more.limit.applied.requestsPerUnit < charge.rule.limit
  return {
    ...charge,
    rule: isSmaller ? more.limit.rule : charge.rule,
    cost: Math.min(charge.cost + more.cost, maxUnits),
    isEnforced: charge.isEnforced || more.isEnforced,
  }
}
