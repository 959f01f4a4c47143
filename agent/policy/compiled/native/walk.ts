import type { Family } from '../../builtins/builtin.ts'
import { OperandError } from '../../builtins/operands.ts'
import { entriesOf } from '../../values/compare.ts'
import { isAnyObject, RegoSet, type RegoValue } from '../../values/value.ts'

/** Beyond this a policy would fill the memory with paths. */
const maxNodes = 1_000_000

/** `walk`, which a plan calls as a function that gives all pairs of path and value. */
export const walkBuiltins: Family = {
  walk: (_, value) => {
    const pairs: RegoValue[] = []
    const visit = (path: readonly RegoValue[], node: RegoValue): void => {
      if (pairs.push([path, node]) > maxNodes) throw new OperandError('too much to walk')
      if (Array.isArray(node)) for (const [index, item] of node.entries()) visit([...path, index], item)
      else if (node instanceof RegoSet) for (const item of node.members) visit([...path, item], item)
      else if (isAnyObject(node)) for (const [key, item] of entriesOf(node)) visit([...path, key], item)
    }
    visit([], value as RegoValue)
    return pairs
  },
}
