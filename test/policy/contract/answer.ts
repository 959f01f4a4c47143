import { fromBinary } from '@bufbuild/protobuf'
import type { HeaderValueOption } from '#gen/envoy/config/core/v3/base_pb.js'
import { CheckResponseSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'

/** How Envoy 1.40 applies a header: over what is there, or beside it. */
type Effect = 'set' | 'add'
type Applied = readonly [name: string, effect: Effect, values: readonly string[]]

/** What a CheckResponse makes Envoy do, in plain values; or the call failed. */
export type Answer =
  | { readonly kind: 'failed'; readonly grpcCode: number; readonly details?: string }
  | {
      readonly kind: 'ok'
      readonly headers: readonly Applied[]
      readonly removed: readonly string[]
      readonly responseHeaders: readonly Applied[]
      readonly path: string
      readonly metadata: unknown
    }
  | {
      readonly kind: 'denied' | 'error'
      readonly grpcCode: number
      readonly httpStatus: number
      readonly headers: readonly Applied[]
      readonly body: string
      readonly metadata: unknown
    }

/** Reads a CheckResponse as Envoy does. `path` is the request's, on which query parameters are set. */
export function answerOf(bytes: Uint8Array, path: string): Answer {
  const { status, httpResponse, dynamicMetadata } = fromBinary(CheckResponseSchema, bytes)
  const grpcCode = status?.code ?? 0
  const { decision_id: _, ...metadata } = dynamicMetadata ?? {}
  if (grpcCode === 0) {
    const ok = httpResponse.case === 'okResponse' ? httpResponse.value : undefined
    const headers = applied(ok?.headers ?? [], 'request')
    const moved = headers.find(([name]) => name === ':path')?.[2].at(-1)
    const set = (ok?.queryParametersToSet ?? []).map(({ key, value }) => [key, value] as const)
    const removed = [...new Set((ok?.headersToRemove ?? []).map((name) => name.toLowerCase()))].sort()
    return {
      kind: 'ok',
      // Envoy sets first and removes then.
      headers: headers.filter(([name]) => name !== ':path' && !removed.includes(name)),
      removed,
      responseHeaders: applied(ok?.responseHeadersToAdd ?? [], 'answer'),
      path: moved ?? withQuery(path, set, ok?.queryParametersToRemove ?? []),
      metadata,
    }
  }
  const denial =
    httpResponse.case === 'deniedResponse' || httpResponse.case === 'errorResponse'
      ? httpResponse.value
      : undefined
  return {
    kind: httpResponse.case === 'errorResponse' ? 'error' : 'denied',
    grpcCode,
    httpStatus: denial?.status?.code || 403,
    headers: applied(denial?.headers ?? [], 'denial'),
    body: denial?.body ?? '',
    metadata,
  }
}

/**
 * By name, because the plugin walks a Go map, whose order is chance. Where a header does not say how it is to be applied,
 * Envoy 1.40 was seen to set it on a request and on a denial, and to add it to an answer. Of a request's header that is set
 * twice the last value counts; a denial keeps them all.
 */
function applied(options: readonly HeaderValueOption[], place: 'request' | 'answer' | 'denial'): Applied[] {
  const byName = new Map<string, { effect: Effect; values: string[] }>()
  for (const { header, append, appendAction } of options) {
    const name = header?.key.toLowerCase() ?? ''
    const isBare = append === undefined && appendAction === 0
    const isAdded = isBare ? place === 'answer' : append === true
    const entry = byName.get(name) ?? { effect: 'set', values: [] }
    byName.set(name, entry)
    if (isAdded) entry.effect = 'add'
    else if (place !== 'denial') entry.values = []
    entry.values.push(header?.value ?? '')
  }
  return [...byName]
    .map(([name, { effect, values }]): Applied => [name, effect, values])
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Query parameters as Envoy sets and removes them: the path is written anew, in the order of the names. */
function withQuery(
  path: string,
  set: readonly (readonly [string, string])[],
  remove: readonly string[],
): string {
  if (set.length === 0 && remove.length === 0) return path
  const mark = path.indexOf('?')
  const query = mark === -1 ? '' : path.slice(mark + 1)
  const found = new Map<string, string[]>()
  for (const pair of query === '' ? [] : query.split('&')) {
    const equals = pair.indexOf('=')
    const name = equals === -1 ? pair : pair.slice(0, equals)
    found.set(name, [...(found.get(name) ?? []), equals === -1 ? '' : pair.slice(equals + 1)])
  }
  for (const [name, value] of set) found.set(name, [value])
  for (const name of remove) found.delete(name)
  const written = [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, values]) => values.map((value) => `${name}=${value}`))
    .join('&')
  const bare = mark === -1 ? path : path.slice(0, mark)
  return written === '' ? bare : `${bare}?${written}`
}
