import { isEqual, lookup } from '../values/compare.ts'
import { RegoSet, type RegoValue } from '../values/value.ts'
import type { Keep } from './calls.ts'
import { assigned, borrowedIn, changedIn, hasAny, Locals, nestedBlocks } from './locals.ts'
import type { Block, Operand, PlanFunction, Statement } from './plan.ts'
import { add as addTo, append, insert, newSet } from './runtime.ts'
import { isPlainKey, type Known, type Tables } from './tables.ts'

/** What all functions of a plan share. */
export interface Program {
  readonly tables: Tables
  /** Numbers of the functions by name. */
  readonly functions: ReadonlyMap<string, number>
  /** Builtins that have no result and cannot be undefined. */
  readonly silent: ReadonlySet<string>
  readonly keeps: readonly Keep[]
  /** Functions that may be called by their path. */
  readonly dynamic: readonly { readonly path: readonly string[]; readonly index: number }[]
}

/** Where a scan's order can be told from what comes of it. */
const ordering: ReadonlySet<Statement['type']> = new Set(['ArrayAppendStmt', 'ObjectInsertStmt'])

/**
 * Writes one function. Locals are JavaScript's locals, `undefined` where Rego says so; a block is a labelled block that
 * an undefined statement breaks out of.
 */
export class FunctionWriter {
  readonly #program: Program
  readonly #fn: Pick<PlanFunction, 'params' | 'blocks'>
  readonly #name: string
  readonly #keep: Keep
  readonly #locals: Locals
  readonly #lines: string[] = []
  /** Of the blocks around the statement, the outermost first. */
  readonly #labels: string[] = []
  /** Locals whose value is known where the statement stands. */
  #known = new Map<number, Known>()
  /** Locals whose collection was made here, and by this path, where the statement stands. */
  #owned = new Set<number>()
  #made = 0

  constructor(
    program: Program,
    fn: Pick<PlanFunction, 'params' | 'blocks'>,
    name: string,
    keep: Keep = 'nothing',
  ) {
    this.#program = program
    this.#fn = fn
    this.#name = name
    this.#keep = keep
    this.#locals = new Locals(fn)
  }

  write(): string {
    const { params } = this.#fn
    const others = this.#locals.all().filter((local) => !params.includes(local))
    const kept = this.#name.replace('f', 'e')
    this.#emit(`function ${this.#name}(${params.map((local) => `l${local}`).join(', ')}) {`)
    if (this.#keep === 'always') this.#emit(`if (${kept} === -1) return ${this.#name.replace('f', 'm')}`)
    if (this.#keep === 'evaluation')
      this.#emit(`if (${kept} === epoch) return ${this.#name.replace('f', 'm')}`)
    this.#emit('if (--gauge.left < 0) exhausted()')
    if (others.length > 0) this.#emit(`let ${others.map((local) => `l${local}`).join(', ')}`)
    for (const block of this.#fn.blocks) this.#nest(block, 'block')
    this.#return('undefined')
    this.#emit('}')
    return this.#lines.join('\n')
  }

  #emit(line: string): void {
    this.#lines.push(line)
  }

  #fresh(prefix: string): string {
    return `${prefix}${++this.#made}`
  }

  #return(text: string): void {
    const kept = this.#name.replace('f', 'm')
    const stamp = this.#name.replace('f', 'e')
    if (this.#keep === 'nothing') this.#emit(`return ${text}`)
    else this.#emit(`${stamp} = ${this.#keep === 'always' ? '-1' : 'epoch'}; return ${kept} = ${text}`)
  }

  /** A block inside another: what is known outside is known there, but for what a loop changes. */
  #nest(block: Block, kind: 'block' | 'loop', last?: string): void {
    const outside = this.#known
    const owned = this.#owned
    const changed = changedIn(block)
    const borrowed = borrowedIn(block)
    this.#known = new Map(outside)
    this.#owned = new Set(owned)
    if (kind === 'loop') {
      for (const local of changed) this.#known.delete(local)
      for (const local of borrowed) this.#owned.delete(local)
    }
    const label = this.#fresh('b')
    this.#labels.push(label)
    this.#emit(`${label}: {`)
    this.#statements(block)
    if (last !== undefined) this.#emit(last)
    this.#emit('}')
    this.#labels.pop()
    this.#known = outside
    for (const local of changed) this.#known.delete(local)
    this.#owned = owned
    for (const local of borrowed) this.#owned.delete(local)
  }

