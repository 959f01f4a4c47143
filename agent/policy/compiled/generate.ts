import { keepsOf } from './calls.ts'
import { FunctionWriter, type Program } from './function-writer.ts'
import type { Plan } from './plan.ts'
import { Tables } from './tables.ts'

/** JavaScript of a plan, and the tables that it takes its strings, numbers and builtins from. */
export interface Generated {
  readonly text: string
  readonly tables: Tables
}

/**
 * Writes a plan as JavaScript. Of what the bundle holds only integers get into the text, and these were parsed as such:
 * nothing that a bundle says can become code.
 *
 * @throws RangeError where the plan refers to what is not there.
 */
export function generate(plan: Plan): Generated {
  const tables = new Tables(plan)
  const functions = plan.funcs?.funcs ?? []
  const withoutResult = (plan.static?.builtin_funcs ?? []).filter(({ decl }) => decl.result === undefined)
  const program: Program = {
    tables,
    functions: new Map(functions.map(({ name }, index) => [name, index])),
    silent: new Set(withoutResult.map(({ name }) => name)),
    keeps: keepsOf(plan),
    dynamic: functions.flatMap(({ path, params }, index) =>
      path === undefined || path === null || params.length !== 2 ? [] : [{ path, index }],
    ),
  }
  const bodies = [
    ...functions.map((fn, index) =>
      new FunctionWriter(program, fn, `f${index}`, program.keeps[index]).write(),
    ),
    ...plan.plans.plans.map(({ blocks }, index) =>
      new FunctionWriter(program, { params: [0, 1], blocks }, `p${index}`).write(),
    ),
  ]
  const names = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, index) => `${prefix}${index}`)
  const text = [
    "'use strict'",
    `const { ${runtimeNames.join(', ')} } = R`,
    'const isArray = Array.isArray',
    ...names('K', tables.values.length).map((name, index) => `const ${name} = K[${index}]`),
    ...names('B', tables.builtins.length).map((name, index) => `const ${name} = B[${index}]`),
    'let context, results, epoch = 0, epochs = 0',
    ...names('m', functions.length).map((name, index) => `let ${name}, e${index} = 0`),
    ...bodies,
    `const dynamic = [${program.dynamic.map(({ index }) => `f${index}`).join(', ')}]`,
    `const plans = [${names('p', plan.plans.plans.length).join(', ')}]`,
    'return function evaluate(plan, input, data, callContext, steps) {',
    '  context = callContext; results = undefined; gauge.left = steps; epoch = ++epochs',
    '  plans[plan](input, data)',
    '  const found = results',
    '  results = undefined',
    '  return found',
    '}',
  ].join('\n')
  return { text, tables }
}

/** What generated text calls. */
export const runtimeNames = [
  ...[
    'add',
    'append',
    'conflict',
    'exhausted',
    'gauge',
    'insert',
    'insertOnce',
    'isAnyObject',
    'isEqual',
    'isSet',
  ],
  ...['keysOf', 'lengthOf', 'lookup', 'merge', 'newSet', 'orderedKeysOf', 'own', 'upsert', 'valueAt', 'find'],
] as const
