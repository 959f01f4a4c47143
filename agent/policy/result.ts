import { z } from 'zod'
import type { JsonValue } from '#base/json.ts'
import { allowWith, deny, failure, type Header, type Mutations, type Verdict } from '#decision/verdict.ts'
import { withDoubles } from './values/json.ts'

/** Codes of `envoy.type.v3.StatusCode`: Envoy rejects an answer with any other. */
const envoyStatuses = new Set([
  100, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401,
  402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 426,
  428, 429, 431, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
])

/** What a policy may not set: routing, framing, Envoy's own, and what Sluice vouches for. */
const reserved =
  /^(:.*|host|connection|keep-alive|proxy-connection|content-length|transfer-encoding|upgrade|te|trailer|x-envoy-.*|x-sluice-.*)$/
const headerName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be in a header.
const headerValue = /^[^\u0000-\u0008\u000a-\u001f\u007f]*$/

const value = z.string().regex(headerValue, 'a header value without control characters')
const headerObject = z.record(z.string(), z.union([value, z.array(value)]))
const headers = z.union([headerObject, z.array(headerObject)]).transform((input, context): Header[] => {
  const pairs: Header[] = []
  for (const object of Array.isArray(input) ? input : [input]) {
    for (const [name, values] of Object.entries(object)) {
      const lower = name.toLowerCase()
      if (!headerName.test(lower) || reserved.test(lower)) {
        context.addIssue({ code: 'custom', message: `a policy may not set the header ${name}` })
      }
      for (const each of Array.isArray(values) ? values : [values]) pairs.push([lower, each])
    }
  }
  return pairs
})
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
  request_headers_to_remove: z
    .array(
      z
        .string()
        .refine((name) => !reserved.test(name.toLowerCase()), 'a header that a policy may not remove'),
    )
    .optional(),
  query_parameters_to_set: query.optional(),
  query_parameters_to_remove: z.array(z.string()).optional(),
  http_status: z
    .number()
    .refine((code) => envoyStatuses.has(code), "one of Envoy's status codes")
    .optional(),
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
      removeHeaders: request_headers_to_remove.map((name) => name.toLowerCase()),
    }),
    ...(query_parameters_to_set !== undefined && { setQuery: query_parameters_to_set }),
    ...(query_parameters_to_remove !== undefined && { removeQuery: query_parameters_to_remove }),
  }
  return allowWith(mutations)
}
