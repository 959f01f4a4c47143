/** Most that an integer of a structured field can be. */
const maxInteger = 999_999_999_999_999

export type ParameterValue = number | string

/** One member of a list. */
export interface Member {
  readonly name: string
  readonly parameters: readonly (readonly [key: string, value: ParameterValue])[]
}

/**
 * A string with parameters. Numbers are whole, and as large as a field can say at most; characters that no string may have
 * are left out.
 *
 * @see RFC 9651, 4.1
 */
export function writeMember({ name, parameters }: Member): string {
  let text = writeString(name)
  for (const [key, value] of parameters)
    text += `;${key}=${typeof value === 'number' ? writeInteger(value) : writeString(value)}`
  return text
}

/** What is no number is 0: a field that cannot be read would have others of its kind passed over. */
export function writeInteger(value: number): string {
  return String(Math.min(maxInteger, Math.max(0, Math.floor(value) || 0)))
}

export function writeString(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '').replace(/["\\]/g, '\\$&')}"`
}
