import { compare, entriesOf, isEqual, lookup, setOf } from '../values/compare.ts'
import {
  isAnyObject,
  isArray,
  type RegoMap,
  type RegoObject,
  RegoSet,
  type RegoValue,
} from '../values/value.ts'
import type { Family } from './builtin.ts'
import { boolean, collection, list, OperandError, text } from './operands.ts'

/** Sets, arrays and objects below the top are compared as parts of each other too; what a set holds only as a whole. */
function isSubset(whole: RegoValue, part: RegoValue): boolean | undefined {
  if (isAnyObject(whole) && isAnyObject(part)) return isPartOfObject(whole, part)
  if (whole instanceof RegoSet && part instanceof RegoSet) return isPartOfSet(whole, part)
  if (isArray(whole) && isArray(part)) return isSlice(whole, part)
  return undefined
}

function isPartOfObject(whole: RegoObject | RegoMap, part: RegoObject | RegoMap): boolean {
  return entriesOf(part).every(([key, item]) => {
    const other = lookup(whole, key)
    if (other === undefined) return false
    return isEqual(other, item) || isSubset(other, item) === true
  })
}

function isPartOfSet(whole: RegoSet, part: RegoSet): boolean {
  // Both in Rego's order: one walk along the two.
  let at = 0
  return part.members.every((member) => {
    while (at < whole.members.length && compare(whole.members[at] as RegoValue, member) < 0) at++
    return at < whole.members.length && isEqual(whole.members[at] as RegoValue, member)
  })
}

/** Whether the part stands in the whole, one after the other. */
function isSlice(whole: readonly RegoValue[], part: readonly RegoValue[]): boolean {
  if (part.length === 0) return true
  // Knuth, Morris and Pratt: both may come from a client, and trying each start costs their product.
  const fallback = [0]
  for (let i = 1, matched = 0; i < part.length; i++) {
    while (matched > 0 && !isEqual(part[i] as RegoValue, part[matched] as RegoValue))
      matched = fallback[matched - 1] as number
    if (isEqual(part[i] as RegoValue, part[matched] as RegoValue)) matched++
    fallback[i] = matched
  }
  let matched = 0
  for (const item of whole) {
    while (matched > 0 && !isEqual(item, part[matched] as RegoValue))
      matched = fallback[matched - 1] as number
    if (isEqual(item, part[matched] as RegoValue)) matched++
    if (matched === part.length) return true
  }
  return false
}

/** Whether an array holds every member of a set. An item that stands twice counts twice, as in OPA. */
function holdsAll(whole: readonly RegoValue[], part: RegoSet): boolean {
  let missing = part.members.length
  for (const item of whole) {
    if (lookup(part, item) !== undefined) missing--
    if (missing === 0) return true
  }
  return false
}

/** `array.flatten`, `object.subset`, and the casts that Rego v0 had. */
export const collectionBuiltins: Family = {
  'array.flatten': (_, value) => list(value).flat(),
  'object.subset': (_, whole, part) => {
    if (isArray(whole) && part instanceof RegoSet) return holdsAll(whole, part)
    const answer = isSubset(whole as RegoValue, part as RegoValue)
    if (answer === undefined) throw new OperandError('two of one kind, or an array and a set')
    return answer
  },
  cast_array: (_, value) => collection(value),
  cast_set: (_, value) => setOf(collection(value)),
  cast_string: (_, value) => text(value),
  cast_boolean: (_, value) => boolean(value),
  cast_null: (_, value) => {
    if (value !== null) throw new OperandError('not null')
    return value
  },
  cast_object: (_, value) => {
    if (!isAnyObject(value)) throw new OperandError('not an object')
    return value
  },
}
