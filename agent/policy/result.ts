import { z } from 'zod'
import type { JsonValue } from '#base/json.ts'
import { allowWith, deny, failure, type Header, type Mutations, type Verdict } from '#decision/verdict.ts'
import { envoyStatus, headerNames, headers } from './result-schema.ts'
import { withDoubles } from './values/json.ts'

const query = z
  .record(z.string(), z.union([z.string(), z.array(z.string())]))
  .transform((input): Header[] =>
    Object.entries(input).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [values]).map((each): Header => [name, each]),
    ),
  )

/** The result object of the OPA Envoy plugin; keys it does not know are ignored there, and so here. */
const resultSchema = z.object({
  allowed: z.boolean(),
  headers: headers.optional(),
  response_headers_to_add: headers.optional(),
  request_headers_to_remove: headerNames.optional(),
  query_parameters_to_set: query.optional(),
  query_parameters_to_remove: z.array(z.string()).optional(),
  http_status: envoyStatus.optional(),
  body: z.string().optional(),
  dynamic_metadata: z.record(z.string(), z.json()).optional(),
})

/** What Rego said, as a verdict. Anything but the two shapes of the contract refuses. */
export function verdictOf(result: JsonValue | undefined, decisionId: string): Verdict {
  if (result === undefined) return deny('policy_undefined')
  if (result === true) return allowWith({ dynamicMetadata: { decision_id: decisionId } })
  if (result === false) {
    return { kind: 'deny', reason: 'policy_denied', own: { dynamicMetadata: { decision_id: decisionId } } }
  }
  const parsed = resultSchema.safeParse(withDoubles(result))
  if (!parsed.success) return failure('policy_result_invalid', new Error(z.prettifyError(parsed.error)))
  const {
    allowed,
    headers: set,
    response_headers_to_add,
    request_headers_to_remove,
    query_parameters_to_set,
    query_parameters_to_remove,
    http_status,
    body,
    dynamic_metadata,
  } = parsed.data
  const dynamicMetadata = { ...dynamic_metadata, decision_id: decisionId }
  if (!allowed) {
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
  const mutations: Mutations = {
    dynamicMetadata,
    ...(set !== undefined && { setHeaders: set }),
    ...(response_headers_to_add !== undefined && { addResponseHeaders: response_headers_to_add }),
    ...(request_headers_to_remove !== undefined && {
      removeHeaders: request_headers_to_remove,
    }),
    ...(query_parameters_to_set !== undefined && { setQuery: query_parameters_to_set }),
    ...(query_parameters_to_remove !== undefined && { removeQuery: query_parameters_to_remove }),
  }
  return allowWith(mutations)
}
