import { isRawJSON } from '#base/raw-json.ts'
import { entriesOf } from '../values/compare.ts'
import { goJsonString } from '../values/go-json.ts'
import { toJson } from '../values/json.ts'
import type { RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { anyObject, boolean, OperandError, text } from './operands.ts'

interface Options {
  readonly prefix: string
  readonly indent: string
  readonly isPretty: boolean
}

/** Prefix or indent without `pretty` mean it; `pretty: false` beside them wins. */
function optionsOf(value: RegoValue | undefined): Options {
  let [prefix, indent, isPretty, isImplied]: [string, string, boolean | undefined, boolean] = [
    '',
    '\t',
    undefined,
    false,
  ]
  for (const [key, item] of entriesOf(anyObject(value))) {
    if (key === 'pretty') isPretty = boolean(item)
    else if (key === 'prefix') prefix = text(item)
    else if (key === 'indent') indent = text(item)
    else throw new OperandError('no such option')
    isImplied ||= key !== 'pretty'
  }
  return { prefix, indent, isPretty: isPretty ?? isImplied }
}

/** A longer indentation multiplies what is written; nobody reads this much. */
const maxWritten = 16 * 1024 * 1024

/** JSON as Go writes it: keys in order, fit to stand in HTML, lines broken as `json.MarshalIndent` does. */
class Writer {
  readonly #options: Options
  #written = ''

  constructor(options: Options) {
    this.#options = options
  }

  of(value: RegoValue): string {
    if (this.#options.isPretty) this.#write(this.#options.prefix)
    this.#value(toJson(value) as RegoValue, 0)
    return this.#written
  }

  #value(value: RegoValue, depth: number): void {
    if (typeof value !== 'object' || value === null || isRawJSON(value)) return this.#write(scalar(value))
    const isList = Array.isArray(value)
    const items: readonly (readonly [RegoValue, RegoValue])[] = isList
      ? value.map((item) => ['', item] as const)
      : entriesOf(anyObject(value))
    this.#write(isList ? '[' : '{')
    for (const [index, [key, item]] of items.entries()) {
      if (index > 0) this.#write(',')
      this.#line(depth + 1)
      if (!isList) this.#write(`${scalar(key)}:${this.#options.isPretty ? ' ' : ''}`)
      this.#value(item, depth + 1)
    }
    if (items.length > 0) this.#line(depth)
    this.#write(isList ? ']' : '}')
  }

  #line(depth: number): void {
    const { prefix, indent, isPretty } = this.#options
    if (!isPretty) return
    if (prefix.length + indent.length * depth > maxWritten) throw new OperandError('too much indentation')
    this.#write(`\n${prefix}${indent.repeat(depth)}`)
  }

  #write(text: string): void {
    if (this.#written.length + text.length > maxWritten) throw new OperandError('too long a text')
    this.#written += text
  }
}

function scalar(value: unknown): string {
  return typeof value === 'string' ? goJsonString(value) : JSON.stringify(value)
}

/** `json.marshal_with_options`. */
export const jsonBuiltins: Family = {
  'json.marshal_with_options': (_, value, options) => new Writer(optionsOf(options)).of(value as RegoValue),
}
