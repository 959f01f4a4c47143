import type { JsonValue } from '#base/json.ts'
import { parseExactJson } from './json-text.ts'
import { boundaryOf, readMultipart } from './multipart.ts'

/**
 * The path cut at `?`, percent-decoded, leading slashes trimmed, split at `/`.
 *
 * @returns `undefined` when an escape is malformed.
 */
export function parsedPath(path: string): readonly string[] | undefined {
  const query = path.indexOf('?')
  const bare = query === -1 ? path : path.slice(0, query)
  try {
    const decoded = bare.includes('%') ? decodeURIComponent(bare) : bare
    return decoded.replace(/^\/+/, '').split('/')
  } catch {
    return undefined
  }
}

/**
 * Query parameters as Go's `url.ParseQuery` reads them: every value of a name, `+` a space.
 *
 * @returns `undefined` for a `;` or a malformed escape.
 */
export function parsedQuery(path: string): Readonly<Record<string, readonly string[]>> | undefined {
  const query = path.indexOf('?')
  return query === -1 ? {} : parsedForm(path.slice(query + 1))
}

function parsedForm(text: string): Readonly<Record<string, readonly string[]>> | undefined {
  const found: Record<string, string[]> = Object.create(null)
  const decode = (part: string) => decodeURIComponent(part.replaceAll('+', ' '))
  try {
    for (const part of text.split('&')) {
      if (part === '') continue
      if (part.includes(';')) return undefined
      const equals = part.indexOf('=')
      const key = decode(equals === -1 ? part : part.slice(0, equals))
      found[key] ??= []
      found[key].push(equals === -1 ? '' : decode(part.slice(equals + 1)))
    }
    return found
  } catch {
    return undefined
  }
}

/** What a policy sees of a body. `value` is null where the contract says so. */
export type ParsedBody = { readonly isTruncated: boolean; readonly value: JsonValue }

const nothing: ParsedBody = { isTruncated: false, value: null }
const maxDepth = 128

/**
 * A request's body by its content type, the first that fits: JSON, nothing of gRPC, a form, a multipart form; everything
 * else is null, tensors above all.
 *
 * @returns `undefined` when it claims to be one of these and is not.
 */
export function parsedBody(
  contentType: string,
  body: Uint8Array | undefined,
  isComplete: boolean,
): ParsedBody | undefined {
  const read = readerFor(contentType)
  if (read === undefined) return nothing
  if (!isComplete) return { isTruncated: true, value: null }
  if (body === undefined || body.length === 0) return nothing
  const value = read(Buffer.from(body.buffer, body.byteOffset, body.byteLength))
  return value === undefined ? undefined : { isTruncated: false, value }
}

type BodyReader = (body: Buffer) => JsonValue | undefined

function readerFor(contentType: string): BodyReader | undefined {
  if (contentType.includes('application/json')) return readJson
  if (contentType.includes('application/grpc')) return undefined
  if (contentType.includes('application/x-www-form-urlencoded')) return (body) => parsedForm(body.toString())
  if (contentType.includes('multipart/form-data')) return (body) => readForm(body, contentType)
  return undefined
}

/** JSON of a body, every digit kept; `undefined` where it is none, or nests too deep. */
export function readJson(body: Buffer): JsonValue | undefined {
  const text = body.toString()
  if (isDeeperThan(maxDepth, text)) return undefined
  try {
    return parseExactJson(text)
  } catch {
    return undefined
  }
}

/** By field name; a part that says it is JSON is read as such. */
function readForm(body: Buffer, contentType: string): JsonValue | undefined {
  const boundary = boundaryOf(contentType)
  if (boundary === undefined || boundary === '') return boundary === '' ? null : undefined
  const parts = readMultipart(body, boundary)
  if (parts === undefined) return undefined
  const form: Record<string, JsonValue[]> = Object.create(null)
  for (const part of parts) {
    const value = part.contentType.includes('application/json')
      ? readJson(part.content)
      : part.content.toString()
    if (value === undefined) return undefined
    form[part.name] ??= []
    form[part.name]?.push(value)
  }
  return form
}

/** Counts brackets outside strings; cheaper than finding out by overflowing a stack. */
function isDeeperThan(limit: number, json: string): boolean {
  let depth = 0
  let isInString = false
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i)
    if (isInString) {
      if (code === 0x5c) i++
      else if (code === 0x22) isInString = false
    } else if (code === 0x22) isInString = true
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > limit) return true
    } else if (code === 0x7d || code === 0x5d) depth--
  }
  return false
}
