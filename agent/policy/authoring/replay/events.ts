import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { z } from 'zod'
import { messageOf, SluiceError } from '#base/errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { parseExactJson } from '../../input/json-text.ts'
import { parseMoment } from '../inputs/inputs.ts'

/** A decision as it was logged, or a recorded request that has none yet. */
export interface LoggedEvent {
  /** File and line or number. */
  readonly place: string
  readonly id: string
  /** The entrypoint that was asked, where the event says. */
  readonly path?: string
  readonly input: JsonValue | undefined
  /** Whether it holds a decision at all. */
  readonly isDecided: boolean
  readonly result?: JsonValue
  readonly error?: string
  readonly atMs?: number
  /** By builtin, by the JSON of its operands. */
  readonly recorded: JsonObject
  /** What was removed or replaced before the event was written. */
  readonly hidden: readonly { readonly pointer: string; readonly how: 'erased' | 'masked' }[]
  readonly revisions: string
}

const maxBytes = 1 << 30

const eventSchema = z.looseObject({
  decision_id: z.string(),
  path: z.string().optional(),
  query: z.string().optional(),
  timestamp: z.string().optional(),
  error: z.unknown().optional(),
  erased: z.array(z.string()).optional(),
  masked: z.array(z.string()).optional(),
  revision: z.string().optional(),
  bundles: z.record(z.string(), z.looseObject({ revision: z.string().optional() })).optional(),
  nd_builtin_cache: z.record(z.string(), z.unknown()).nullish(),
})

/**
 * Reads decisions as OPA and the agent log them: one event, an array of them as they are uploaded (gzip or not), or lines
 * as the console has them, among which other log lines are passed over. A document with `attributes` is a recorded request.
 *
 * @throws SluiceError for what is neither, naming the line or the number in the array.
 */
export function readEvents(path: string): LoggedEvent[] {
  const text = readText(path)
  let whole: JsonValue
  try {
    whole = parseExactJson(text)
  } catch {
    return linesOf(text, path)
  }
  return Array.isArray(whole)
    ? whole.map((each, index) => eventOf(each, `${path}[${index}]`))
    : [eventOf(whole, path)]
}

function readText(path: string): string {
  try {
    const bytes = readFileSync(path)
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b
    return (isGzip ? gunzipSync(bytes, { maxOutputLength: maxBytes }) : bytes).toString()
  } catch (cause) {
    throw refused(path, messageOf(cause), cause)
  }
}

function linesOf(text: string, path: string): LoggedEvent[] {
  return text.split('\n').flatMap((line, index): LoggedEvent[] => {
    if (line.trim() === '') return []
    const place = `${path}:${index + 1}`
    let value: JsonValue
    try {
      value = parseExactJson(line)
    } catch (cause) {
      throw refused(place, messageOf(cause), cause)
    }
    // A console has other lines too.
    const isOtherLine =
      isJsonObject(value) && value['decision_id'] === undefined && value['msg'] !== undefined
    return isOtherLine ? [] : [eventOf(value, place)]
  })
}

function eventOf(value: JsonValue, place: string): LoggedEvent {
  if (isJsonObject(value) && value['decision_id'] === undefined && isJsonObject(value['attributes']))
    return { place, id: place, input: value, isDecided: false, recorded: {}, hidden: [], revisions: '' }
  const parsed = eventSchema.safeParse(value)
  if (!parsed.success) throw refused(place, z.prettifyError(parsed.error).replaceAll('\n', ' '))
  const event = parsed.data
  const document = value as JsonObject
  const path = event.path ?? event.query
  const revisions = Object.entries(event.bundles ?? {}).map(
    ([name, { revision }]) => `${name} ${revision ?? ''}`,
  )
  return {
    place,
    id: event.decision_id,
    ...(path !== undefined && path !== '' && { path: path.replace(/^data\./, '').replaceAll('.', '/') }),
    input: document['input'],
    isDecided: true,
    ...(document['result'] !== undefined && { result: document['result'] }),
    ...(event.error !== undefined && event.error !== null && { error: errorText(event.error) }),
    ...(event.timestamp !== undefined && { atMs: parseMoment(event.timestamp, `${place}: timestamp`) }),
    recorded: (event.nd_builtin_cache ?? {}) as JsonObject,
    hidden: [
      ...(event.erased ?? []).map((pointer) => ({ pointer, how: 'erased' as const })),
      ...(event.masked ?? []).map((pointer) => ({ pointer, how: 'masked' as const })),
    ],
    revisions: revisions.length > 0 ? revisions.join(', ') : (event.revision ?? ''),
  }
}

function errorText(error: unknown): string {
  return isJsonObject(error) && typeof error['message'] === 'string'
    ? error['message']
    : JSON.stringify(error)
}

function refused(place: string, found: string, cause?: unknown): SluiceError {
  return new SluiceError({
    code: 'event_unreadable',
    place,
    found,
    expected:
      'a decision-log event (with decision_id), an array or lines of them, or a recorded request (with attributes)',
    cause,
  })
}
