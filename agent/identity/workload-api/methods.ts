import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import type { Clock } from '#base/clock.ts'
import type { JsonObject } from '#base/json.ts'
import { verifyJws } from '#crypto/jose/jws.ts'
import {
  JWTBundlesRequestSchema,
  JWTSVIDRequestSchema,
  JWTSVIDResponseSchema,
  ValidateJWTSVIDRequestSchema,
  ValidateJWTSVIDResponseSchema,
  X509BundlesRequestSchema,
  X509SVIDRequestSchema,
} from '#gen/spiffe/workload/workload_pb.js'
import type { CallContext, Method, Status, StreamWriter } from '#grpc/service.ts'
import type { DevJwtAuthority } from '../dev-ca/jwt-authority.ts'
import { parseSpiffeId } from '../spiffe-id.ts'
import { parseJwtSvid } from './jwt-svid.ts'
import { paths, securityHeader, statusCode } from './protocol.ts'
import type { Messages, Registrations } from './registrations.ts'
import type { Parsed } from './x509-messages.ts'

export interface MethodOptions {
  readonly registrations: Registrations
  readonly jwt: DevJwtAuthority
  readonly jwtTtlSeconds: number
  readonly clock: Clock
}

const denied: Status = { code: statusCode.permissionDenied, message: 'no identity issued' }
const invalid = (message: string): Status => ({ code: statusCode.invalidArgument, message })

/**
 * The methods of the Workload API, for whoever can open the socket.
 *
 * @see SPIFFE_Workload_API.md
 */
export function workloadApiMethods(options: MethodOptions): readonly Method[] {
  const { registrations } = options
  const stream = (path: string, schema: DescMessage, message: (of: Messages) => Uint8Array): Method => ({
    kind: 'stream',
    path,
    open: (writer, call) => {
      const fault = headerFault(call)
      if (fault !== undefined) writer.close(fault)
      return follow(writer, { registrations, schema, message, isOver: fault !== undefined })
    },
  })
  const unary = <S extends DescMessage>(
    path: string,
    schema: S,
    handle: (request: MessageShape<S>, of: MethodOptions) => Uint8Array | Status,
  ): Method => ({
    kind: 'unary',
    path,
    handle: (bytes, call) => {
      const fault = headerFault(call)
      if (fault !== undefined) return fault
      const request = decode(schema, bytes)
      return request.ok ? handle(request.value, options) : invalid(request.why)
    },
  })
  return [
    stream(paths.fetchX509Svid, X509SVIDRequestSchema, ({ x509Svids }) => x509Svids),
    stream(paths.fetchX509Bundles, X509BundlesRequestSchema, ({ x509Bundles }) => x509Bundles),
    stream(paths.fetchJwtBundles, JWTBundlesRequestSchema, ({ jwtBundles }) => jwtBundles),
    unary(paths.fetchJwtSvid, JWTSVIDRequestSchema, fetchJwtSvid),
    unary(paths.validateJwtSvid, ValidateJWTSVIDRequestSchema, validateJwtSvid),
  ]
}

function headerFault(call: CallContext): Status | undefined {
  return call.metadata(securityHeader.name) === securityHeader.value
    ? undefined
    : invalid(`the metadata ${securityHeader.name}: ${securityHeader.value} is missing`)
}

function decode<S extends DescMessage>(schema: S, bytes: Buffer): Parsed<MessageShape<S>> {
  try {
    return { ok: true, value: fromBinary(schema, bytes) }
  } catch {
    return { ok: false, why: `not a ${schema.name}` }
  }
}

/** Sends what is true now, and again whenever that is another message; ends where nobody is registered any more. */
function follow(
  writer: StreamWriter,
  of: {
    readonly registrations: Registrations
    readonly schema: DescMessage
    message(of: Messages): Uint8Array
    readonly isOver: boolean
  },
): ReturnType<Extract<Method, { kind: 'stream' }>['open']> {
  let subscription: Disposable | undefined
  let sent: Uint8Array | undefined
  let isOver = of.isOver
  const close = (status: Status) => {
    isOver = true
    subscription?.[Symbol.dispose]()
    writer.close(status)
  }
  const send = () => {
    const messages = of.registrations.messages()
    if (messages === undefined) return close(denied)
    const message = of.message(messages)
    if (message === sent) return
    sent = message
    writer.send(message)
  }
  return {
    message: (bytes) => {
      if (isOver) return
      const request = decode(of.schema, bytes)
      if (subscription !== undefined) return close(invalid('a second message'))
      if (!request.ok) return close(invalid(request.why))
      subscription = of.registrations.subscribe(send)
      send()
    },
    halfClosed: () => {
      if (!isOver && subscription === undefined) close(invalid('no message'))
    },
    ended: () => {
      isOver = true
      subscription?.[Symbol.dispose]()
    },
  }
}

function fetchJwtSvid(
  { audience, spiffeId }: MessageShape<typeof JWTSVIDRequestSchema>,
  { registrations, jwt, jwtTtlSeconds: ttlSeconds, clock }: MethodOptions,
): Uint8Array | Status {
  if (audience.length === 0 || audience.includes('')) return invalid('an audience must be named')
  if (spiffeId !== '') {
    const id = parseSpiffeId(spiffeId)
    if (!id.ok) return invalid(`the SPIFFE ID: ${id.why}`)
  }
  const chosen = registrations.current().filter(({ id }) => spiffeId === '' || id.text === spiffeId)
  if (chosen.length === 0) return denied
  const nowMs = clock.nowMs()
  const svids = chosen.map(({ id, hint = '' }) => ({
    spiffeId: id.text,
    svid: jwt.issue({ spiffeId: id.text, audience, ttlSeconds, nowMs }),
    hint,
  }))
  return toBinary(JWTSVIDResponseSchema, create(JWTSVIDResponseSchema, { svids }))
}

function validateJwtSvid(
  { audience, svid }: MessageShape<typeof ValidateJWTSVIDRequestSchema>,
  { registrations, jwt, clock }: MethodOptions,
): Uint8Array | Status {
  if (audience === '') return invalid('an audience must be named')
  if (registrations.current().length === 0) return denied
  const parsed = parseJwtSvid(svid, { audience: [audience], nowMs: clock.nowMs() })
  if (!parsed.ok) return invalid(`the token: ${parsed.why}`)
  const { jws } = parsed.value
  const { id, audience: audiences } = parsed.value.svid
  const isOurs =
    jws.kid === jwt.key.kid &&
    registrations.current().some((each) => each.id.trustDomain === id.trustDomain) &&
    verifyJws(jws, jwt.key, 'ES256')
  if (!isOurs) return invalid('the token: nobody known signed it')
  const claims: JsonObject = { ...jws.claims, aud: audiences }
  const response = create(ValidateJWTSVIDResponseSchema, { spiffeId: id.text, claims: claims as never })
  return toBinary(ValidateJWTSVIDResponseSchema, response)
}
