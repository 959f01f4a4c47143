import { messageOf } from '#base/errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { createChallenger } from '#decision/challenger.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import type { Header, Verdict } from '#decision/verdict.ts'
import { clientKind } from '../client-kind.ts'
import { denialOf } from '../denial.ts'

/** Stands where each real answer has an id of its own. */
export const previewId = '00000000-0000-0000-0000-000000000000'

/** What the agent adds to a challenge by its own configuration is not known here. */
const challenger = createChallenger()

/**
 * A verdict as HTTP would see it: what is changed about an allowed request, or the answer to a client of the kind that
 * `input` shows.
 */
export function previewOf(verdict: Verdict, input: JsonValue | undefined): JsonObject {
  if (verdict.kind === 'allow') {
    const { mutations } = verdict
    return {
      allowed: true,
      ...(mutations.setHeaders && { set_headers: grouped(mutations.setHeaders) }),
      ...(mutations.removeHeaders && { remove_headers: mutations.removeHeaders }),
      ...(mutations.addResponseHeaders && { add_response_headers: grouped(mutations.addResponseHeaders) }),
      ...(mutations.removeResponseHeaders && { remove_response_headers: mutations.removeResponseHeaders }),
      ...(mutations.responseBody && { response_body: Buffer.from(mutations.responseBody).toString() }),
      ...(mutations.setQuery && { set_query: grouped(mutations.setQuery) }),
      ...(mutations.removeQuery && { remove_query: mutations.removeQuery }),
      ...(mutations.dynamicMetadata && { dynamic_metadata: mutations.dynamicMetadata }),
    }
  }
  const asked = headersOf(input)
  const refusal = challenger(verdict, asked)
  const { httpStatus, grpcStatus, headers, body } = denialOf(refusal, {
    client: clientKind(asked),
    decisionId: previewId,
  })
  return {
    allowed: false,
    reason: verdict.reason,
    status: httpStatus,
    ...(grpcStatus !== undefined && { grpc_status: grpcStatus }),
    headers: grouped(headers),
    body,
    ...(verdict.kind === 'deny' &&
      verdict.own?.dynamicMetadata && { dynamic_metadata: verdict.own.dynamicMetadata }),
    ...(verdict.kind === 'error' && { error: messageOf(verdict.cause) }),
  }
}

/** Values of a name that stands twice are joined, as HTTP allows. */
function grouped(headers: readonly Header[]): JsonObject {
  const found = new Map<string, string>()
  for (const [name, value] of headers) {
    const before = found.get(name)
    found.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return Object.fromEntries(found)
}

function headersOf(input: JsonValue | undefined): RequestHeaders {
  const headers = new RequestHeaders()
  let at: JsonValue | undefined = input
  for (const key of ['attributes', 'request', 'http', 'headers']) at = isJsonObject(at) ? at[key] : undefined
  for (const [name, value] of Object.entries(isJsonObject(at) ? at : {}))
    if (typeof value === 'string') headers.add(name, value)
  return headers
}
