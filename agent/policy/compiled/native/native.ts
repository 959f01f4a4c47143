import type { Builtin } from '../../builtins/builtin.ts'
import { aggregateBuiltins } from './aggregates.ts'
import { arithmeticBuiltins } from './arithmetic.ts'
import { bitBuiltins } from './bits.ts'
import { cidrBuiltins } from './cidr.ts'
import { collectionBuiltins } from './collections.ts'
import { comparisonBuiltins } from './comparison.ts'
import { encodingBuiltins } from './encoding.ts'
import { globBuiltins } from './glob.ts'
import { jsonBuiltins } from './json.ts'
import { objectBuiltins } from './objects.ts'
import { patternBuiltins } from './patterns.ts'
import { textBuiltins } from './text.ts'
import { typeBuiltins } from './types.ts'
import { walkBuiltins } from './walk.ts'

/** What a wasm module brings with it, and a plan does not. */
export const natives: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ...Object.entries(aggregateBuiltins),
  ...Object.entries(arithmeticBuiltins),
  ...Object.entries(bitBuiltins),
  ...Object.entries(cidrBuiltins),
  ...Object.entries(collectionBuiltins),
  ...Object.entries(comparisonBuiltins),
  ...Object.entries(encodingBuiltins),
  ...Object.entries(globBuiltins),
  ...Object.entries(jsonBuiltins),
  ...Object.entries(objectBuiltins),
  ...Object.entries(patternBuiltins),
  ...Object.entries(textBuiltins),
  ...Object.entries(typeBuiltins),
  ...Object.entries(walkBuiltins),
])

/** Those that never fail and cost no more than a call: they need neither a guard nor a toll. */
export const total: ReadonlySet<string> = new Set([
  ...Object.keys(comparisonBuiltins),
  ...Object.keys(typeBuiltins).filter((name) => name.startsWith('is_') || name === 'type_name'),
])

/** Builtins that look up a place in what they are given, however large that is: they do not pay for reading it. */
export const lookups: ReadonlySet<string> = new Set(['object.get'])
