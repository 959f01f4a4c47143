import { z } from 'zod'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { Demand } from '#decision/challenge.ts'
import type { Header } from '#decision/verdict.ts'
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

/** Whether a policy may set a header; the name in lower case. */
function maySet(lower: string): boolean {
  return headerName.test(lower) && !reserved.test(lower)
}

const object = z.custom<JsonObject>(isJsonObject, 'an object')
const value = z.string().regex(headerValue, 'a header value without control characters')
const headerList = namedTexts(value)
/** `{name: value or [value]}`, or a list of such. */
export const headers = z
  .union([headerList, z.array(headerList).transform((lists) => lists.flat())])
  .transform((pairs, context): Header[] =>
    pairs.map(([name, text]) => {
      const lower = name.toLowerCase()
      if (!maySet(lower))
        context.addIssue({ code: 'custom', message: `a policy may not set the header ${name}` })
      return [lower, text]
    }),
  )
/** The same of query parameters. */
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

/** Numbers that no double holds could not be told to Envoy. */
export const dynamicMetadata = object.refine(isHoldable, 'numbers that a double holds')

/** Names of headers, in lower case. */
export const headerNames = z.array(
  z
    .string()
    .refine((name) => !reserved.test(name.toLowerCase()), 'a header that a policy may remove')
    .transform((name) => name.toLowerCase()),
)

/** What may stand in a quoted list with spaces between. @see RFC 6749, appendix A.4 */
const listed = z
  .string()
  .max(256)
  .regex(
    /^[\x21\x23-\x5b\x5d-\x7e]+$/,
    'characters of a scope: printable ASCII without space, quote and backslash',
  )

/** What a better token must have; a name that is not known is a mistake, for it would demand less than was meant. */
const challenge = z
  .strictObject({
    acr_values: z.array(listed).min(1).max(16).optional(),
    max_age: z.int().min(0).optional(),
    scope: z
      .string()
      .transform((text) => text.split(' '))
      .pipe(z.array(listed).min(1).max(32))
      .optional(),
  })
  .refine((all) => Object.values(all).some((each) => each !== undefined), 'acr_values, max_age or scope')
  .transform(({ acr_values: acrValues, max_age: maxAgeSeconds, scope }) => ({
    isStepUp: acrValues !== undefined || maxAgeSeconds !== undefined,
    demand: {
      ...(acrValues !== undefined && { acrValues }),
      ...(maxAgeSeconds !== undefined && { maxAgeSeconds }),
      ...(scope !== undefined && { scope: scope.join(' ') }),
    } satisfies Demand,
  }))

/** Limits that are handed in, by `policy/limit` of a QuotaPolicy. */
const quotas = object.transform((input, context) => {
  const numbers = new Map<string, number>()
  for (const [name, number] of Object.entries(input)) {
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) numbers.set(name, number)
    else
      context.addIssue({ code: 'custom', path: [name], message: 'a whole number from 0 to 9007199254740991' })
  }
  return numbers as ReadonlyMap<string, number>
})

export const envoyStatus = z.number().refine((code) => envoyStatuses.has(code), "one of Envoy's status codes")

/**
 * The result object of the OPA Envoy plugin, and `challenge` and `quotas`, which are ours. Keys that only the other outcome
 * has are not looked at, as there: a policy may carry its denial's status along when it allows.
 */
export const resultSchema = z.discriminatedUnion('allowed', [
  z.object({
    allowed: z.literal(true),
    headers: headers.optional(),
    dynamic_metadata: dynamicMetadata.optional(),
    response_headers_to_add: headers.optional(),
    request_headers_to_remove: headerNames.optional(),
    query_parameters_to_set: query.optional(),
    query_parameters_to_remove: z.array(z.string()).optional(),
    quotas: quotas.optional(),
  }),
  z
    .object({
      allowed: z.literal(false),
      headers: headers.optional(),
      dynamic_metadata: dynamicMetadata.optional(),
      http_status: envoyStatus.optional(),
      body: z.string().optional(),
      challenge: challenge.optional(),
    })
    .refine(({ challenge, http_status }) => challenge === undefined || http_status === undefined, {
      path: ['http_status'],
      error: 'no http_status beside challenge, which is 401 or 403 by what it asks for',
    }),
])

export type ResultObject = z.infer<typeof resultSchema>

/** What only a verdict that allows has beside headers; few policies say any of it. */
const rarer = [
  'request_headers_to_remove',
  'query_parameters_to_set',
  'query_parameters_to_remove',
  'quotas',
] as const

/**
 * Reads what most results that are objects hold by hand, in a fifth of the time that the schema takes: that is 6 µs
 * for two headers and metadata, more than the compiled engine takes for all of the RBAC of `bench -- policy`.
 *
 * @returns what `resultSchema` would; `undefined` where anything is of another form, right or wrong.
 */
export function plainResult(result: JsonValue): ResultObject | undefined {
  if (!isJsonObject(result)) return undefined
  const { allowed, headers: set, dynamic_metadata: own, http_status: status, body } = result
  if (typeof allowed !== 'boolean') return undefined
  const read: { headers?: Header[]; dynamic_metadata?: JsonObject } = {}
  if (set !== undefined) {
    const pairs = plainHeaders(set)
    if (pairs === undefined) return undefined
    read.headers = pairs
  }
  if (own !== undefined) {
    const doubles = withDoubles(own)
    if (!isJsonObject(doubles) || !isHoldable(doubles)) return undefined
    read.dynamic_metadata = doubles
  }
  if (allowed) {
    if (rarer.some((key) => result[key] !== undefined)) return undefined
    const added = result['response_headers_to_add']
    if (added === undefined) return { allowed, ...read }
    const pairs = plainHeaders(added)
    return pairs && { allowed, ...read, response_headers_to_add: pairs }
  }
  if (result['challenge'] !== undefined) return undefined
  if (status !== undefined && !(typeof status === 'number' && envoyStatuses.has(status))) return undefined
  if (body !== undefined && typeof body !== 'string') return undefined
  return {
    allowed,
    ...read,
    ...(status !== undefined && { http_status: status }),
    ...(body !== undefined && { body }),
  }
}

/** One text for each name. */
function plainHeaders(input: JsonValue): Header[] | undefined {
  if (!isJsonObject(input)) return undefined
  const pairs: Header[] = []
  for (const name of Object.keys(input)) {
    const text = input[name]
    const lower = name.toLowerCase()
    // A raw literal is an object of this one key, and no headers.
    if (name === 'rawJSON' || typeof text !== 'string') return undefined
    if (!headerValue.test(text) || !maySet(lower)) return undefined
    pairs.push([lower, text])
  }
  return pairs
}
