import { type CostFault, type Word, wordsOf } from './tokens.ts'

/** Numbers that an expression may read. */
export const costNumbers = [
  'requests',
  'inferences',
  'input_tokens',
  'output_tokens',
  'tokens',
  'cached_input_tokens',
  'reasoning_tokens',
  'request_bytes',
  'response_bytes',
  'bytes',
  'gpu_ms',
] as const
export type CostNumber = (typeof costNumbers)[number]
/** Those that grow while an answer is generated. */
export const outputNumbers: ReadonlySet<CostNumber> = new Set(['output_tokens', 'tokens', 'reasoning_tokens'])

/** Texts that an expression may compare; absent where they are not known. */
const costTexts = ['model', 'version', 'tenant'] as const
export type CostText = (typeof costTexts)[number]

/** What one evaluation reads. */
export interface CostFacts {
  number(name: CostNumber): number
  text(name: CostText): string | undefined
}

export interface CostExpression {
  readonly reads: ReadonlySet<CostNumber>
  /**
   * Where a text that is compared is not known, the dearer branch counts.
   *
   * @returns a whole number from 0 to 2^53-1, rounded up; `undefined` where the expression gives no such number
   */
  evaluate(facts: CostFacts): number | undefined
}

type Numeric = (facts: CostFacts) => number
/** `undefined` where it is not known. */
type Truth = (facts: CostFacts) => boolean | undefined
type Textual = (facts: CostFacts) => string | undefined
type Node =
  | { readonly type: 'number'; readonly run: Numeric }
  | { readonly type: 'truth'; readonly run: Truth }
  | { readonly type: 'text'; readonly run: Textual }

/** How deep parentheses, branches and signs may stand in each other. */
const maxDepth = 32

/**
 * Reads a cost expression: numbers, `+ - * /`, parentheses, `min max ceil floor`, comparisons and `condition ? a : b`; texts
 * in quotes are only there to be compared. Compiled once, to closures: nothing of it is ever run as code.
 */
export function parseCost(
  text: string,
): { readonly ok: true; readonly cost: CostExpression } | { readonly ok: false; readonly fault: CostFault } {
  const words = wordsOf(text)
  if ('found' in words) return { ok: false, fault: words }
  const parser = new Parser(words)
  try {
    const run = parser.whole()
    return { ok: true, cost: { reads: parser.reads, evaluate: (facts) => wholeUnits(run(facts)) } }
  } catch (thrown) {
    if (!(thrown instanceof Unexpected)) throw thrown
    return { ok: false, fault: thrown.fault }
  }
}

function wholeUnits(value: number): number | undefined {
  if (!(value >= 0)) return undefined
  const whole = Math.ceil(value)
  // Not -0, which some readers write as such.
  return whole <= Number.MAX_SAFE_INTEGER ? whole + 0 : undefined
}

/** Ends the reading of one expression; never leaves this file. */
class Unexpected extends Error {
  readonly fault: CostFault

  constructor({ at, kind, text }: Word, expected: string) {
    super(expected)
    this.fault = { at, found: kind === 'end' ? 'the end' : JSON.stringify(text), expected }
  }
}

const comparisons: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
}

/** By name: how many arguments at least, at most, and what becomes of them. */
const functions: ReadonlyMap<
  string,
  { readonly least: number; readonly most: number; readonly of: (...all: number[]) => number }
> = new Map([
  ['min', { least: 2, most: 8, of: Math.min }],
  ['max', { least: 2, most: 8, of: Math.max }],
  ['ceil', { least: 1, most: 1, of: Math.ceil }],
  ['floor', { least: 1, most: 1, of: Math.floor }],
])

class Parser {
  readonly reads = new Set<CostNumber>()
  readonly #words: readonly Word[]
  #at = 0
  #depth = 0

  constructor(words: readonly Word[]) {
    this.#words = words
  }

  whole(): Numeric {
    const begin = this.#next
    const run = numeric(this.#expression(), begin)
    if (this.#next.kind !== 'end') throw new Unexpected(this.#next, 'an operator or the end')
    return run
  }

  get #next(): Word {
    return this.#words[this.#at] as Word
  }

  #isSign(...signs: readonly string[]): boolean {
    return this.#next.kind === 'sign' && signs.includes(this.#next.text)
  }

