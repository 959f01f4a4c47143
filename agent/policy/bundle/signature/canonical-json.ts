import { compareStrings } from '../../values/compare.ts'

/** A number as it was written: the digest is over its digits, `1.0` is not `1`. */
class Literal {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const { parse } = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown
}

/**
 * The text that OPA takes the digest of for a structured file: no space, keys in the order of their bytes, strings as
 * Go's encoder writes them, numbers as they stand.
 *
 * @throws SyntaxError where it is no JSON, RangeError where it nests too deep.
 * @see https://www.openpolicyagent.org/docs/management-bundles#signature-format
 */
export function canonicalJson(text: string): string {
  return write(
    parse(text, (_key, value, { source }) =>
      typeof value === 'number' && source !== undefined ? new Literal(source) : value,
    ),
  )
}

function write(value: unknown): string {
  if (value instanceof Literal) return value.text
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, item]) => [key.toWellFormed(), item] as const)
    members.sort(([a], [b]) => compareStrings(a, b))
    return `{${members.map(([key, item]) => `${string(key)}:${write(item)}`).join(',')}}`
  }
  return typeof value === 'string' ? string(value.toWellFormed()) : String(value)
}

/** Go escapes the two line separators that JavaScript once could not have in a string. */
function string(value: string): string {
  return JSON.stringify(value).replace(/[\u2028\u2029]/g, (found) => `\\u${found.charCodeAt(0).toString(16)}`)
}
