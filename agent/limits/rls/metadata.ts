import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { Counted, Planned } from './plan.ts'
import type { Outcome } from './response.ts'
import type { Compat, Descriptor, DescriptorStatus, LimitOverride } from './types.ts'

/**
 * What Envoy is told for its other filters: what was asked, and what those limits say of themselves that are kept. For
 * `strict` it is what the version says that can be compared with: which limits in quota mode are over.
 */
export function metadataOf(
  { request, planned, states }: Outcome,
  statuses: readonly DescriptorStatus[],
  compat: Compat,
): JsonObject {
  const asked: JsonObject = {
    domain: request.domain,
    descriptors: request.descriptors.map(descriptorOf),
    ...(request.hitsAddend !== 0 && { hitsAddend: request.hitsAddend }),
  }
  if (compat === 'fixed') {
    const kept = keptMetadata(planned, statuses)
    return Object.keys(kept).length === 0 ? asked : { ...asked, metadata: kept }
  }
  const violations = planned.flatMap((each, index) =>
    each.kind === 'counted' && each.isQuota && !each.limit.isShadow && states[each.at]?.isOver ? [index] : [],
  )
  return {
    ...asked,
    ...(violations.length > 0 && { quotaModeViolations: violations }),
    quotaModeEnabled: planned.some((each) => each.kind === 'counted' && each.limit.isQuota),
  }
}

function descriptorOf({ entries, limit, hitsAddend }: Descriptor): JsonObject {
  return {
    entries: entries.map(({ key, value }) => `${key}=${value}`),
    ...(limit !== undefined && { limit: limitText(limit) }),
    ...(hitsAddend !== undefined && { hitsAddend }),
  }
}

/** As Go prints the message: nothing of what is 0, and a week as the number that its version has no name for. */
function limitText({ requestsPerUnit, unit }: LimitOverride): string {
  const unitText = `unit:${unit === 'week' ? '7' : unit.toUpperCase()}`
  return requestsPerUnit === 0 ? unitText : `requests_per_unit:${requestsPerUnit} ${unitText}`
}

function keptMetadata(planned: readonly Planned[], statuses: readonly DescriptorStatus[]): JsonObject {
  let merged: JsonObject = {}
  for (const [index, each] of planned.entries()) {
    if (each.kind !== 'counted' || statuses[index]?.isOverLimit) continue
    const { metadata } = (each as Counted).limit
    if (metadata !== undefined) merged = mergedInto(merged, metadata)
  }
  return merged
}

/** Maps are merged; of anything else what stood there first stays. */
function mergedInto(first: JsonObject, second: JsonObject): JsonObject {
  const merged: Record<string, JsonValue | undefined> = { ...first }
  for (const [key, value] of Object.entries(second)) {
    const before = merged[key]
    if (before === undefined) merged[key] = value
    else if (isJsonObject(before) && isJsonObject(value)) merged[key] = mergedInto(before, value)
  }
  return merged
}