  #statements(block: Block): void {
    for (const statement of block.stmts) {
      for (const local of assigned(statement)) this.#owned.delete(local)
      this.#statement(statement)
      if (statement.type === 'BreakStmt' || statement.type === 'ReturnLocalStmt') return
    }
  }

  /** How to leave the block that many blocks out, 0 being the innermost. */
  #leave(index = 0): string {
    const label = this.#labels.at(-1 - index)
    if (label === undefined) throw new RangeError(`the plan leaves a block that is not there (${index})`)
    return `break ${label}`
  }

  #knownOf(operand: Operand): Known | undefined {
    const { tables } = this.#program
    switch (operand.type) {
      case 'string_index':
        return tables.string(operand.value)
      case 'bool':
        return tables.constant(operand.value)
      default:
        return this.#known.get(operand.value)
    }
  }

  #text(operand: Operand): string {
    return this.#knownOf(operand)?.text ?? `l${operand.value}`
  }

  #textOf(local: number): string {
    return this.#text({ type: 'local', value: local })
  }

  /** The local has this value from here on. */
  #set(local: number, text: string, known?: Known): void {
    this.#emit(`l${local} = ${text}`)
    if (known === undefined) this.#known.delete(local)
    else this.#known.set(local, known)
  }

  /** The local gets a value that may be undefined; then the block is left. */
  #setOrLeave(local: number, text: string, index = 0): void {
    this.#emit(`if ((l${local} = ${text}) === undefined) ${this.#leave(index)}`)
    this.#known.delete(local)
  }

  #statement(statement: Statement): void {
    const { type, stmt } = statement
    const { tables } = this.#program
    switch (type) {
      case 'NopStmt':
        return
      case 'AssignIntStmt':
      case 'MakeNumberIntStmt': {
        const known = tables.constant(stmt.value)
        return this.#set(stmt.target, known.text, known)
      }
      case 'MakeNumberRefStmt': {
        const known = tables.number(stmt.Index)
        return this.#set(stmt.target, known.text, known)
      }
      case 'MakeNullStmt':
        return this.#set(stmt.target, 'null', tables.constant(null))
      case 'AssignVarStmt':
        return this.#set(stmt.target, this.#text(stmt.source), this.#knownOf(stmt.source))
      case 'AssignVarOnceStmt': {
        const [to, from] = [`l${stmt.target}`, this.#text(stmt.source)]
        this.#emit(
          `if (${to} === undefined) ${to} = ${from}; else if (${to} !== ${from} && !isEqual(${to}, ${from})) conflict()`,
        )
        this.#known.delete(stmt.target)
        return
      }
      case 'ResetLocalStmt':
        return this.#set(stmt.target, 'undefined')
      case 'MakeArrayStmt':
        return this.#make(stmt.target, '[]', [])
      case 'MakeObjectStmt':
        return this.#make(stmt.target, '{}', {})
      case 'MakeSetStmt':
        return this.#make(stmt.target, 'newSet()', newSet())
      case 'ArrayAppendStmt':
      case 'SetAddStmt':
      case 'ObjectInsertStmt':
      case 'ObjectInsertOnceStmt':
        return this.#fill(statement)
      case 'ObjectMergeStmt':
        return this.#set(stmt.target, `merge(gauge, ${this.#textOf(stmt.a)}, ${this.#textOf(stmt.b)})`)
      case 'DotStmt':
        return this.#dot(stmt.source, stmt.key, stmt.target)
      case 'LenStmt': {
        const source = this.#text(stmt.source)
        return this.#setOrLeave(stmt.target, `isArray(${source}) ? ${source}.length : lengthOf(${source})`)
      }
      case 'EqualStmt':
        return this.#emit(`if (${this.#differ(stmt.a, stmt.b)}) ${this.#leave()}`)
      case 'NotEqualStmt':
        return this.#emit(`if (!(${this.#differ(stmt.a, stmt.b)})) ${this.#leave()}`)
      case 'IsArrayStmt':
        return this.#emit(`if (!isArray(${this.#text(stmt.source)})) ${this.#leave()}`)
      case 'IsObjectStmt':
        return this.#emit(`if (!isAnyObject(${this.#text(stmt.source)})) ${this.#leave()}`)
      case 'IsSetStmt':
        return this.#emit(`if (!isSet(${this.#text(stmt.source)})) ${this.#leave()}`)
      case 'IsDefinedStmt':
        return this.#emit(`if (${this.#textOf(stmt.source)} === undefined) ${this.#leave()}`)
      case 'IsUndefinedStmt':
        return this.#emit(`if (${this.#textOf(stmt.source)} !== undefined) ${this.#leave()}`)
      case 'BlockStmt':
        for (const block of nestedBlocks(statement)) this.#nest(block, 'block')
        return
      case 'BreakStmt':
        return this.#emit(this.#leave(stmt.index))
      case 'NotStmt': {
        const isUndefined = this.#fresh('n')
        this.#emit(`let ${isUndefined} = true`)
        this.#nest(stmt.block, 'block', `${isUndefined} = false`)
        return this.#emit(`if (!${isUndefined}) ${this.#leave()}`)
      }
      case 'ScanStmt':
        return this.#scan(stmt)
      case 'WithStmt':
        return this.#with(stmt)
      case 'CallStmt':
        return this.#call(stmt)
      case 'CallDynamicStmt': {
        const path = stmt.path.map((each) => this.#text(each)).join(', ')
        const called = this.#fresh('d')
        this.#emit(`const ${called} = find(dynamic, [${path}])`)
        this.#emit(`if (${called} === undefined) ${this.#leave()}`)
        const args = stmt.args.map((local) => this.#textOf(local)).join(', ')
        // What is found but undefined counts: the blocks that would look for it elsewhere are left too.
        return this.#setOrLeave(stmt.result, `${called}(${args})`, 3)
      }
      case 'ResultSetAddStmt':
        return this.#emit(`results ??= ${this.#textOf(stmt.value)}`)
      case 'ReturnLocalStmt':
        return this.#return(this.#textOf(stmt.source))
      default:
        statement satisfies never
    }
  }

  #differ(a: Operand, b: Operand): string {
    const [left, right] = [this.#text(a), this.#text(b)]
    const isIdentity = [a, b].some((each) => {
      const known = this.#knownOf(each)
      // A number may be written in more ways than one.
      return known !== undefined && (known.value === null || /string|boolean/.test(typeof known.value))
    })
    return isIdentity ? `${left} !== ${right}` : `${left} !== ${right} && !isEqual(${left}, ${right})`
  }

  #dot(from: Operand, by: Operand, target: number): void {
    const [source, key] = [this.#text(from), this.#text(by)]
    const known = this.#knownOf(by)?.value
    if (source === `l${target}` || this.#knownOf(from) !== undefined)
      return this.#setOrLeave(target, `lookup(${source}, ${key})`)
    if (typeof known === 'number')
      return this.#setOrLeave(target, `isArray(${source}) ? ${source}[${key}] : lookup(${source}, ${key})`)
    if (!isPlainKey(known as RegoValue)) return this.#setOrLeave(target, `lookup(${source}, ${key})`)
    // Each place has its own inline cache; only what holds no such property of its own takes the long way.
    const read = `typeof ${source} === 'object' && ${source} !== null && !isArray(${source}) ? ${source}[${key}] : undefined`
    this.#emit(
      `if ((l${target} = ${read}) === undefined && (l${target} = lookup(${source}, ${key})) === undefined) ${this.#leave()}`,
    )
    this.#known.delete(target)
  }

  /** A collection that is made once and filled in the same block may turn out to be a constant. */
  #make(local: number, text: string, empty: RegoValue): void {
    if (!this.#locals.isLiteral(local)) {
      this.#owned.add(local)
      return this.#set(local, text)
    }
    const known = this.#program.tables.constant(empty)
    this.#set(local, known.text, known)
  }

  #fill(
    statement: Extract<Statement, { type: `${string}AppendStmt` | 'SetAddStmt' | `ObjectInsert${string}` }>,
  ): void {
    const { type, stmt } = statement
    const local = type === 'ArrayAppendStmt' ? stmt.array : type === 'SetAddStmt' ? stmt.set : stmt.object
    const open = this.#locals.isLiteral(local) ? this.#known.get(local) : undefined
    const value = this.#knownOf(stmt.value)
    const key = 'key' in stmt ? this.#knownOf(stmt.key) : undefined
    if (
      open !== undefined &&
      value !== undefined &&
      ('key' in stmt ? this.#mayInsert(open, key, value) : true)
    ) {
      if (type === 'ArrayAppendStmt') append(open.value, value.value)
      else if (type === 'SetAddStmt') addTo(open.value, value.value)
      else insert(open.value, (key as Known).value, value.value)
      return
    }
    if (open !== undefined) this.#set(local, `own(gauge, ${open.text})`)
    else if (!this.#locals.isOwn(local) && !this.#owned.has(local))
      this.#set(local, `own(gauge, ${this.#textOf(local)})`)
    this.#owned.add(local)
    const [into, item] = [`l${local}`, this.#text(stmt.value)]
    switch (type) {
      case 'ArrayAppendStmt':
        return this.#emit(`append(${into}, ${item})`)
      case 'SetAddStmt':
        return this.#emit(`add(${into}, ${item})`)
      case 'ObjectInsertStmt':
        if (this.#hasPlainKeys(local)) return this.#emit(`${into}[${this.#text(stmt.key)}] = ${item}`)
        return this.#set(local, `insert(${into}, ${this.#text(stmt.key)}, ${item})`)
      default:
        return this.#set(local, `insertOnce(${into}, ${this.#text(stmt.key)}, ${item})`)
    }
  }

  /** Whether a constant object stays a plain one and without a conflict. */
  #mayInsert(object: Known, key: Known | undefined, value: Known): boolean {
    if (typeof key?.value !== 'string') return false
    const before = lookup(object.value, key.value)
    return before === undefined || isEqual(before, value.value)
  }

  /** Whether an object made here has plain keys that are known, so that it can be written to as it stands. */
  #hasPlainKeys(local: number): boolean {
    return (
      this.#locals.isOwn(local) &&
      this.#locals
        .fillsOf(local)
        .every(
          ({ type, stmt }) =>
            type === 'ObjectInsertStmt' &&
            stmt.key.type === 'string_index' &&
            isPlainKey(this.#program.tables.string(stmt.key.value).value),
        )
    )
  }

  #scan(stmt: Extract<Statement, { type: 'ScanStmt' }>['stmt']): void {
    const [source, keys, at] = [this.#fresh('s'), this.#fresh('k'), this.#fresh('i')]
    const list = hasAny(stmt.block, ordering) ? 'orderedKeysOf' : 'keysOf'
    const [key, value] = [`l${stmt.key}`, `l${stmt.value}`]
    this.#emit(`const ${source} = ${this.#textOf(stmt.source)}, ${keys} = ${list}(${source})`)
    this.#known.delete(stmt.key)
    this.#known.delete(stmt.value)
    this.#emit(`if (${keys} !== ${source}) gauge.charge(${keys})`)
    this.#emit(`for (let ${at} = 0; ${at} < ${keys}.length; ${at}++) {`)
    this.#emit('if (--gauge.left < 0) exhausted()')
    this.#emit(`if (${keys} === ${source}) { ${key} = ${at}; ${value} = ${source}[${at}] }`)
    this.#emit(`else { ${key} = ${keys}[${at}]; ${value} = valueAt(${source}, ${key}) }`)
    this.#nest(stmt.block, 'loop')
    this.#emit('}')
  }

  #with(stmt: Extract<Statement, { type: 'WithStmt' }>['stmt']): void {
    const [saved, before, isUndefined] = [this.#fresh('w'), this.#fresh('e'), this.#fresh('n')]
    const path = stmt.path ?? []
    const value = this.#text(stmt.value)
    const local = `l${stmt.local}`
    this.#emit(`const ${saved} = ${this.#textOf(stmt.local)}, ${before} = epoch`)
    this.#set(
      stmt.local,
      path.length === 0 ? value : `upsert(gauge, ${saved}, ${this.#program.tables.path(path)}, ${value})`,
    )
    // What was kept is true of the other documents only; it is again when they are back.
    this.#emit(`epoch = ++epochs; let ${isUndefined} = true`)
    this.#nest(stmt.block, 'block', `${isUndefined} = false`)
    this.#emit(`${local} = ${saved}; epoch = ${before}`)
    this.#emit(`if (${isUndefined}) ${this.#leave()}`)
  }

  #call(stmt: Extract<Statement, { type: 'CallStmt' }>['stmt']): void {
    const { functions, tables, silent } = this.#program
    const operands = stmt.args ?? []
    const args = operands.map((each) => this.#text(each))
    const index = functions.get(stmt.func)
    if (index !== undefined) return this.#setOrLeave(stmt.result, `f${index}(${args.join(', ')})`)
    const [, collection] = operands.map((each) => this.#knownOf(each)?.value)
    if (stmt.func === 'internal.member_2' && collection instanceof RegoSet && operands.length === 2)
      return this.#set(stmt.result, `${args[1]}.has(${args[0]})`)
    const call = `${tables.builtin(stmt.func)}(${['context', ...args].join(', ')})`
    if (silent.has(stmt.func)) return this.#emit(call)
    this.#setOrLeave(stmt.result, call)
  }
}
