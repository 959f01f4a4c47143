import { messageOf } from '#base/errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { Decided } from '../decided.ts'
import { wellFormedJson } from '../input/json-text.ts'
import { toJson } from '../values/json.ts'

/**
 * An entry of a decision log, with OPA's keys in OPA's order.
 *
 * @see https://www.openpolicyagent.org/docs/management-decision-logs
 */
export interface LogEvent {
  readonly labels: Readonly<Record<string, string>>
  readonly decision_id: string
  readonly trace_id?: string
  readonly span_id?: string
  readonly bundles?: Readonly<Record<string, { readonly revision?: string }>>
  readonly path?: string
  readonly input?: JsonValue | undefined
  readonly result?: JsonValue | undefined
  readonly nd_builtin_cache?: JsonValue | undefined
  readonly erased?: readonly string[]
  readonly masked?: readonly string[]
  /** On the console its message alone. */
  readonly error?: JsonObject | string
  /** RFC 3339, as Go writes it. */
  readonly timestamp: string
  readonly metrics?: JsonObject
  readonly request_context?: JsonObject
  /** What is ours stands under `sluice`. */
  readonly custom?: JsonObject
}

export interface EventOptions {
  readonly labels: Readonly<Record<string, string>>
  /** Whether calls whose answer is no function of their operands are logged. */
  readonly isNdBuiltinCacheWanted: boolean
  /** Names of request headers to log beside the input. */
  readonly requestHeaders: readonly string[]
}

/** The event before anything is masked in it. */
export function eventOf(decided: Decided, options: EventOptions): LogEvent {
  const { input, result, recorded, traceparent } = decided
  const trace = traceparent === undefined ? undefined : parseTraceparent(traceparent)
  const bundles = Object.entries(decided.revisions)
  const error = errorOf(decided)
  const context = requestContext(input.value, options.requestHeaders)
  return {
    labels: options.labels,
    decision_id: decided.decisionId,
    ...trace,
    ...(bundles.length > 0 && {
      bundles: Object.fromEntries(
        bundles.map(([name, revision]) => [name, revision === '' ? {} : { revision }]),
      ),
    }),
    path: decided.path,
    input: input.value,
    // What is no answer is not logged as one.
    ...(result !== undefined && error === undefined && { result }),
    ...(options.isNdBuiltinCacheWanted &&
      recorded !== undefined &&
      result !== undefined && { nd_builtin_cache: ndBuiltinCache(recorded) }),
    ...(error !== undefined && { error }),
    timestamp: goTime(decided.atMs),
    metrics: { timer_rego_query_eval_ns: Math.round(decided.evaluationUs * 1000) },
    ...(context !== undefined && { request_context: context }),
  }
}

function errorOf({ error, result }: Decided): JsonObject | undefined {
  if (error !== undefined) return { message: messageOf(error).toWellFormed() }
  return result === undefined ? { message: 'undefined decision' } : undefined
}

function ndBuiltinCache(recorded: NonNullable<Decided['recorded']>): JsonObject {
  return Object.fromEntries(
    [...recorded].map(([name, calls]) => [
      name,
      Object.fromEntries([...calls].map(([operands, value]) => [operands, toJson(value)])),
    ]),
  )
}

/** @see https://www.w3.org/TR/trace-context/#traceparent-header */
function parseTraceparent(text: string): { readonly trace_id: string; readonly span_id: string } | undefined {
  const match = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-|$)/.exec(
    text,
  )
  return match === null ? undefined : { trace_id: match[1] as string, span_id: match[2] as string }
}

function requestContext(input: JsonValue, names: readonly string[]): JsonObject | undefined {
  if (names.length === 0 || !isJsonObject(input)) return undefined
  const { attributes } = input
  const request = isJsonObject(attributes) ? attributes['request'] : undefined
  const http = isJsonObject(request) ? request['http'] : undefined
  const headers = isJsonObject(http) ? http['headers'] : undefined
  if (!isJsonObject(headers)) return undefined
  const found = names.flatMap((name) => {
    const value = Object.hasOwn(headers, name.toLowerCase()) ? headers[name.toLowerCase()] : undefined
    return typeof value === 'string' ? [[name, [value]] as const] : []
  })
  return found.length === 0 ? undefined : { http: { headers: Object.fromEntries(found) } }
}

/** As Go writes a time in UTC: no zeros at the end of the fraction. */
export function goTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.?0*Z$/, 'Z')
}

/** JSON of an event, and where in it a part stands that may be cut out to make it smaller. */
export interface EventText {
  readonly bytes: Buffer
  /** From the comma before `nd_builtin_cache` to its end; absent where there is none. */
  readonly cut?: { readonly from: number; readonly to: number }
}

/** A cache smaller than this is not what makes an event too large. */
const minCutCharacters = 64

/** @param inputText JSON of `event.input`, where it is known already. */
export function eventText(event: LogEvent, inputText?: string): EventText {
  const { labels, decision_id, trace_id, span_id, bundles, path, input, result, nd_builtin_cache } = event
  const { erased, masked, error, timestamp, metrics, request_context, custom } = event
  const head = JSON.stringify({ labels, decision_id, trace_id, span_id, bundles, path })
  let text = head.slice(0, -1)
  if (input !== undefined) text += `,"input":${inputText ?? wellFormedJson(JSON.stringify(input))}`
  if (result !== undefined) text += `,"result":${wellFormedJson(JSON.stringify(result))}`
  let cut: { readonly from: number; readonly to: number } | undefined
  if (nd_builtin_cache !== undefined) {
    const field = `,"nd_builtin_cache":${wellFormedJson(JSON.stringify(nd_builtin_cache))}`
    if (field.length >= minCutCharacters) {
      const from = Buffer.byteLength(text)
      cut = { from, to: from + Buffer.byteLength(field) }
    }
    text += field
  }
  const tail = JSON.stringify({ erased, masked, error, timestamp, metrics, request_context, custom })
  return { bytes: Buffer.from(`${text},${wellFormedJson(tail).slice(1)}`), ...(cut && { cut }) }
}
