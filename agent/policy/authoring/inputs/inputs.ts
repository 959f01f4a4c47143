import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { messageOf, SluiceError } from '#base/errors.ts'
import type { JsonValue } from '#base/json.ts'
import { parseExactJson } from '../../input/json-text.ts'

/**
 * Reads a document from a file; `-` is standard input. YAML where the name says so.
 *
 * @throws SluiceError where it is none.
 */
export function readInputFile(path: string): JsonValue {
  const place = path === '-' ? 'standard input' : path
  try {
    const text = readFileSync(path === '-' ? 0 : path, 'utf8')
    return /\.ya?ml$/.test(path) ? (parse(text, { maxAliasCount: 0 }) as JsonValue) : parseExactJson(text)
  } catch (cause) {
    throw new SluiceError({
      code: 'input_unreadable',
      place,
      found: messageOf(cause),
      expected: 'the input of a policy, or a CheckRequest, in JSON',
      cause,
    })
  }
}

/** A moment as RFC 3339 writes it, in milliseconds since the epoch. @throws SluiceError */
export function parseMoment(text: string, place: string): number {
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (Number.isNaN(ms))
    throw new SluiceError({
      code: 'value_invalid',
      place,
      found: JSON.stringify(text),
      expected: 'a moment like 2026-03-01T09:30:00Z or 2026-03-01T09:30:00+04:00',
    })
  return ms
}
