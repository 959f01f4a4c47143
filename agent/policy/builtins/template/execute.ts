import { OperandError } from '../operands.ts'
import { functions } from './functions.ts'
import type { Node, NumberLiteral, Operand, Pipeline, Templates } from './nodes.ts'
import { isList, isMap, isTrue, shown, sortedEntries, type Value } from './values.ts'

/** That nothing was piped into a command; `undefined` may have been. */
const absent = Symbol('absent')
type Piped = Value | typeof absent
type Ending = 'break' | 'continue' | undefined

/** Commands and nodes of one run: templates can call each other without end, and range over any number. */
const maxSteps = 200_000
/** Characters written. */
const maxWritten = 4 * 1024 * 1024

/** What all templates of a run share. */
interface Run {
  readonly templates: Templates
  steps: number
  written: string
}

/** Fills a template. @throws OperandError where Go reports an error, or it takes too long */
export function execute(templates: Templates, data: Value): string {
  const run: Run = { templates, steps: 0, written: '' }
  new Frame(run, data).walk(data, templates.get('template') ?? [])
  return run.written
}

/** One template that runs, with its variables. */
class Frame {
  readonly #run: Run
  readonly #variables: { readonly name: string; value: Value }[]

  constructor(run: Run, dot: Value) {
    this.#run = run
    this.#variables = [{ name: '$', value: dot }]
  }

  walk(dot: Value, nodes: readonly Node[]): Ending {
    for (const node of nodes) {
      const ending = this.#node(dot, node)
      if (ending !== undefined) return ending
    }
    return undefined
  }

  #node(dot: Value, node: Node): Ending {
    this.#count()
    switch (node.kind) {
      case 'text':
        this.#write(node.text)
        return undefined
      case 'action': {
        const value = this.#pipeline(dot, node.pipeline)
        if (node.pipeline.variables.length === 0)
          this.#write(value === undefined ? '<no value>' : shown(value))
        return undefined
      }
      case 'break':
      case 'continue':
        return node.kind
      case 'if':
      case 'with': {
        const outer = this.#variables.length
        const value = this.#pipeline(dot, node.pipeline)
        const ending = isTrue(value)
          ? this.walk(node.kind === 'with' ? value : dot, node.body)
          : this.walk(dot, node.otherwise ?? [])
        this.#variables.length = outer
        return ending
      }
      case 'range':
        return this.#range(dot, node)
      case 'template': {
        const inner = this.#run.templates.get(node.name)
        if (inner === undefined) throw new OperandError('no such template')
        const value = node.pipeline === undefined ? undefined : this.#pipeline(dot, node.pipeline)
        new Frame(this.#run, value).walk(value, inner)
        return undefined
      }
      default:
        return node satisfies never
    }
  }

