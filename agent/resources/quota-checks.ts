import { rateOf } from '#base/gcra.ts'
import { type CostFacts, outputNumbers, parseCost } from './cost/cost.ts'
import { limitNameOf, type QuotaLimit } from './quota-limit.ts'

/** What of a policy is looked at together. */
export interface QuotaSpec {
  readonly tenants: readonly string[]
  readonly scope: string | readonly string[]
  readonly limits: readonly QuotaLimit[]
  readonly overrides: readonly QuotaOverride[]
  readonly reserve: { readonly outputTokens: number; readonly slice?: number | undefined }
}

export interface QuotaOverride {
  readonly tenant: string
  readonly limit: string
  readonly rate?: number | undefined
  readonly burst?: number | undefined
  readonly amount?: number | undefined
  readonly max?: number | undefined
  readonly mode?: 'enforce' | 'soft' | 'shadow' | 'off' | undefined
}

/** Where in the policy, and what was expected there. */
export interface QuotaFault {
  readonly path: readonly (string | number)[]
  readonly expected: string
}

interface Context {
  addIssue(issue: {
    readonly code: 'custom'
    readonly path: (string | number)[]
    readonly message: string
  }): void
}

/** What no single member of a policy can know: whether its members fit each other. */
export function checkQuotaPolicy(spec: QuotaSpec, context: Context): void {
  for (const { path, expected } of [...nameFaults(spec), ...limitFaults(spec), ...overrideFaults(spec)])
    context.addIssue({ code: 'custom', path: [...path], message: expected })
}

/**
 * Leased limits of which nothing would be left: what drains during the life of a lease comes off the burst, so that no
 * window ever sees more than it should.
 */
export function leaseFaults(
  { limits, overrides }: QuotaSpec,
  leaseMs: number,
): readonly (QuotaFault & { readonly found: string })[] {
  return limits.flatMap((limit, index) => {
    if (limit.kind !== 'gcra' || limit.store !== 'leased') return []
    const own = overrides
      .map((override, at) => ({ override, path: ['overrides', at] }))
      .filter(({ override }) => override.limit === limitNameOf(limit))
    const all = [
      { path: ['limits', index], rate: limit.rate, burst: limit.burst },
      ...own.map(({ override, path }) => ({
        path,
        rate: override.rate ?? limit.rate,
        burst: override.burst ?? limit.burst,
      })),
    ]
    return all.flatMap(({ path, rate, burst = rate }) => {
      const drained = Math.ceil((rate * leaseMs) / limit.window)
      if (burst > drained) return []
      return [
        {
          path,
          found: `a burst of ${burst}, of which a lease of ${leaseMs} ms takes ${drained}`,
          expected: `a burst above ${drained}, a shorter limits.leaseMs, or store: strict`,
        },
      ]
    })
  })
}

function nameFaults({ limits, scope }: QuotaSpec): QuotaFault[] {
  const names = limits.map(limitNameOf)
  const faults = names.flatMap((name, index): QuotaFault[] => {
    const first = names.indexOf(name)
    if (first === index) return []
    return [
      {
        path: ['limits', index, 'name'],
        expected: `a name of its own: limits.${first} is called ${name} too`,
      },
    ]
  })
  const scopes = typeof scope === 'string' ? [scope] : scope
  scopes.forEach((each, index) => {
    if (scopes.indexOf(each) !== index) faults.push({ path: ['scope', index], expected: `${each} only once` })
  })
  return faults
}

function limitFaults({ limits, reserve }: QuotaSpec): QuotaFault[] {
  const { slice } = reserve
  const faults = limits.flatMap((limit, index): QuotaFault[] => {
    const at = ['limits', index]
    const uncountable = limit.kind === 'gcra' ? rateFault(limit.rate, limit.window, limit.burst) : undefined
    if (uncountable !== undefined)
      return [{ path: [...at, uncountable.member], expected: uncountable.expected }]
    const [member, most] = sizeOf(limit)
    const least = slice === undefined || limit.kind === 'concurrency' ? 0 : sliceCost(limit, slice)
    if (least <= most) return []
    const expected = `at least ${least}: what one slice of ${slice} output tokens costs; less could never be reserved`
    return [{ path: [...at, member], expected }]
  })
  if (slice !== undefined && !limits.some(readsOutputTokens))
    faults.push({ path: ['reserve', 'slice'], expected: 'a limit that counts output tokens, or no slice' })
  return faults
}

