import { createHash } from 'node:crypto'
import { compileLimit, type Limit } from './limit.ts'
import type { Node, Rules } from './rules.ts'
import type { Descriptor } from './types.ts'

/** Longer names stand in a digest: clients write values of many kilobytes, and each new one is a name that is kept. */
const maxIdLength = 256

/** The limit that applies to a descriptor, and where it is counted. */
export interface Found {
  readonly limit: Limit
  /** The name of its counter in the partition of the domain. */
  readonly counterId: string
}

/**
 * Follows a descriptor through the rules of its domain. What applies is the rule at its very end: neither one that is
 * reached before, nor one further below. A limit that comes with the descriptor goes before it.
 */
export function findLimit(rules: Rules, domain: string, descriptor: Descriptor): Found | undefined {
  const root = rules.domains.get(domain)
  if (root === undefined) return undefined
  const { entries, limit: override } = descriptor
  const { spelling } = rules
  if (override !== undefined) {
    const limit = compileLimit({ ...override, name: '' })
    let counterId = spelling.head(domain, limit.windowText)
    for (const { key, value } of entries) counterId += spelling.entry(key, value)
    return { limit, counterId: kept(counterId) }
  }
  let node: Node = root
  let text = ''
  for (const entry of entries) {
    const match = node.level.find(entry)
    if (match === undefined) return undefined
    node = match.next
    text +=
      match.pattern !== undefined && node.isShared
        ? spelling.shared(entry.key, match.pattern)
        : spelling.entry(entry.key, entry.value)
  }
  const { limit } = node
  if (limit === undefined) return undefined
  return { limit, counterId: kept(spelling.head(domain, limit.windowText) + text) }
}

/** Every name begins with its window, so that none is the digest of another. */
function kept(counterId: string): string {
  if (counterId.length <= maxIdLength) return counterId
  return `#${createHash('sha256').update(counterId, 'utf16le').digest('base64url')}`
}
