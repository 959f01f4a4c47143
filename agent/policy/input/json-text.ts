import type { JsonValue } from '#base/json.ts'
import { parseWithSource, rawJSON } from '#base/raw-json.ts'
import { wellFormedEscapes } from '../values/json.ts'
import { mayHoldInexactNumber } from '../values/number.ts'

const maxNumberCharacters = 64

/**
 * `JSON.parse` that keeps a number as it was written: a policy must not compare a rounded amount while the model gets
 * the exact one. Where a double cannot hold a number, the value is a raw literal that `JSON.stringify` writes back. Lone surrogates become U+FFFD, as in OPA.
 *
 * @throws SyntaxError when it is no JSON.
 * @throws RangeError for a number beyond the doubles or of more than 64 characters, which the runtime would trap on or
 *   compute with for a long time.
 */
export function parseExactJson(text: string): JsonValue {
  const sound = wellFormedEscapes(text)
  return mayHoldInexactNumber.test(sound)
    ? (parseWithSource(sound, keepNumber) as JsonValue)
    : JSON.parse(sound)
}

function keepNumber(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || source === undefined || source === String(value)) return value
  const isTame =
    Number.isFinite(value) && source.length <= maxNumberCharacters && !/[eE][+-]?0*\d{4}/.test(source)
  if (!isTame) throw new RangeError('a number that cannot be compared exactly')
  return rawJSON(source)
}

/**
 * What `JSON.stringify` wrote, with every lone surrogate as U+FFFD, in keys too. The runtime traps on their escapes; OPA
 * reads them as U+FFFD.
 */
export function wellFormedJson(json: string): string {
  if (!json.includes('\\ud')) return json
  // A pair is never written as an escape, so that each such escape stands for a lone one.
  return json.replace(/\\(?:ud[89a-f][0-9a-f]{2}|.)/g, (found) =>
    found.startsWith('\\ud') ? '\ufffd' : found,
  )
}
