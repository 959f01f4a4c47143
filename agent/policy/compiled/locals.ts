import type { Block, PlanFunction, Statement } from './plan.ts'

/** Statements that make a new collection or take the value away. */
const making: ReadonlySet<Statement['type']> = new Set([
  'MakeArrayStmt',
  'MakeObjectStmt',
  'MakeSetStmt',
  'ResetLocalStmt',
])

/** Collections are filled where they were made; whoever fills one from elsewhere gets a copy first. */
interface Use {
  /** Statements that give the local a value. */
  assignments: number
  /** Of these, the ones of {@link making}. */
  own: number
  madeIn: Block | undefined
  fills: { readonly statement: Statement; readonly block: Block }[]
}

/** What a function does with each of its locals. */
export class Locals {
  readonly #uses = new Map<number, Use>()

  constructor(fn: Pick<PlanFunction, 'params' | 'blocks'>) {
    for (const param of fn.params) this.#use(param).assignments++
    for (const block of fn.blocks) this.#block(block)
  }

  /** Every local there is. */
  all(): number[] {
    return [...this.#uses.keys()]
  }

  /** Whether every collection that it holds was made in this function. */
  isOwn(local: number): boolean {
    const use = this.#uses.get(local)
    return use !== undefined && use.assignments === use.own
  }

  /** Whether it is made once and filled in the same block, so that a constant may take its place. */
  isLiteral(local: number): boolean {
    const use = this.#uses.get(local)
    return (
      use !== undefined &&
      use.assignments === 1 &&
      use.own === 1 &&
      use.fills.every(({ block }) => block === use.madeIn)
    )
  }

  /** Statements that fill it. */
  fillsOf(local: number): readonly Statement[] {
    return this.#uses.get(local)?.fills.map(({ statement }) => statement) ?? []
  }

  #use(local: number): Use {
    let use = this.#uses.get(local)
    if (use === undefined) {
      use = { assignments: 0, own: 0, madeIn: undefined, fills: [] }
      this.#uses.set(local, use)
    }
    return use
  }

  #block(block: Block): void {
    for (const statement of block.stmts) {
      for (const local of assigned(statement)) this.#use(local).assignments++
      for (const nested of nestedBlocks(statement)) this.#block(nested)
      if (making.has(statement.type)) for (const local of assigned(statement)) this.#use(local).own++
      const { type, stmt } = statement
      switch (type) {
        case 'MakeArrayStmt':
        case 'MakeObjectStmt':
        case 'MakeSetStmt':
          this.#use(stmt.target).madeIn = block
          break
        case 'ArrayAppendStmt':
          this.#use(stmt.array).fills.push({ statement, block })
          break
        case 'SetAddStmt':
          this.#use(stmt.set).fills.push({ statement, block })
          break
        case 'ObjectInsertStmt':
        case 'ObjectInsertOnceStmt':
          this.#use(stmt.object).fills.push({ statement, block })
          break
        default:
      }
    }
  }
}

/** Locals that a statement itself gives a value or takes it from. */
export function assigned({ type, stmt }: Statement): readonly number[] {
  switch (type) {
    case 'CallStmt':
    case 'CallDynamicStmt':
      return [stmt.result]
    case 'ScanStmt':
      return [stmt.key, stmt.value]
    case 'WithStmt':
      return [stmt.local]
    default:
      return 'target' in stmt ? [stmt.target] : []
  }
}

export function nestedBlocks({ type, stmt }: Statement): readonly Block[] {
  switch (type) {
    case 'BlockStmt':
      return stmt.blocks ?? []
    case 'NotStmt':
    case 'ScanStmt':
    case 'WithStmt':
      return [stmt.block]
    default:
      return []
  }
}

const borrowedWithin = new WeakMap<Block, ReadonlySet<number>>()

/** Locals that in a block, or in one inside it, are given a value that was not made there for them. */
export function borrowedIn(block: Block): ReadonlySet<number> {
  let known = borrowedWithin.get(block)
  if (known === undefined) {
    const found = new Set<number>()
    for (const statement of block.stmts) {
      if (!making.has(statement.type)) for (const local of assigned(statement)) found.add(local)
      for (const nested of nestedBlocks(statement)) for (const local of borrowedIn(nested)) found.add(local)
    }
    known = found
    borrowedWithin.set(block, known)
  }
  return known
}

const assignedWithin = new WeakMap<Block, ReadonlySet<number>>()

/** Locals that change in a block or in one inside it, filled collections among them. */
export function changedIn(block: Block): ReadonlySet<number> {
  let known = assignedWithin.get(block)
  if (known === undefined) {
    const found = new Set<number>()
    for (const statement of block.stmts) {
      for (const local of assigned(statement)) found.add(local)
      for (const nested of nestedBlocks(statement)) for (const local of changedIn(nested)) found.add(local)
    }
    known = found
    assignedWithin.set(block, known)
  }
  return known
}

/** Whether any statement of a block, however deep, is of one of these types. */
export function hasAny(block: Block, types: ReadonlySet<Statement['type']>): boolean {
  return block.stmts.some(
    (statement) =>
      types.has(statement.type) || nestedBlocks(statement).some((nested) => hasAny(nested, types)),
  )
}
