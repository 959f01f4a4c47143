import { goText } from '../values/go-text.ts'

/** One field of a form. */
export interface FormPart {
  readonly name: string
  readonly contentType: string
  readonly content: Buffer
}

const crlf = Buffer.from('\r\n')

/**
 * The named fields of a `multipart/form-data` body. Strict, because what is read here in another way than the model
 * server reads it would be a hole: CRLF only, each part closed, the form closed, no transfer encoding.
 *
 * @returns `undefined` when it is not such a body.
 * @see RFC 7578, RFC 2046 section 5.1
 */
export function readMultipart(body: Buffer, boundary: string): readonly FormPart[] | undefined {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const parts: FormPart[] = []
  // The first delimiter may open the body, without the line before it.
  let at = body.subarray(0, delimiter.length - 2).equals(delimiter.subarray(2))
    ? 0
    : body.indexOf(delimiter) + 2
  if (at === 1) return undefined
  at += delimiter.length - 2
  for (;;) {
    // Whatever follows the end on its line would make it another delimiter for some servers.
    if (body.toString('latin1', at, at + 2) === '--')
      return at + 2 === body.length || body.subarray(at + 2, at + 4).equals(crlf) ? parts : undefined
    if (!body.subarray(at, at + 2).equals(crlf)) return undefined
    // A part without headers starts with the empty line at once; `at` stays on its first CRLF for that.
    const headersEnd = body.indexOf('\r\n\r\n', at)
    const end = body.indexOf(delimiter, at + 2)
    if (headersEnd === -1 || end === -1 || headersEnd + 4 > end) return undefined
    const headers = readHeaders(goText(body.subarray(at + 2, Math.max(headersEnd, at + 2))))
    if (headers === undefined || headers.has('content-transfer-encoding')) return undefined
    const name = fieldName(headers.get('content-disposition') ?? '')
    if (name === undefined) return undefined
    const contentType = headers.get('content-type') ?? ''
    if (name !== '') parts.push({ name, contentType, content: body.subarray(headersEnd + 4, end) })
    at = end + delimiter.length
  }
}

/** The `boundary` of a media type; `none` when it names none, `malformed` when the type cannot be read. */
export function boundaryOf(
  contentType: string,
): { readonly kind: 'boundary'; readonly text: string } | { readonly kind: 'none' | 'malformed' } {
  const parameters = readParameters(contentType)
  const text = parameters?.get('boundary')
  if (parameters === undefined || text === '') return { kind: 'malformed' }
  return text === undefined ? { kind: 'none' } : { kind: 'boundary', text }
}

function readHeaders(text: string): ReadonlyMap<string, string> | undefined {
  const headers = new Map<string, string>()
  for (const line of text === '' ? [] : text.split('\r\n')) {
    const match = /^([A-Za-z0-9-]+):[ \t]*(.*)$/.exec(line)
    const name = match?.[1]?.toLowerCase()
    if (name === undefined || headers.has(name)) return undefined
    headers.set(name, (match?.[2] ?? '').trim())
  }
  return headers
}

/** Empty where a part is no form field; such parts are passed over. */
function fieldName(disposition: string): string | undefined {
  if (disposition.split(';', 1)[0]?.trim().toLowerCase() !== 'form-data') return ''
  const parameters = readParameters(disposition)
  return parameters && (parameters.get('name') ?? '')
}

/** What follows the first `;` of a header value, names in lower case; `undefined` when malformed or one stands twice. */
function readParameters(header: string): ReadonlyMap<string, string> | undefined {
  const parameters = new Map<string, string>()
  const start = header.indexOf(';')
  if (start === -1) return parameters
  const parameter = /[ \t]*;[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;",]+))[ \t]*/y
  parameter.lastIndex = start
  while (parameter.lastIndex < header.length) {
    const match = parameter.exec(header)
    const name = match?.[1]?.toLowerCase()
    // `name*=` would be a second way to write the name, which RFC 7578 forbids and some servers read.
    if (name === undefined || name.startsWith('name*') || parameters.has(name)) return undefined
    parameters.set(name, match?.[2]?.replace(/\\(.)/g, '$1') ?? match?.[3] ?? '')
  }
  return parameters
}
