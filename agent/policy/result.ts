import { z } from 'zod'
import type { JsonValue } from '#base/json.ts'
import { allowWith, deny, failure, type Header, type Verdict } from '#decision/verdict.ts'
import { envoyStatus, headerNames, headers, dynamicMetadata as metadata, query } from './result-schema.ts'
import { withDoubles } from './values/json.ts'

/**
 * The result object of the OPA Envoy plugin. Keys that only the other outcome has are not looked at, as there: a policy may
 * carry its denial's status along when it allows.
 */
const resultSchema = z.discriminatedUnion('allowed', [
  z.object({
    allowed: z.literal(true),
    headers: headers.optional(),
    dynamic_metadata: metadata.optional(),
    response_headers_to_add: headers.optional(),
    request_headers_to_remove: headerNames.optional(),
    query_parameters_to_set: query.optional(),
    query_parameters_to_remove: z.array(z.string()).optional(),
  }),
  z.object({
    allowed: z.literal(false),
    headers: headers.optional(),
    dynamic_metadata: metadata.optional(),
    http_status: envoyStatus.optional(),
    body: z.string().optional(),
  }),
])

/** What Rego said, as a verdict. Anything but the two shapes of the contract refuses. */
export function verdictOf(result: JsonValue | undefined, decisionId: string): Verdict {
  if (result === undefined) return deny('policy_undefined')
  if (result === true) return allowWith({ dynamicMetadata: { decision_id: decisionId } })
  if (result === false) {
    return { kind: 'deny', reason: 'policy_denied', own: { dynamicMetadata: { decision_id: decisionId } } }
  }
  const parsed = resultSchema.safeParse(withDoubles(result))
  if (!parsed.success) return failure('policy_result_invalid', new Error(z.prettifyError(parsed.error)))
  const { data } = parsed
  const dynamicMetadata = { ...data.dynamic_metadata, decision_id: decisionId }
  if (!data.allowed) {
    const { http_status, headers: set, body } = data
    return {
      kind: 'deny',
      reason: 'policy_denied',
      own: {
        dynamicMetadata,
        ...(http_status !== undefined && { httpStatus: http_status }),
        ...(set !== undefined && { headers: set }),
        ...(body !== undefined && { body }),
      },
    }
  }
  const removeHeaders = data.request_headers_to_remove
  const setHeaders = withoutNames(data.headers, removeHeaders)
  const setQuery = withoutNames(data.query_parameters_to_set, data.query_parameters_to_remove)
  return allowWith({
    dynamicMetadata,
    ...(setHeaders !== undefined && { setHeaders }),
    ...(data.response_headers_to_add !== undefined && { addResponseHeaders: data.response_headers_to_add }),
    ...(removeHeaders !== undefined && { removeHeaders }),
    ...(setQuery !== undefined && { setQuery }),
    ...(data.query_parameters_to_remove !== undefined && { removeQuery: data.query_parameters_to_remove }),
  })
}

/** Envoy sets first and removes then: what a policy names in both lists is gone. */
function withoutNames(
  set: readonly Header[] | undefined,
  remove: readonly string[] | undefined,
): readonly Header[] | undefined {
  return remove === undefined ? set : set?.filter(([name]) => !remove.includes(name))
}