function sizeOf(limit: QuotaLimit): readonly [member: string, most: number] {
  switch (limit.kind) {
    case 'gcra':
      return limit.burst === undefined ? ['rate', limit.rate] : ['burst', limit.burst]
    case 'sliding':
    case 'calendar':
      return ['limit', limit.limit]
    case 'concurrency':
      return ['max', limit.max]
    default:
      return limit satisfies never
  }
}

function readsOutputTokens(limit: QuotaLimit): boolean {
  if (limit.kind === 'concurrency') return false
  if (limit.cost === undefined) return limit.unit === 'outputTokens' || limit.unit === 'tokens'
  const parsed = parseCost(limit.cost)
  return parsed.ok && !parsed.cost.reads.isDisjointFrom(outputNumbers)
}

/** What a slice alone costs; 0 where that is not to be known. */
function sliceCost(limit: Exclude<QuotaLimit, { kind: 'concurrency' }>, slice: number): number {
  if (!readsOutputTokens(limit)) return 0
  if (limit.cost === undefined) return slice
  const facts: CostFacts = {
    number: (name) => (name === 'output_tokens' || name === 'tokens' ? slice : name === 'requests' ? 1 : 0),
    text: () => '',
  }
  const parsed = parseCost(limit.cost)
  return (parsed.ok && parsed.cost.evaluate(facts)) || 0
}

function rateFault(
  rate: number,
  windowMs: number,
  burst: number | undefined,
): { readonly member: string; readonly expected: string } | undefined {
  if (rateOf({ rate, windowMs, burst: burst ?? rate }) !== undefined) return undefined
  return {
    member: burst === undefined ? 'rate' : 'burst',
    expected:
      'numbers that can be counted exactly enough: a smaller burst, a rounder rate, or a shorter window',
  }
}

function overrideFaults({ limits, overrides, tenants }: QuotaSpec): QuotaFault[] {
  const names = limits.map(limitNameOf)
  const seen = new Set<string>()
  return overrides.flatMap((override, index): QuotaFault[] => {
    const at = ['overrides', index]
    const limit = limits[names.indexOf(override.limit)]
    if (limit === undefined) return [{ path: [...at, 'limit'], expected: `one of ${names.join(', ')}` }]
    if (!tenants.includes('*') && !tenants.includes(override.tenant))
      return [{ path: [...at, 'tenant'], expected: `a tenant of this policy: ${tenants.join(', ')}` }]
    const key = `${override.tenant}/${override.limit}`
    if (seen.has(key))
      return [{ path: at, expected: `only one override of ${override.limit} for ${override.tenant}` }]
    seen.add(key)
    return memberFaults(override, limit).map(({ path, expected }) => ({ path: [...at, ...path], expected }))
  })
}

const changes = ['rate', 'burst', 'amount', 'max', 'mode'] as const

function memberFaults(override: QuotaOverride, limit: QuotaLimit): QuotaFault[] {
  const { kind } = limit
  const fit: readonly string[] =
    kind === 'gcra'
      ? ['rate', 'burst', 'mode']
      : kind === 'concurrency'
        ? ['max', 'mode']
        : ['amount', 'mode']
  const given = changes.filter((name) => override[name] !== undefined)
  if (given.length === 0) return [{ path: [], expected: `what is other: ${fit.join(', ')}` }]
  const foreign = given.filter((name) => !fit.includes(name))
  if (foreign.length > 0)
    return foreign.map((name) => ({
      path: [name],
      expected: `${fit.join(', ')} for a limit of kind ${kind}`,
    }))
  if (kind !== 'gcra') return []
  const { rate = limit.rate, burst = limit.burst } = override
  const uncountable = rateFault(rate, limit.window, burst)
  if (uncountable === undefined) return []
  const member = override.burst === undefined ? 'rate' : 'burst'
  return [{ path: [member], expected: uncountable.expected }]
}
