import type { JsonObject, JsonValue } from './json.ts'

export type StrictJson =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly why: string }

const defaultMaxDepth = 32

/**
 * Reads JSON that decides something, so that no two readers can see different things in it: a member that stands twice
 * (`JSON.parse` takes the last), one named `__proto__`, text that is no Unicode and numbers beyond a double are refused.
 * Objects come frozen and without a prototype, lists frozen.
 *
 * @see RFC 8259; RFC 7493 (I-JSON)
 */
export function parseStrictJson(text: string, maxDepth = defaultMaxDepth): StrictJson {
  if (!text.isWellFormed()) return { ok: false, why: 'the text is no Unicode' }
  return new Reader(text, maxDepth).document()
}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const literals: readonly (readonly [text: string, value: boolean | null])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
]

/** Each step gives `undefined` where the text is wrong, and says why: what comes from outside is refused, not thrown. */
class Reader {
  readonly #text: string
  readonly #maxDepth: number
  #at = 0
  #why = ''

  constructor(text: string, maxDepth: number) {
    this.#text = text
    this.#maxDepth = maxDepth
  }

  document(): StrictJson {
    this.#skipSpace()
    const value = this.#value(0)
    if (value === undefined) return { ok: false, why: this.#why }
    this.#skipSpace()
    if (this.#at < this.#text.length) return { ok: false, why: `something follows at ${this.#at}` }
    return { ok: true, value }
  }

  #no(why: string): undefined {
    this.#why = `${why} at ${this.#at}`
    return undefined
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }

  /** Whether the next character, after space, is this one; then it is behind us. */
  #took(code: number): boolean {
    this.#skipSpace()
    if (this.#text.charCodeAt(this.#at) !== code) return false
    this.#at++
    return true
  }

  #value(depth: number): JsonValue | undefined {
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x22:
        return this.#string()
      case 0x7b:
        return depth < this.#maxDepth ? this.#object(depth + 1) : this.#no('nested too deep')
      case 0x5b:
        return depth < this.#maxDepth ? this.#list(depth + 1) : this.#no('nested too deep')
      default:
        return this.#scalar()
    }
  }

  #scalar(): JsonValue | undefined {
    for (const [text, value] of literals) {
      if (!this.#text.startsWith(text, this.#at)) continue
      this.#at += text.length
      return value
    }
    numberPattern.lastIndex = this.#at
    const digits = numberPattern.exec(this.#text)?.[0]
    if (digits === undefined) return this.#no('not a value')
    const number = Number(digits)
    if (!Number.isFinite(number)) return this.#no('a number that is too large')
    this.#at += digits.length
    return number
  }

  #string(): string | undefined {
    const text = this.#text
    const start = this.#at
    let isEscaped = false
    for (let at = start + 1; ; at++) {
      const code = text.charCodeAt(at)
      if (code === 0x22) {
        this.#at = at + 1
        return isEscaped ? this.#unescaped(start) : text.slice(start + 1, at)
      }
      if (code === 0x5c) {
        isEscaped = true
        at++
      } else if (!(code >= 0x20)) return this.#no('a text without an end, or with a control character')
    }
  }

  #unescaped(start: number): string | undefined {
    try {
      const value: string = JSON.parse(this.#text.slice(start, this.#at))
      return value.isWellFormed() ? value : this.#no('half a surrogate pair')
    } catch {
      return this.#no('an unknown escape')
    }
  }

  #object(depth: number): JsonObject | undefined {
    const object: Record<string, JsonValue> = Object.create(null)
    this.#at++
    if (this.#took(0x7d)) return Object.freeze(object)
    do {
      this.#skipSpace()
      if (this.#text.charCodeAt(this.#at) !== 0x22) return this.#no('not a name')
      const name = this.#string()
      if (name === undefined) return undefined
      if (name === '__proto__') return this.#no('a member named __proto__')
      if (object[name] !== undefined) return this.#no('a member that stands twice')
      if (!this.#took(0x3a)) return this.#no('no colon')
      this.#skipSpace()
      const value = this.#value(depth)
      if (value === undefined) return undefined
      object[name] = value
    } while (this.#took(0x2c))
    return this.#took(0x7d) ? Object.freeze(object) : this.#no('no end of an object')
  }

  #list(depth: number): readonly JsonValue[] | undefined {
    const list: JsonValue[] = []
    this.#at++
    if (this.#took(0x5d)) return Object.freeze(list)
    do {
      this.#skipSpace()
      const value = this.#value(depth)
      if (value === undefined) return undefined
      list.push(value)
    } while (this.#took(0x2c))
    return this.#took(0x5d) ? Object.freeze(list) : this.#no('no end of a list')
  }
}
