import type { Family } from '../../builtins/builtin.ts'
import { integersFrom } from '../../builtins/numbers.ts'
import { bigInteger, integer, list, OperandError } from '../../builtins/operands.ts'
import { lookup } from '../../values/compare.ts'
import { isAnyObject, RegoSet, type RegoValue } from '../../values/value.ts'
import { difference } from './arithmetic.ts'

export function set(value: RegoValue | undefined): RegoSet {
  if (!(value instanceof RegoSet)) throw new OperandError('not a set')
  return value
}

function intersection(a: RegoSet, b: RegoSet): RegoSet {
  return new RegoSet(a.members.filter((member) => b.has(member)))
}

function union(sets: readonly RegoSet[]): RegoSet {
  const all = new RegoSet([])
  for (const each of sets) for (const member of each.unsorted()) all.add(member)
  return all
}

/** Sets and arrays. */
export const collectionBuiltins: Family = {
  set_diff: (_, a, b) => difference(set(a), set(b)),
  and: (_, a, b) => intersection(set(a), set(b)),
  or: (_, a, b) => union([set(a), set(b)]),
  intersection: (_, sets) => {
    const all = set(sets).members.map(set)
    return all.length === 0 ? new RegoSet([]) : all.reduce(intersection)
  },
  union: (_, sets) => union(set(sets).members.map(set)),
  'array.concat': (_, a, b) => [...list(a), ...list(b)],
  'array.reverse': (_, value) => [...list(value)].reverse(),
  'array.slice': (_, value, from, to) => {
    const items = list(value)
    const end = Math.min(Math.max(integer(to), 0), items.length)
    return items.slice(Math.min(Math.max(integer(from), 0), end), end)
  },
  'numbers.range': (_, from, to) => integersFrom(bigInteger(from), bigInteger(to)),
  'graph.reachable': (_, graph, initial) => {
    if (!isAnyObject(graph)) throw new OperandError('not an object')
    const waiting = initial instanceof RegoSet ? [...initial.members] : [...list(initial)]
    const reached = new RegoSet([])
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      const edges = lookup(graph, node)
      if (edges === undefined || reached.has(node)) continue
      reached.add(node)
      const next = edges instanceof RegoSet ? edges.members : Array.isArray(edges) ? edges : []
      waiting.push(...next.filter((each: RegoValue) => !reached.has(each)))
    }
    return reached
  },
}
