import { z } from 'zod'
import { messageOf, SluiceError } from '#base/errors.ts'

/** Where a value stands in a function, `input` and `data` being 0 and 1. */
const local = z.int().min(0).max(1_000_000)
const index = z.int().min(0)
const operand = z.discriminatedUnion('type', [
  z.object({ type: z.literal('local'), value: local }),
  z.object({ type: z.literal('string_index'), value: index }),
  z.object({ type: z.literal('bool'), value: z.boolean() }),
])
const integer = z.int()

const statement = <Type extends string, Shape extends z.ZodRawShape>(type: Type, shape: Shape) =>
  z.object({ type: z.literal(type), stmt: z.object(shape) })

/** Statements until one is undefined. */
export interface Block {
  readonly stmts: readonly Statement[]
}

const block: z.ZodType<Block> = z.lazy(() => z.object({ stmts: z.array(anyStatement) }))

const anyStatement = z.discriminatedUnion('type', [
  statement('ArrayAppendStmt', { array: local, value: operand }),
  statement('AssignIntStmt', { value: integer, target: local }),
  statement('AssignVarOnceStmt', { source: operand, target: local }),
  statement('AssignVarStmt', { source: operand, target: local }),
  statement('BlockStmt', { blocks: z.array(block).nullable() }),
  statement('BreakStmt', { index }),
  statement('CallDynamicStmt', { path: z.array(operand), args: z.array(local), result: local }),
  statement('CallStmt', { func: z.string(), args: z.array(operand).nullable(), result: local }),
  statement('DotStmt', { source: operand, key: operand, target: local }),
  statement('EqualStmt', { a: operand, b: operand }),
  statement('IsArrayStmt', { source: operand }),
  statement('IsDefinedStmt', { source: local }),
  statement('IsObjectStmt', { source: operand }),
  statement('IsSetStmt', { source: operand }),
  statement('IsUndefinedStmt', { source: local }),
  statement('LenStmt', { source: operand, target: local }),
  statement('MakeArrayStmt', { target: local }),
  statement('MakeNullStmt', { target: local }),
  statement('MakeNumberIntStmt', { value: integer, target: local }),
  statement('MakeNumberRefStmt', { Index: index, target: local }),
  statement('MakeObjectStmt', { target: local }),
  statement('MakeSetStmt', { target: local }),
  statement('NopStmt', {}),
  statement('NotEqualStmt', { a: operand, b: operand }),
  statement('NotStmt', { block }),
  statement('ObjectInsertOnceStmt', { key: operand, value: operand, object: local }),
  statement('ObjectInsertStmt', { key: operand, value: operand, object: local }),
  statement('ObjectMergeStmt', { a: local, b: local, target: local }),
  statement('ResetLocalStmt', { target: local }),
  statement('ResultSetAddStmt', { value: local }),
  statement('ReturnLocalStmt', { source: local }),
  statement('ScanStmt', { source: local, key: local, value: local, block }),
  statement('SetAddStmt', { value: operand, set: local }),
  statement('WithStmt', { local, path: z.array(index).nullish(), value: operand, block }),
])

const planSchema = z.object({
  static: z
    .object({
      strings: z.array(z.object({ value: z.string() })).nullish(),
      builtin_funcs: z
        .array(z.object({ name: z.string(), decl: z.looseObject({ result: z.unknown().optional() }) }))
        .nullish(),
    })
    .optional(),
  plans: z.object({ plans: z.array(z.object({ name: z.string(), blocks: z.array(block) })) }),
  funcs: z
    .object({
      funcs: z
        .array(
          z.object({
            name: z.string(),
            path: z.array(z.string()).nullish(),
            params: z.array(local).min(1),
            return: local,
            blocks: z.array(block),
          }),
        )
        .nullish(),
    })
    .nullish(),
})

/** OPA's plan of a policy: what `opa build -t plan` writes. @see https://www.openpolicyagent.org/docs/ir */
export type Plan = z.infer<typeof planSchema>
export type Statement = z.infer<typeof anyStatement>
export type Operand = z.infer<typeof operand>
export type PlanFunction = NonNullable<NonNullable<Plan['funcs']>['funcs']>[number]

/** @throws SluiceError when it is no plan. */
export function parsePlan(text: string, place: string): Plan {
  const refuse = (found: string, cause?: unknown) =>
    new SluiceError({
      code: 'policy_plan_refused',
      place,
      found,
      expected: 'a plan of `opa build -t plan`',
      cause,
    })
  try {
    const parsed = planSchema.safeParse(JSON.parse(text))
    if (parsed.success) return parsed.data
    throw refuse(z.prettifyError(parsed.error))
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    // No JSON, or nested so deep that the parser gave up.
    throw refuse(messageOf(cause), cause)
  }
}