  #take(): Word {
    const taken = this.#next
    this.#at++
    return taken
  }

  #demand(sign: string): void {
    if (!this.#isSign(sign)) throw new Unexpected(this.#next, `"${sign}"`)
    this.#at++
  }

  #expression(): Node {
    if (++this.#depth > maxDepth) throw new Unexpected(this.#next, `at most ${maxDepth} levels`)
    const begin = this.#next
    const first = this.#comparison()
    let node = first
    if (this.#isSign('?')) {
      if (first.type !== 'truth') throw new Unexpected(begin, 'a comparison before "?"')
      this.#at++
      const yes = this.#number(() => this.#expression())
      this.#demand(':')
      const no = this.#number(() => this.#expression())
      node = { type: 'number', run: branch(first.run, yes, no) }
    }
    this.#depth--
    return node
  }

  #comparison(): Node {
    const begin = this.#next
    const left = this.#sum()
    if (!this.#isSign(...Object.keys(comparisons))) return left
    const sign = this.#take()
    const rightAt = this.#next
    const right = this.#sum()
    if (left.type === 'text' || right.type === 'text') {
      if (left.type !== 'text') throw new Unexpected(begin, 'a text, as on the other side')
      if (right.type !== 'text') throw new Unexpected(rightAt, 'a text, as on the other side')
      if (sign.text !== '==' && sign.text !== '!=') throw new Unexpected(sign, '"==" or "!=" between texts')
      return { type: 'truth', run: sameText(left.run, right.run, sign.text === '==') }
    }
    const compare = comparisons[sign.text] as (a: number, b: number) => boolean
    const [a, b] = [numeric(left, begin), numeric(right, rightAt)]
    return { type: 'truth', run: (facts) => compare(a(facts), b(facts)) }
  }

  #sum(): Node {
    return this.#chain(['+', '-'], () => this.#chain(['*', '/'], () => this.#unary()))
  }

  /** Operators of one rank, from left to right. */
  #chain(signs: readonly string[], operand: () => Node): Node {
    const begin = this.#next
    let node = operand()
    while (this.#isSign(...signs)) {
      const sign = this.#take().text
      const a = numeric(node, begin)
      const b = this.#number(operand)
      node = { type: 'number', run: arithmetic(sign, a, b) }
    }
    return node
  }

  #unary(): Node {
    const first = this.#at
    while (this.#isSign('-')) this.#at++
    const signs = this.#at - first
    const begin = this.#next
    const node = this.#primary()
    if (signs === 0) return node
    const run = numeric(node, begin)
    return { type: 'number', run: signs % 2 === 1 ? (facts) => -run(facts) : run }
  }

  #primary(): Node {
    const first = this.#take()
    if (first.kind === 'number') {
      const value = Number(first.text)
      return { type: 'number', run: () => value }
    }
    if (first.kind === 'text') return { type: 'text', run: () => first.text }
    if (first.kind === 'sign' && first.text === '(') {
      const inner = this.#expression()
      this.#demand(')')
      return inner
    }
    if (first.kind === 'name') return this.#named(first)
    throw new Unexpected(first, 'a number, a name or "("')
  }

  #named(word: Word): Node {
    const name = word.text
    const call = functions.get(name)
    if (call !== undefined) return { type: 'number', run: this.#call(word, call) }
    const isNumber = (costNumbers as readonly string[]).includes(name)
    if (isNumber) {
      this.reads.add(name as CostNumber)
      return { type: 'number', run: (facts) => facts.number(name as CostNumber) }
    }
    if ((costTexts as readonly string[]).includes(name))
      return { type: 'text', run: (facts) => facts.text(name as CostText) }
    throw new Unexpected(word, `one of ${[...costNumbers, ...costTexts, ...functions.keys()].join(', ')}`)
  }

  #call(
    name: Word,
    { least, most, of }: { least: number; most: number; of(...all: number[]): number },
  ): Numeric {
    this.#demand('(')
    const given = [this.#number(() => this.#expression())]
    while (this.#isSign(',')) {
      this.#at++
      given.push(this.#number(() => this.#expression()))
    }
    if (given.length < least || given.length > most)
      throw new Unexpected(name, least === most ? `${least} argument` : `${least} to ${most} arguments`)
    this.#demand(')')
    return (facts) => of(...given.map((each) => each(facts)))
  }

  #number(read: () => Node): Numeric {
    const begin = this.#next
    return numeric(read(), begin)
  }
}

function numeric(node: Node, begin: Word): Numeric {
  if (node.type === 'number') return node.run
  throw new Unexpected(
    begin,
    node.type === 'text'
      ? 'a number, or a comparison of this text'
      : 'a number, or "?" behind this comparison',
  )
}

function branch(condition: Truth, yes: Numeric, no: Numeric): Numeric {
  return (facts) => {
    const isTrue = condition(facts)
    return isTrue === undefined ? Math.max(yes(facts), no(facts)) : isTrue ? yes(facts) : no(facts)
  }
}

function sameText(left: Textual, right: Textual, isSame: boolean): Truth {
  return (facts) => {
    const [a, b] = [left(facts), right(facts)]
    return a === undefined || b === undefined ? undefined : (a === b) === isSame
  }
}

function arithmetic(sign: string, a: Numeric, b: Numeric): Numeric {
  switch (sign) {
    case '+':
      return (facts) => a(facts) + b(facts)
    case '-':
      return (facts) => a(facts) - b(facts)
    case '*':
      return (facts) => a(facts) * b(facts)
    default:
      return (facts) => a(facts) / b(facts)
  }
}
