import { entriesOf, setOf } from '../values/compare.ts'
import { regoText } from '../values/rego-text.ts'
import { isArray, RegoSet, type RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { anyObject, collection, OperandError } from './operands.ts'

/** Vertices of all paths together; paths can be exponentially many, and beyond this they were made to be. */
const maxVertices = 500_000

interface Step {
  readonly vertex: RegoValue
  readonly key: string
  readonly before: Step | undefined
  readonly length: number
}

/** One vertex of the path that is being walked, and which of its neighbours come next. */
interface Visit {
  readonly step: Step
  readonly neighbours: readonly RegoValue[]
  next: number
  /** Whether the walk of this vertex put it on the path: it may stand there twice, as a neighbour of itself. */
  readonly isFirst: boolean
}

/** Edges by the text of their vertex: keys may be values of any type. */
type Edges = ReadonlyMap<string, readonly RegoValue[]>

/** What is no array or set leads nowhere. */
function neighboursOf(value: RegoValue): readonly RegoValue[] {
  if (value instanceof RegoSet) return value.members
  return isArray(value) ? value : []
}

/** Walks depth first with a stack of its own: a chain may be longer than the call stack is deep. */
class PathFinder {
  readonly #edges: Edges
  readonly #found = new Map<string, readonly RegoValue[]>()
  #vertices = 0

  constructor(edges: Edges) {
    this.#edges = edges
  }

  get paths(): Iterable<readonly RegoValue[]> {
    return this.#found.values()
  }

  walkFrom(root: RegoValue): void {
    const key = regoText(root)
    const neighbours = this.#edges.get(key)
    if (neighbours === undefined) return
    const start: Step = { vertex: root, key, before: undefined, length: 1 }
    if (neighbours.length === 0) return this.#keep(start)
    const onPath = new Set([key])
    const stack: Visit[] = [{ step: start, neighbours, next: 0, isFirst: true }]
    while (stack.length > 0) {
      const visit = stack.at(-1) as Visit
      const neighbour = visit.neighbours[visit.next++]
      if (neighbour === undefined) {
        stack.pop()
        if (visit.isFirst) onPath.delete(visit.step.key)
        continue
      }
      const entered = this.#enter(neighbour, visit.step, onPath, stack.length === 1)
      if (entered !== undefined) stack.push(entered)
    }
  }

  /** The visit of a neighbour, or `undefined` where the path ends before or with it. */
  #enter(vertex: RegoValue, before: Step, onPath: Set<string>, isAtRoot: boolean): Visit | undefined {
    const key = regoText(vertex)
    // A cycle ends the path; only the root's own neighbours are not looked at for one, as in OPA.
    if (!isAtRoot && onPath.has(key)) {
      this.#keep(before)
      return undefined
    }
    const neighbours = this.#edges.get(key)
    if (neighbours === undefined) {
      this.#keep(before)
      return undefined
    }
    const step: Step = { vertex, key, before, length: before.length + 1 }
    if (neighbours.length === 0) {
      this.#keep(step)
      return undefined
    }
    const isFirst = !onPath.has(key)
    onPath.add(key)
    return { step, neighbours, next: 0, isFirst }
  }

  #keep(end: Step): void {
    this.#vertices += end.length
    if (this.#vertices > maxVertices) throw new OperandError('too many paths')
    const path: RegoValue[] = []
    const keys: string[] = []
    for (let step: Step | undefined = end; step !== undefined; step = step.before) {
      path.push(step.vertex)
      keys.push(step.key)
    }
    this.#found.set(keys.join(), path.reverse())
  }
}

/** `graph.reachable_paths`. */
export const graphBuiltins: Family = {
  'graph.reachable_paths': (_, graph, initial) => {
    const edges: Edges = new Map(
      entriesOf(anyObject(graph)).map(([key, item]) => [regoText(key), neighboursOf(item)]),
    )
    const finder = new PathFinder(edges)
    for (const root of collection(initial)) finder.walkFrom(root)
    return setOf(finder.paths)
  },
}
