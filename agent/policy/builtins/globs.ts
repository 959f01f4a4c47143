import { compareStrings } from '../values/compare.ts'
import type { Family } from './builtin.ts'
import { OperandError, text } from './operands.ts'

/** One of `a`, `.`, `[a-c]`, and whether `+` or `*` stands behind it. */
interface Token {
  /** The characters that fit, `undefined` where any does. */
  readonly runes: ReadonlySet<string> | undefined
  readonly kind: 'character' | 'dot' | 'set'
  flag: '' | '+' | '*'
}

interface Rune {
  readonly rune: string
  readonly isEscaped: boolean
}

/** Members of all sets of an expression together: `[\0-\u{10ffff}]` names more than a million characters. */
const maxMembers = 100_000
/** Tokens compared with each other; their number grows with the product of the lengths. */
const maxSteps = 1_000_000

function runesOf(value: string): Rune[] {
  const runes: Rune[] = []
  let isEscaped = false
  for (const rune of value) {
    if (!isEscaped && rune === '\\') isEscaped = true
    else {
      runes.push({ rune, isEscaped })
      isEscaped = false
    }
  }
  if (isEscaped) throw new OperandError('a backslash at the end')
  return runes
}

class GlobReader {
  readonly #runes: readonly Rune[]
  #at = 0
  #members = 0

  constructor(value: string) {
    this.#runes = runesOf(value)
  }

  tokens(): readonly Token[] {
    const tokens: Token[] = []
    while (this.#at < this.#runes.length) {
      const token = this.#token()
      const last = tokens.at(-1)
      // `a*a+` is `a+`.
      if (last !== undefined && last.flag !== '' && token.flag !== '' && isSame(last, token)) {
        if (token.flag === '+') last.flag = '+'
      } else tokens.push(token)
    }
    return tokens
  }

  #token(): Token {
    const { rune, isEscaped } = this.#next()
    if (!isEscaped && (rune === ']' || rune === '+' || rune === '*'))
      throw new OperandError(`${rune} out of place`)
    if (!isEscaped && rune === '[') {
      const runes = this.#set()
      return { kind: 'set', runes, flag: this.#flag() }
    }
    const isDot = !isEscaped && rune === '.'
    return {
      kind: isDot ? 'dot' : 'character',
      runes: isDot ? undefined : new Set([rune]),
      flag: this.#flag(),
    }
  }

  #flag(): Token['flag'] {
    const next = this.#runes[this.#at]
    if (next === undefined || next.isEscaped || (next.rune !== '+' && next.rune !== '*')) return ''
    this.#at++
    return next.rune
  }

  #set(): ReadonlySet<string> {
    const runes = new Set<string>()
    let before: string | undefined
    for (;;) {
      const { rune, isEscaped } = this.#next()
      if (!isEscaped && rune === ']') return runes
      if (!isEscaped && rune === '-') {
        this.#range(before, runes)
        before = undefined
      } else {
        runes.add(rune)
        before = rune
      }
    }
  }

  #range(first: string | undefined, runes: Set<string>): void {
    if (first === undefined) throw new OperandError('a range without a start')
    const { rune, isEscaped } = this.#next()
    if (!isEscaped && (rune === ']' || rune === '-')) throw new OperandError('a range without an end')
    if (compareStrings(rune, first) < 0) throw new OperandError('a range out of order')
    const [from, to] = [first.codePointAt(0) as number, rune.codePointAt(0) as number]
    this.#members += to - from
    if (this.#members > maxMembers) throw new OperandError('too large a set')
    for (let each = from; each <= to; each++) runes.add(String.fromCodePoint(each))
  }

  #next(): Rune {
    const next = this.#runes[this.#at++]
    if (next === undefined) throw new OperandError('a set without an end')
    return next
  }
}

function isSame(a: Token, b: Token): boolean {
  if (a.kind !== b.kind || a.runes === undefined || b.runes === undefined) return a.kind === b.kind
  return a.runes.size === b.runes.size && a.runes.isSubsetOf(b.runes)
}

