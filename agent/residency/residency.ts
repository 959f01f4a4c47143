import type { Exchange, ResidencyLabel } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, deny, type Verdict } from '#decision/verdict.ts'

export interface ResidencyOptions {
  /** The zone this agent stands in. */
  readonly zone: string
  /** Larger zones that it belongs to. */
  readonly partOf: readonly string[]
  /** Whether a tenant that says nothing is refused. */
  readonly requireTag: boolean
}

/** Somebody who says where the data may be processed. */
interface Source {
  readonly name: string
  readonly zones: readonly string[]
}

/**
 * Whether the data may be processed here: every source that speaks (the tenant, the model) must allow this zone or one
 * it is part of. Sources only ever narrow. A zone is a name, not a prefix: `AE` does not hold `AE-DIFC`, which has a law
 * of its own, unless `partOf` says so.
 */
export function createResidencyStage(options: ResidencyOptions): Stage {
  const { zone, requireTag } = options
  const here = [zone, ...options.partOf]
  return {
    name: 'residency',
    failureReason: 'residency_failed',
    request: (x): Verdict => {
      if (requireTag && x.tenant?.residency === undefined)
        return deny('residency_tag_missing', x.tenant?.name ?? 'no tenant')
      const sources = sourcesOf(x)
      if (sources.length === 0) return ALLOW
      x.label = intersection(sources, here)
      return x.label.zones.includes(zone)
        ? ALLOW
        : deny('residency_denied', `here ${here.join(' ')}; ${sources.map(said).join('; ')}`)
    },
  }
}

function sourcesOf({ tenant, call, modelRoute }: Exchange): Source[] {
  const sources: Source[] = []
  if (tenant?.residency !== undefined)
    sources.push({ name: `tenant ${tenant.name}`, zones: tenant.residency.allow })
  if (modelRoute?.zones !== undefined)
    sources.push({ name: `model ${call?.model ?? modelRoute.model}`, zones: modelRoute.zones })
  return sources
}

/**
 * The zones in every source by name, and this one if each source names it or a zone it is part of: `GCC` and `AE` have
 * `AE` in common, seen from an agent that stands in AE, part of GCC.
 */
function intersection(sources: readonly Source[], here: readonly string[]): ResidencyLabel {
  const [zone = ''] = here
  const [first, ...rest] = sources
  const common = new Set(first?.zones.filter((each) => rest.every(({ zones }) => zones.includes(each))))
  if (sources.every(({ zones }) => here.some((each) => zones.includes(each)))) common.add(zone)
  return { zones: [...common].sort(), sources: sources.map(({ name }) => name) }
}

function said({ name, zones }: Source): string {
  return `${name} allows ${zones.join(' ')}`
}
