import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type {
  AttributeContext,
  AttributeContext_HttpRequest,
  AttributeContextSchema,
} from '#gen/envoy/service/auth/v3/attribute_context_pb.js'
import { CheckRequestSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'

export type Attributes = Exclude<MessageInitShape<typeof AttributeContextSchema>, AttributeContext>
type Http = AttributeContext_HttpRequest

/** What a case changes of an HTTP request. */
export type HttpChange = Partial<Omit<Http, '$typeName' | '$unknown' | 'headerMap'>>

/** The bytes of a CheckRequest for `GET /people`, with what a case changes. */
export function checkBytes(http: HttpChange = {}, more: Attributes = {}): Buffer {
  const path = http.path ?? '/people'
  const request = { http: { method: 'GET', path, ...http } }
  return bytesOf({ request, ...more })
}

export function bytesOf(attributes: Attributes): Buffer {
  return Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes })))
}

/** A request with a body of a content type. */
export function bodyCheck(
  contentType: string,
  body: string | Buffer,
  more: Readonly<Record<string, string>> = {},
): Buffer {
  const headers = { 'content-type': contentType, ...more }
  return checkBytes({ method: 'POST', headers, rawBody: Buffer.from(body) })
}

/** A request to which the policy answers `result`, as JSON or as the text that stands there. */
export function resultCheck(result: unknown, text = JSON.stringify(result)): Buffer {
  return checkBytes({ path: '/people?a=1&b=2&a=3&c', headers: { 'x-result': text } })
}

/** The path that a CheckRequest names; empty where it cannot be read. */
export function pathOf(bytes: Buffer): string {
  try {
    return fromBinary(CheckRequestSchema, bytes).attributes?.request?.http?.path ?? ''
  } catch {
    return ''
  }
}
