import type { Random } from '../../harness/random.ts'
import { arrays, booleans, numbers, objects, type Production, sets, smalls, strings } from './productions.ts'

/** Depth of expressions: deeper ones hide what differs behind what is undefined. */
const depth = 3

const numberEdges =
  `0 1 -1 2 3 7 10 255 -42 0.5 -0.25 1.5 2.50 100.0 1e2 1E3 12345678901 9007199254740991 9007199254740992
  9007199254740993 -9007199254740993 9223372036854775807 -9223372036854775808`.split(/\s+/)

/** As JSON writes them: Rego reads the same escapes. */
const stringEdges = [
  ...[
    '',
    'a',
    'b',
    'abc',
    'ABC',
    'a,b,c',
    'x=1&y=2',
    ' padded\t',
    'Zoë',
    'straße',
    'İstanbul',
    'ß',
    '日本語',
    '😀a😀',
  ],
  ...[
    '\u0000',
    '\u0001\u001f',
    '"quoted"',
    'back\\slash',
    'line\nbreak',
    '\u007f\u0080',
    '\ufffd',
    '\u{10ffff}',
    'e\u0301',
  ],
  ...[
    '10.0.0.1',
    '10.0.0.0/28',
    '2001:db8::/125',
    '::ffff:1.2.3.4',
    '1.2.3',
    '1.2.3-rc.1+b',
    '007',
    '-5',
    '1e3',
    '0x10',
  ],
  ...[
    'true',
    'null',
    '[1, 2]',
    '{"a": 1.0}',
    '10Ki',
    '1.5G',
    '2021-03-01T10:00:00Z',
    '1h15m',
    'aGVsbG8=',
    '68656c6c6f',
  ],
  ...['a/b/c', '**', 'a*', '(a|b)+', '[', '%41%20+', '%v', '%zz', '$1', '.'],
]

/** Makes modules of Rego, and inputs for them, from a source of chance. */
export class Generator {
  readonly random: Random
  readonly #scope: string[] = []
  #names = 0

  constructor(random: Random) {
    this.random = random
  }

  /** One rule, or several of one name. */
  rule(name: string): string {
    this.#names = 0
    const some = this.random.below(14)
    switch (some) {
      case 0:
        return `${name} if ${this.boolean(depth)}`
      case 1:
        return `${name} := ${this.any(2)} if { ${this.boolean(2)} } else := ${this.any(2)}`
      case 2:
        return `default ${name} := ${this.literal(2)}\n${name} := ${this.any(2)} if not ${this.boolean(2)}`
      case 3:
        return `${name} contains ${this.any(1)}\n${name} contains x if some x in ${this.collection(2)}`
      case 4:
        return `${name}[k] := v if some k, v in ${this.collection(2)}`
      case 5:
        return `${name} := v if { v := ${this.any(2)} with input.${this.key()} as ${this.any(1)} }`
      case 6:
        return `${name} if every x in ${this.collection(2)} { type_name(x) != "null"; ${this.within(['x'], () => this.boolean(1))} }`
      case 7:
        return `${name} := f_${name}(${this.any(2)})\nf_${name}(x) := ${this.within(['x'], () => this.any(2))}`
      case 8:
        return `${name} := [a, b] if { [a, b] := input.${this.key()} }`
      case 9:
        return `${name} := x if { x := ${this.any(2)}; ${this.within(['x'], () => this.boolean(1))}; ${this.boolean(1)} }`
      default:
        return `${name} := ${this.any(depth)}`
    }
  }

  /** An object as a Rego term, for `input`. */
  input(): string {
    const members = [
      ['a', this.literal(3)],
      ['b', this.literal(2)],
      ['n', this.numberLiteral()],
      ['s', this.stringLiteral()],
      ['l', `[${this.literals(2)}]`],
      ['o', `{"k": ${this.literal(1)}, ${this.stringLiteral()}: ${this.literal(1)}}`],
      ['t', `{${this.literals(2)}, 1}`],
    ]
    return `{${members.map(([key, value]) => `"${key}": ${value}`).join(', ')}}`
  }

