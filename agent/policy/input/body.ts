import type { JsonValue } from '#base/json.ts'
import { goText } from '../values/go-text.ts'
import { type MessageReader, readFrame } from './grpc-body.ts'
import { parseExactJson } from './json-text.ts'
import { boundaryOf, readMultipart } from './multipart.ts'
import { parsedForm } from './parsed.ts'

/** What a policy sees of a body. `value` is null where the contract says so. */
export interface ParsedBody {
  readonly isTruncated: boolean
  readonly value: JsonValue
}

export interface BodyFacts {
  readonly contentType: string
  /** As it stands in the header; `undefined` when there is none. */
  readonly contentLength: string | undefined
  /** What was seen of it. */
  readonly body: Uint8Array | undefined
  /** Whether that was sent as text, in which the octets of a gRPC message are lost. */
  readonly isText: boolean
  /** Whether that is all of it. */
  readonly isComplete: boolean
  /** Whether Envoy said that it cut the body. */
  readonly isCut: boolean
  readonly path: readonly string[]
}

export interface BodyRules {
  /** How deep JSON may nest. */
  readonly maxDepth: number
  /** Reads gRPC messages, where descriptors are configured. */
  readonly readMessage?: MessageReader | undefined
}

const nothing: ParsedBody = { isTruncated: false, value: null }
const truncated: ParsedBody = { isTruncated: true, value: null }

/**
 * A request's body by its content type, the first that fits: JSON, gRPC where descriptors are there, a form, a multipart
 * form; everything else is null.
 *
 * @returns `undefined` when it claims to be one of these and is not.
 */
export function parsedBody(facts: BodyFacts, rules: BodyRules): ParsedBody | undefined {
  const { contentType, contentLength, body } = facts
  if (facts.isCut) return truncated
  const isJson = contentType.includes('application/json')
  if (!isJson && contentType.includes('application/grpc'))
    return rules.readMessage === undefined || facts.isText ? nothing : readFrame(facts, rules.readMessage)
  const read = isJson ? readJson : formReader(contentType)
  if (read === undefined || body === undefined || body.length === 0) return nothing
  if (contentLength !== undefined && !isInt64(contentLength)) return undefined
  if (!facts.isComplete) return truncated
  const value = read(Buffer.from(body.buffer, body.byteOffset, body.byteLength), rules.maxDepth, contentType)
  return value === undefined ? undefined : { isTruncated: false, value }
}

type Reader = (body: Buffer, maxDepth: number, contentType: string) => JsonValue | undefined

function formReader(contentType: string): Reader | undefined {
  if (contentType.includes('application/x-www-form-urlencoded')) return (body) => parsedForm(goText(body))
  return contentType.includes('multipart/form-data') ? readForm : undefined
}

/** JSON of a body, every digit kept; `undefined` where it is none, or nests deeper. */
export function readJson(body: Buffer, maxDepth: number): JsonValue | undefined {
  const text = goText(body)
  if (isDeeperThan(maxDepth, text)) return undefined
  try {
    return parseExactJson(text)
  } catch {
    return undefined
  }
}

/** By field name; a part that says it is JSON is read as such. */
function readForm(body: Buffer, maxDepth: number, contentType: string): JsonValue | undefined {
  const boundary = boundaryOf(contentType)
  if (boundary.kind !== 'boundary') return boundary.kind === 'none' ? null : undefined
  const parts = readMultipart(body, boundary.text)
  if (parts === undefined) return undefined
  const form: Record<string, JsonValue[]> = Object.create(null)
  for (const part of parts) {
    const isJson = part.contentType.includes('application/json')
    const value = isJson ? readJson(part.content, maxDepth) : goText(part.content)
    if (value === undefined) return undefined
    form[part.name] ??= []
    form[part.name]?.push(value)
  }
  return form
}

/** What Go reads as a length; anything else is no request that two servers read alike. */
function isInt64(text: string): boolean {
  return (
    /^[+-]?\d{1,40}$/.test(text) &&
    BigInt.asIntN(64, BigInt(text.replace('+', ''))) === BigInt(text.replace('+', ''))
  )
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
