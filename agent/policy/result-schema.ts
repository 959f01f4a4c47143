import { z } from 'zod'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { Header } from '#decision/verdict.ts'

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
/** `{name: value or [value]}`, or a list of such. */
export const headers = z
  .union([headerList, z.array(headerList).transform((lists) => lists.flat())])
  .transform((pairs, context): Header[] =>
    pairs.map(([name, text]) => {
      const lower = name.toLowerCase()
      if (!headerName.test(lower) || reserved.test(lower))
        context.addIssue({ code: 'custom', message: `a policy may not set the header ${name}` })
      return [lower, text]
    }),
  )
/** The same of query parameters. */
export const query = namedTexts(z.string())

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

export const envoyStatus = z.number().refine((code) => envoyStatuses.has(code), "one of Envoy's status codes")
