import { SluiceError } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
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

/**
 * Whether the data may be processed here: the zones that the tenant allows, narrowed by those of the model, must hold
 * this zone or one it is part of. Sources only ever narrow.
 */
export function createResidencyStage(options: ResidencyOptions): Stage {
  const here = [options.zone, ...options.partOf]
  if (options.zone === '') {
    throw new SluiceError({
      code: 'zone_missing',
      place: 'residency.zone',
      found: 'nothing',
      expected: 'the zone of this agent',
    })
  }
  return {
    name: 'residency',
    failureReason: 'residency_failed',
    request: (x): Verdict => {
      const allowed = x.tenant?.residency?.allow
      if (allowed === undefined && options.requireTag)
        return deny('residency_tag_missing', x.tenant?.name ?? 'no tenant')
      const { modelRoute } = x
      const label = narrow(x, allowed, modelRoute?.zones)
      if (label === undefined) return ALLOW
      return here.some((zone) => label.includes(zone))
        ? ALLOW
        : deny('residency_denied', `allowed ${label.join(' ') || 'nowhere'}, here ${here.join(' ')}`)
    },
  }
}

/** Sets the label of the exchange and gives its zones; `undefined` when nobody said anything. */
function narrow(
  x: Exchange,
  ofTenant: readonly string[] | undefined,
  ofModel: readonly string[] | undefined,
): readonly string[] | undefined {
  const sources = [
    { name: `tenant ${x.tenant?.name ?? ''}`, zones: ofTenant },
    { name: `model ${x.call?.model ?? ''}`, zones: ofModel },
  ].filter((source): source is { name: string; zones: readonly string[] } => source.zones !== undefined)
  const [first, ...rest] = sources
  if (first === undefined) return undefined
  const zones = first.zones.filter((zone) => rest.every((source) => source.zones.includes(zone)))
  x.label = { zones: [...zones].sort(), sources: sources.map((source) => source.name) }
  return x.label.zones
}
