import { nondeterministicBuiltins } from '../builtins/builtins.ts'
import { nestedBlocks } from './locals.ts'
import type { Block, Operand, Plan, PlanFunction, Statement } from './plan.ts'

/**
 * What a function's result may be kept for. `nothing`: it is called once, or with operands of its own. `evaluation`: as
 * long as input and data are the same. `always`: it looks at neither.
 */
export type Keep = 'nothing' | 'evaluation' | 'always'

/** For each function of a plan by its number. */
export function keepsOf(plan: Plan): Keep[] {
  const functions = plan.funcs?.funcs ?? []
  const numbers = new Map(functions.map(({ name }, index) => [name, index]))
  const calls = new Map<string, number>()
  let isAnyDynamic = false
  const count = (blocks: readonly Block[], isRepeated: boolean): void => {
    for (const statement of blocks.flatMap(({ stmts }) => stmts)) {
      const { type, stmt } = statement
      if (type === 'CallStmt') calls.set(stmt.func, (calls.get(stmt.func) ?? 0) + (isRepeated ? 2 : 1))
      if (type === 'CallDynamicStmt') isAnyDynamic = true
      count(nestedBlocks(statement), isRepeated || type === 'ScanStmt')
    }
  }
  for (const { blocks } of plan.plans.plans) count(blocks, false)
  for (const { blocks, params } of functions) count(blocks, params.length > 2)
  const verdicts = new Map<number, boolean>()
  const isConstant = (index: number): boolean => {
    const known = verdicts.get(index)
    if (known !== undefined) return known
    const { params, blocks } = functions[index] as PlanFunction
    // Until it is known; a function that calls itself is no constant.
    verdicts.set(index, false)
    const isStatement = (statement: Statement): boolean => {
      if (statement.type === 'CallStmt' && numbers.has(statement.stmt.func))
        return isConstant(numbers.get(statement.stmt.func) as number)
      return (
        !isImpure(statement) &&
        !touches(statement, params) &&
        nestedBlocks(statement).every(({ stmts }) => stmts.every(isStatement))
      )
    }
    const verdict = params.length === 2 && blocks.every(({ stmts }) => stmts.every(isStatement))
    verdicts.set(index, verdict)
    return verdict
  }
  return functions.map(({ name, params }, index) => {
    if (params.length !== 2) return 'nothing'
    if (isConstant(index)) return 'always'
    return isAnyDynamic || (calls.get(name) ?? 0) > 1 ? 'evaluation' : 'nothing'
  })
}

/** Whose answer depends on more than its operands. */
const impure = new Set([...nondeterministicBuiltins, 'trace', 'internal.print'])

function isImpure({ type, stmt }: Statement): boolean {
  if (type === 'CallStmt') return impure.has(stmt.func)
  return type === 'WithStmt' || type === 'CallDynamicStmt'
}

/** Whether a statement itself reads or writes one of these locals. */
function touches({ type, stmt }: Statement, locals: readonly number[]): boolean {
  const isInteger = type === 'AssignIntStmt' || type === 'MakeNumberIntStmt'
  return Object.entries(stmt).some(([name, field]) => {
    if (name === 'index' || name === 'Index' || (name === 'value' && isInteger)) return false
    return (Array.isArray(field) ? field : [field]).some((each: unknown) => {
      const operand = each as Operand | undefined
      const local = operand?.type === 'local' ? operand.value : each
      return typeof local === 'number' && locals.includes(local)
    })
  })
}
