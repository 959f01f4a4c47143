import { z } from 'zod'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { allowWith, deny, failure, type Header, type Verdict } from '#decision/verdict.ts'

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

const object = z.custom<JsonObject>(isJsonObject, 'an object')
const value = z.string().regex(headerValue, 'a header value without control characters')
const headerList = namedTexts(value)
const headers = z
  .union([headerList, z.array(headerList).transform((lists) => lists.flat())])
  .transform((pairs, context): Header[] =>
    pairs.map(([name, text]) => {
      const lower = name.toLowerCase()
      if (!headerName.test(lower) || reserved.test(lower))
        context.addIssue({ code: 'custom', message: `a policy may not set the header ${name}` })
      return [lower, text]
    }),
  )
const query = namedTexts(z.string())

/** `{name: text or [text]}` as pairs. zod's own record would pass over a name like `__proto__`. */
function namedTexts(text: z.ZodString) {
  const texts = z.union([text.transform((each) => [each]), z.array(text)])
  return object.transform((input, context): Header[] =>
    Object.entries(input).flatMap(([name, each]) => {
      const parsed = texts.safeParse(each)
      if (parsed.success) return parsed.data.map((one): Header => [name, one])
      context.addIssue({ code: 'custom', message: `${name}: ${z.prettifyError(parsed.error)}` })
      return []
    }),
  )
}

function isHoldable(metadata: JsonValue | undefined): boolean {
  if (typeof metadata === 'number') return Number.isFinite(metadata)
  if (typeof metadata !== 'object' || metadata === null) return true
  return Object.values(metadata).every(isHoldable)
}

/** What every result object is looked at for; keys that the plugin does not know are ignored there, and so here. */
const common = {
  headers: headers.optional(),
  dynamic_metadata: object.refine(isHoldable, 'numbers that a double holds').optional(),
}
const removable = z
  .string()
  .refine((name) => !reserved.test(name.toLowerCase()), 'a header that a policy may not remove')

/**
 * The result object of the OPA Envoy plugin. Keys that only the other outcome has are not looked at, as there: a policy may
 * carry its denial's status along when it allows.
 */
const resultSchema = z.discriminatedUnion('allowed', [
  z.object({
    ...common,
    allowed: z.literal(true),
    response_headers_to_add: headers.optional(),
    request_headers_to_remove: z.array(removable).optional(),
    query_parameters_to_set: query.optional(),
    query_parameters_to_remove: z.array(z.string()).optional(),
  }),
  z.object({
    ...common,
    allowed: z.literal(false),
    http_status: z
      .number()
      .refine((code) => envoyStatuses.has(code), "one of Envoy's status codes")
      .optional(),
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
  const parsed = resultSchema.safeParse(result)
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
  const removeHeaders = data.request_headers_to_remove?.map((name) => name.toLowerCase())
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