  #range(dot: Value, { pipeline, body, otherwise }: Extract<Node, { body: readonly Node[] }>): Ending {
    const outer = this.#variables.length
    const inner = () => this.#variables.length
    const value = this.#pipeline(dot, pipeline)
    const mark = inner()
    let isEmpty = true
    let ending: Ending
    for (const [index, item] of iterationsOf(value, pipeline.variables.length)) {
      this.#count()
      isEmpty = false
      this.#declare(pipeline, index, item)
      ending = this.walk(item, body)
      this.#variables.length = mark
      if (ending === 'break') break
    }
    // An ending of the body ends at this range; one of `else` is for the range around it.
    const after = isEmpty ? this.walk(dot, otherwise ?? []) : undefined
    this.#variables.length = outer
    return after
  }

  #declare({ variables, isAssignment }: Pipeline, index: Value, item: Value): void {
    const [first, second] = variables
    if (first === undefined) return
    const values = second === undefined ? [item] : [index, item]
    for (const [at, value] of values.entries()) {
      if (isAssignment) this.#set(variables[at] as string, value)
      // The pipeline has declared them just now.
      else (this.#variables.at(at - values.length) as { value: Value }).value = value
    }
  }

  #pipeline(dot: Value, { commands, variables, isAssignment }: Pipeline): Value {
    let value: Piped = absent
    for (const command of commands) {
      this.#count()
      // JSON's null inside of a collection is nothing once it was taken out.
      value = this.#command(dot, command, value) ?? undefined
    }
    for (const name of variables) {
      if (isAssignment) this.#set(name, value as Value)
      else this.#variables.push({ name, value: value as Value })
    }
    return value as Value
  }

  #command(dot: Value, command: readonly Operand[], piped: Piped): Value {
    const [first, ...rest] = command as [Operand, ...Operand[]]
    if (first.kind === 'function') return this.#call(dot, first.name, rest, piped)
    if (rest.length > 0 || piped !== absent) throw new OperandError('an argument to what is no function')
    if (first.kind === 'nil') throw new OperandError('nil is no command')
    return this.#operand(dot, first)
  }

  #operand(dot: Value, operand: Operand): Value {
    switch (operand.kind) {
      case 'dot':
        return dot
      case 'nil':
        return null
      case 'boolean':
      case 'string':
        return operand.value
      case 'number':
        return constantOf(operand.value)
      case 'field':
        return fieldsOf(dot, operand.names)
      case 'variable':
        return fieldsOf(this.#variable(operand.name).value, operand.names)
      case 'function':
        return this.#call(dot, operand.name, [], absent)
      case 'chain':
        if (operand.base.kind === 'nil') throw new OperandError('a field of nil')
        return fieldsOf(this.#operand(dot, operand.base), operand.names)
      case 'pipeline':
        return this.#pipeline(dot, operand.pipeline)
      default:
        return operand satisfies never
    }
  }

  #call(dot: Value, name: string, operands: readonly Operand[], piped: Piped): Value {
    this.#count()
    if (name === 'and' || name === 'or') return this.#shortcut(dot, name, operands, piped)
    const entry = functions.get(name)
    if (entry === undefined) throw new OperandError('no such function')
    const values = operands.map((operand) => this.#operand(dot, operand))
    if (piped !== absent) values.push(piped)
    if (values.length < entry.least || values.length > entry.most)
      throw new OperandError('wrong number of arguments')
    return entry.run(...values)
  }

  #shortcut(dot: Value, name: 'and' | 'or', operands: readonly Operand[], piped: Piped): Value {
    if (operands.length === 0 && piped === absent) throw new OperandError('no argument')
    let value: Value
    for (const operand of operands) {
      value = this.#operand(dot, operand)
      if (isTrue(value) === (name === 'or')) return value
    }
    return piped === absent ? value : piped
  }

  #variable(name: string): { value: Value } {
    const found = this.#variables.findLast((variable) => variable.name === name)
    if (found === undefined) throw new OperandError('no such variable')
    return found
  }

  #set(name: string, value: Value): void {
    this.#variable(name).value = value
  }

  #write(text: string): void {
    if (this.#run.written.length + text.length > maxWritten) throw new OperandError('too long a text')
    this.#run.written += text
  }

  #count(): void {
    if (++this.#run.steps > maxSteps) throw new OperandError('too many steps')
  }
}

function constantOf(value: NumberLiteral): Value {
  return typeof value === 'bigint' ? value : value.float
}

/** Of what is not there a field is not there either; of null and of what is no object it is an error. */
function fieldsOf(value: Value, names: readonly string[]): Value {
  let found = value
  for (const name of names) {
    if (found === undefined) continue
    if (!isMap(found)) throw new OperandError('no field of this')
    found = found.get(name)
  }
  return found
}

function* iterationsOf(value: Value, variables: number): Iterable<readonly [Value, Value]> {
  if (value === undefined || value === null) return
  if (isList(value)) {
    for (const [index, item] of value.entries()) yield [BigInt(index), item]
  } else if (isMap(value)) yield* sortedEntries(value)
  else if (typeof value === 'bigint' && variables < 2) {
    for (let each = 0n; each < value; each++) yield [undefined, each]
  } else throw new OperandError('no range over this')
}
