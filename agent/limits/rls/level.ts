import type { Compat, Entry } from './types.ts'

/** What descriptors may hold at one depth, and what each leads to. */
export interface Level<T> {
  /** Whether a key with a value is there already; an empty value stands for all. */
  has(key: string, value: string): boolean
  add(key: string, value: string, next: T): void
  /** The exact value, else the first pattern in the order of the file, else the key alone. */
  find(entry: Entry): Match<T> | undefined
}

export interface Match<T> {
  readonly next: T
  /** The pattern that the value fits, where it was found by one. */
  readonly pattern?: string
}

/** A level for each way to read the file. */
export function createLevel<T>(compat: Compat): Level<T> {
  return compat === 'fixed' ? new FixedLevel<T>() : new StrictLevel<T>()
}

/** Whether a text fits a pattern that was split at its stars; each stands for any text. */
export function fits(text: string, parts: readonly string[]): boolean {
  const [first = ''] = parts
  const last = parts.at(-1) as string
  if (!text.startsWith(first)) return false
  const end = text.length - last.length
  let at = first.length
  if (at > end || !text.endsWith(last)) return false
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] as string
    const found = text.indexOf(part, at)
    if (found === -1 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}

interface Values<T> {
  readonly exact: Map<string, Match<T>>
  readonly patterns: { readonly parts: readonly string[]; readonly match: Match<T> }[]
  any: Match<T> | undefined
}

class FixedLevel<T> implements Level<T> {
  readonly #byKey = new Map<string, Values<T>>()

  has(key: string, value: string): boolean {
    const values = this.#byKey.get(key)
    if (values === undefined) return false
    if (value === '') return values.any !== undefined
    return values.exact.has(value) || values.patterns.some(({ match }) => match.pattern === value)
  }

  add(key: string, value: string, next: T): void {
    let values = this.#byKey.get(key)
    if (values === undefined) {
      values = { exact: new Map(), patterns: [], any: undefined }
      this.#byKey.set(key, values)
    }
    if (value === '') values.any = { next }
    else if (value.includes('*'))
      values.patterns.push({ parts: value.split('*'), match: { next, pattern: value } })
    else values.exact.set(value, { next })
  }

  find({ key, value }: Entry): Match<T> | undefined {
    const values = this.#byKey.get(key)
    if (values === undefined) return undefined
    const exact = values.exact.get(value)
    if (exact !== undefined) return exact
    for (const { parts, match } of values.patterns) if (fits(value, parts)) return match
    return values.any
  }
}

/** Keys and values are one text; a star counts at its end only. */
class StrictLevel<T> implements Level<T> {
  readonly #byText = new Map<string, Match<T>>()
  readonly #patterns: { readonly prefix: string; readonly text: string; readonly next: T }[] = []

  has(key: string, value: string): boolean {
    return this.#byText.has(joined(key, value))
  }

  add(key: string, value: string, next: T): void {
    const text = joined(key, value)
    this.#byText.set(text, { next })
    if (text.endsWith('*')) this.#patterns.push({ prefix: text.slice(0, -1), text, next })
  }

  find({ key, value }: Entry): Match<T> | undefined {
    const text = `${key}_${value}`
    const exact = this.#byText.get(text)
    if (exact !== undefined) return exact
    for (const each of this.#patterns)
      if (text.startsWith(each.prefix)) return { next: each.next, pattern: patternOf(each.text, key) }
    return this.#byText.get(key)
  }
}

function joined(key: string, value: string): string {
  return value === '' ? key : `${key}_${value}`
}

/** The whole text where the key does not stand at its beginning. */
function patternOf(text: string, key: string): string {
  return text.startsWith(`${key}_`) ? text.slice(key.length + 1) : text
}
