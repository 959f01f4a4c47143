import type { JsonValue } from '#base/json.ts'
import { canonical, type Difference, firstDifference, shown } from '../difference/difference.ts'

/** What two bundles say to one question. */
export interface Compared {
  /** The file, the line, the decision id: what the person finds it by. */
  readonly name: string
  readonly before: Said
  readonly after: Said
}

/** A result, or why there is none. */
export interface Said {
  readonly result: JsonValue | undefined
  readonly error?: string
}

/** Questions to which the answers part at the same place in the same way. */
export interface ChangeGroup {
  readonly difference: Difference
  readonly count: number
  readonly names: readonly string[]
}

/** Groups what is decided differently, the largest group first. */
export function groupChanges(compared: readonly Compared[]): ChangeGroup[] {
  const groups = new Map<string, { difference: Difference; names: string[] }>()
  for (const { name, before, after } of compared) {
    const difference = firstDifference(toValue(before), toValue(after))
    if (difference === undefined) continue
    const key = [difference.path, canonical(difference.left), canonical(difference.right)].join('\n')
    const group = groups.get(key) ?? { difference, names: [] }
    group.names.push(name)
    groups.set(key, group)
  }
  return [...groups.values()]
    .map(({ difference, names }) => ({ difference, count: names.length, names }))
    .sort((a, b) => b.count - a.count)
}

/** A change in one line: `/http_status: 403 → 429`. */
export function changeText({ path, left, right }: Difference): string {
  return `${path === '' ? 'decision' : path}: ${shown(left)} → ${shown(right)}`
}

function toValue({ result, error }: Said): JsonValue | undefined {
  return error === undefined ? result : `failed: ${error}`
}
