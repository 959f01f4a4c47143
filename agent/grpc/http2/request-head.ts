/** The head of a request, with what gRPC wants to know of it. */
export interface RequestHead {
  readonly method: string
  readonly path: string
  /** Empty when absent. */
  readonly contentType: string
  /** `grpc-encoding`, empty when absent. */
  readonly encoding: string
  /** `grpc-timeout` as it came, empty when absent. */
  readonly timeout: string
  /** -1 when absent. */
  readonly contentLength: number
  /** Every regular field: name, value, name, value, … */
  readonly fields: readonly string[]
}

const name = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const badValue = /[\0\r\n]|^[ \t]|[ \t]$/
/** Fields that speak of one HTTP/1.1 connection. */
const connectionFields = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])
const pseudoFields = new Set([':method', ':path', ':scheme', ':authority'])

/**
 * The head that a header list says, or `undefined` where it is malformed.
 *
 * @see RFC 9113, §8.2 and §8.3
 */
export function parseRequestHead(list: readonly string[]): RequestHead | undefined {
  const pseudo = new Map<string, string>()
  const fields: string[] = []
  for (let i = 0; i < list.length; i += 2) {
    const key = list[i] as string
    const value = list[i + 1] as string
    if (key.charCodeAt(0) === 0x3a) {
      if (fields.length > 0 || !pseudoFields.has(key) || pseudo.has(key) || badValue.test(value))
        return undefined
      pseudo.set(key, value)
    } else {
      if (!isRegularField(key, value)) return undefined
      fields.push(key, value)
    }
  }
  const method = pseudo.get(':method') ?? ''
  const path = pseudo.get(':path') ?? ''
  if (method === '' || path === '' || !pseudo.has(':scheme')) return undefined
  const length = fieldOf(fields, 'content-length')
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return undefined
  return {
    method,
    path,
    contentType: fieldOf(fields, 'content-type') ?? '',
    encoding: fieldOf(fields, 'grpc-encoding') ?? '',
    timeout: fieldOf(fields, 'grpc-timeout') ?? '',
    contentLength: length === undefined ? -1 : Number(length),
    fields,
  }
}

/** Whether a header list may stand behind the body: no pseudo fields, nothing malformed. @see RFC 9113, §8.1 */
export function isTrailerList(list: readonly string[]): boolean {
  for (let i = 0; i < list.length; i += 2) {
    if (!isRegularField(list[i] as string, list[i + 1] as string)) return false
  }
  return true
}

/** The value of a field; of one that was repeated, all of them with commas between. */
export function fieldOf(fields: readonly string[], wanted: string): string | undefined {
  let found: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== wanted) continue
    const value = fields[i + 1] as string
    found = found === undefined ? value : `${found},${value}`
  }
  return found
}

function isRegularField(key: string, value: string): boolean {
  if (!name.test(key) || badValue.test(value) || connectionFields.has(key)) return false
  return key !== 'te' || value === 'trailers'
}