function fits(a: Token, b: Token): boolean {
  return a.runes === undefined || b.runes === undefined || !a.runes.isDisjointFrom(b.runes)
}

type Side = 0 | 1

/**
 * Whether two expressions have a string in common, as the library that OPA uses finds it; it tries each way through the
 * repetitions, and what it said once about two places is kept here, so that the ways are not multiplied.
 *
 * @see https://github.com/yashtewari/glob-intersection
 */
class Intersection {
  readonly #globs: readonly [readonly Token[], readonly Token[]]
  readonly #known = new Map<number, boolean>()
  #steps = 0

  constructor(left: readonly Token[], right: readonly Token[]) {
    this.#globs = [left, right]
  }

  isFound(): boolean {
    return this.#plain(0, 0)
  }

  /** From a place in each on. */
  #plain(left: number, right: number): boolean {
    let [i, j] = [left, right]
    for (; i < this.#globs[0].length && j < this.#globs[1].length; i++, j++) {
      const [a, b] = [this.#globs[0][i] as Token, this.#globs[1][j] as Token]
      if (a.flag !== '' || b.flag !== '') return this.#remembered(i, j)
      if (!this.#fits(a, b)) return false
    }
    return i === this.#globs[0].length && j === this.#globs[1].length
  }

  #remembered(i: number, j: number): boolean {
    const key = i * (this.#globs[1].length + 1) + j
    let answer = this.#known.get(key)
    if (answer === undefined) {
      answer = this.#repeated(i, j)
      this.#known.set(key, answer)
    }
    return answer
  }

  #repeated(i: number, j: number): boolean {
    const side: Side = (this.#globs[0][i] as Token).flag === '' ? 1 : 0
    const [own, other] = side === 0 ? [i, j] : [j, i]
    const [repeated, met] = [this.#token(side, own) as Token, this.#token(side === 0 ? 1 : 0, other) as Token]
    if (repeated.flag === '*') return this.#star(side, own, other)
    if (!this.#fits(repeated, met)) return false
    if (this.#star(side, own, other + 1)) return true
    return met.flag !== '' && this.#from(side, own + 1, other)
  }

  /** The token at `own` of `side` takes from the other as many as it fits. */
  #star(side: Side, own: number, other: number): boolean {
    const opposite = this.#globs[side === 0 ? 1 : 0]
    const [star, next] = [this.#token(side, own) as Token, this.#token(side, own + 1)]
    for (let at = other; at < opposite.length; at++) {
      const met = opposite[at] as Token
      if (next !== undefined && this.#fits(met, next) && this.#from(side, own + 1, at)) return true
      if (!this.#fits(met, star)) return false
    }
    return next === undefined
  }

  #from(side: Side, own: number, other: number): boolean {
    return side === 0 ? this.#plain(own, other) : this.#plain(other, own)
  }

  #token(side: Side, at: number): Token | undefined {
    return this.#globs[side][at]
  }

  #fits(a: Token, b: Token): boolean {
    this.#steps += 1 + Math.min(a.runes?.size ?? 0, b.runes?.size ?? 0) / 8
    if (this.#steps > maxSteps) throw new OperandError('too much to compare')
    return fits(a, b)
  }
}

/** Whether what stands before the first and behind the last repetition fits; the same places of both. */
function doEndsFit(left: readonly Token[], right: readonly Token[]): boolean {
  for (const at of [(index: number) => index, (index: number) => -1 - index]) {
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      const [a, b] = [left.at(at(i)) as Token, right.at(at(i)) as Token]
      if (a.flag !== '' || b.flag !== '') break
      if (!fits(a, b)) return false
    }
  }
  return true
}

/** `glob.quote_meta` and `regex.globs_match`. */
export const globBuiltins: Family = {
  'glob.quote_meta': (_, pattern) => text(pattern).replace(/[*?\\[\]{}]/g, '\\$&'),
  'regex.globs_match': (_, left, right) => {
    const [a, b] = [new GlobReader(text(left)).tokens(), new GlobReader(text(right)).tokens()]
    return doEndsFit(a, b) && new Intersection(a, b).isFound()
  },
}