  /** A number of few digits. */
  small(left: number): string {
    return this.#one(smalls, left, () =>
      this.random.pick(['0', '1', '2', '3', '-1', '7', '-42', '0.5', '1.5', '-0.25']),
    )
  }

  /** An integer of few digits. */
  whole(left: number): string {
    const literal = this.random.pick(['0', '1', '2', '3', '-1', '7', '-42', '1000'])
    if (left <= 0 || this.random.below(2) === 0) return literal
    return `(${literal} ${this.random.pick(['+', '-', '*'])} count(${this.collection(left - 1)}))`
  }

  /** A string that is not empty, as it is written. */
  text(): string {
    return JSON.stringify(this.random.pick(stringEdges.filter((each) => each !== '')))
  }

  /** Any text as an expression to match with, save NUL, where the module takes it for the end. */
  pattern(): string {
    return JSON.stringify(this.random.pick(stringEdges.filter((each) => !each.includes('\u0000'))))
  }

  number(left: number): string {
    return this.#one(numbers, left, () => this.#leaf(() => this.numberLiteral(), 'n'))
  }

  string(left: number): string {
    return this.#one(strings, left, () => this.#leaf(() => this.stringLiteral(), 's'))
  }

  boolean(left: number): string {
    return this.#one(booleans, left, () =>
      this.random.pick(['true', 'input.a', 'input.o.k', '(input.b == input.a)', 'input.none']),
    )
  }

  array(left: number): string {
    return this.#one(arrays, left, () => this.#leaf(() => `[${this.literals(1)}]`, 'l'))
  }

  set(left: number): string {
    return this.#one(sets, left, () => this.#leaf(() => `{${this.literals(1)}}`, 't'))
  }

  object(left: number): string {
    return this.#one(objects, left, () =>
      this.#leaf(() => `{"k": ${this.literal(1)}, 1: ${this.literal(0)}}`, 'o'),
    )
  }

  collection(left: number): string {
    return this.random.pick([this.array, this.set, this.object]).call(this, left)
  }

  any(left: number): string {
    const kinds = [this.number, this.string, this.string, this.boolean, this.array, this.set, this.object]
    if (this.random.below(6) === 0) return this.#leaf(() => this.literal(1), this.key())
    return this.random.pick(kinds).call(this, left)
  }

  /** With variables in scope for what `make` makes. */
  within<T>(names: readonly string[], make: () => T): T {
    this.#scope.push(...names)
    const made = make()
    this.#scope.length -= names.length
    return made
  }

  /** A name that no other variable of the rule has. */
  fresh(): string {
    this.#names++
    return `v${this.#names}`
  }

  key(): string {
    return this.random.pick(['a', 'b', 'n', 's', 'l', 'o', 't'])
  }

  literal(left: number): string {
    const kind = this.random.below(left > 0 ? 9 : 6)
    if (kind < 2) return this.numberLiteral()
    if (kind < 4) return this.stringLiteral()
    if (kind === 4) return this.random.pick(['true', 'false'])
    if (kind === 5) return 'null'
    if (kind === 6) return `[${this.literals(left - 1)}]`
    if (kind === 7) return `{${this.literals(left - 1)}}`
    const first = this.stringLiteral()
    let second = this.literal(0)
    // Of two members with one name nobody says which counts.
    while (second === first) second = this.literal(0)
    return `{${first}: ${this.literal(left - 1)}, ${second}: ${this.literal(left - 1)}}`
  }

  literals(left: number): string {
    return Array.from({ length: 1 + this.random.below(3) }, () => this.literal(left)).join(', ')
  }

  numberLiteral(): string {
    return this.random.below(4) === 0 ? `${this.random.below(2000) - 1000}` : this.random.pick(numberEdges)
  }

  stringLiteral(): string {
    return JSON.stringify(this.random.pick(stringEdges))
  }

  #leaf(literal: () => string, key: string): string {
    const choice = this.random.below(4)
    if (choice === 0) return `input.${key}`
    return choice === 1 && this.#scope.length > 0 ? this.random.pick(this.#scope) : literal()
  }

  #one(productions: readonly Production[], left: number, leaf: () => string): string {
    return left <= 0 ? leaf() : this.random.pick(productions)(this, left - 1)
  }
}
