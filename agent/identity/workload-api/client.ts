import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Clock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { JsonObject } from '#base/json.ts'
import type { pause } from '#base/pause.ts'
import {
  JWTSVIDRequestSchema,
  type JWTSVIDResponse,
  JWTSVIDResponseSchema,
  ValidateJWTSVIDRequestSchema,
  type ValidateJWTSVIDResponse,
  ValidateJWTSVIDResponseSchema,
} from '#gen/spiffe/workload/workload_pb.js'
import type { GrpcClient } from '#grpc/client.ts'
import { parseSpiffeId, type SpiffeId } from '../spiffe-id.ts'
import type { FetchedJwtSvid } from './jwt-cache.ts'
import { parseJwtSvid } from './jwt-svid.ts'
import { callMetadata, paths, statusCode } from './protocol.ts'
import { type StreamWatcher, watchStream } from './watch.ts'

export type ValidatedJwtSvid =
  | { readonly ok: true; readonly id: SpiffeId; readonly claims: JsonObject }
  /** `invalid`: the token is no good; `failed`: nobody could say. */
  | { readonly ok: false; readonly kind: 'invalid' | 'failed'; readonly why: string }

/** The calls of the Workload API. Streams go on until the signal that it was opened with. */
export interface WorkloadApiClient {
  /** Everything about our own identities; each message is the whole. */
  watchX509Svids(watcher: StreamWatcher): Promise<void>
  watchX509Bundles(watcher: StreamWatcher): Promise<void>
  watchJwtBundles(watcher: StreamWatcher): Promise<void>
  /** A token to show to `audience`; for our default identity where none is named. */
  fetchJwtSvid(audience: string, spiffeId?: string): Promise<FetchedJwtSvid>
  /** Asks whether a token was shown rightly to `audience`. */
  validateJwtSvid(token: string, audience: string): Promise<ValidatedJwtSvid>
}

const timeoutMs = 5000

export function createWorkloadApiClient(options: {
  readonly client: Pick<GrpcClient, 'unary' | 'serverStream'>
  readonly clock: Clock
  readonly pause: typeof pause
  readonly signal: AbortSignal
}): WorkloadApiClient {
  const { client, clock, signal } = options
  const watch = (path: string) => (watcher: StreamWatcher) => watchStream({ ...options, path, watcher })
  const call = (path: string, message: Uint8Array) =>
    client.unary({ path, message, metadata: callMetadata, signal, timeoutMs })
  return {
    watchX509Svids: watch(paths.fetchX509Svid),
    watchX509Bundles: watch(paths.fetchX509Bundles),
    watchJwtBundles: watch(paths.fetchJwtBundles),
    fetchJwtSvid: async (audience, spiffeId = '') => {
      const request = create(JWTSVIDRequestSchema, { audience: [audience], spiffeId })
      const answer = await call(paths.fetchJwtSvid, toBinary(JWTSVIDRequestSchema, request))
      if (answer.ok) return readJwtSvid(answer.message, { audience, spiffeId, nowMs: clock.nowMs() })
      const { code, message } = answer.status
      const kind = code === statusCode.permissionDenied ? 'denied' : 'failed'
      return { ok: false, kind, why: `status ${code}: ${message}` }
    },
    validateJwtSvid: async (svid, audience) => {
      const request = create(ValidateJWTSVIDRequestSchema, { svid, audience })
      const answer = await call(paths.validateJwtSvid, toBinary(ValidateJWTSVIDRequestSchema, request))
      if (answer.ok) return readValidated(answer.message)
      const { code, message } = answer.status
      const kind = code === statusCode.invalidArgument ? 'invalid' : 'failed'
      return { ok: false, kind, why: `status ${code}: ${message}` }
    },
  }
}

function readJwtSvid(
  bytes: Buffer,
  asked: { readonly audience: string; readonly spiffeId: string; readonly nowMs: number },
): FetchedJwtSvid {
  const no = (why: string) => ({ ok: false, kind: 'failed', why }) as const
  let message: JWTSVIDResponse
  try {
    message = fromBinary(JWTSVIDResponseSchema, bytes)
  } catch (thrown) {
    return no(messageOf(thrown))
  }
  const [first] = message.svids
  if (first === undefined) return no('no token')
  const parsed = parseJwtSvid(first.svid, {
    ...{ audience: [asked.audience], nowMs: asked.nowMs, hint: first.hint },
  })
  if (!parsed.ok) return no(`the token: ${parsed.why}`)
  const { svid } = parsed.value
  const { text } = svid.id
  if (text !== first.spiffeId || (asked.spiffeId !== '' && text !== asked.spiffeId))
    return no('a token of another identity')
  return { ok: true, svid }
}

function readValidated(bytes: Buffer): ValidatedJwtSvid {
  let message: ValidateJWTSVIDResponse
  try {
    message = fromBinary(ValidateJWTSVIDResponseSchema, bytes)
  } catch (thrown) {
    return { ok: false, kind: 'failed', why: messageOf(thrown) }
  }
  const id = parseSpiffeId(message.spiffeId)
  return id.ok
    ? { ok: true, id: id.id, claims: message.claims ?? {} }
    : { ok: false, kind: 'failed', why: `the identity: ${id.why}` }
}
