import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import {
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponseSchema,
} from '#gen/envoy/service/ratelimit/v3/rls_pb.js'

export type RateLimitQuestion = MessageInitShape<typeof RateLimitRequestSchema>

/** An answer, or the gRPC status in its place. */
export type RateLimitAnswer =
  | { readonly kind: 'answer'; readonly response: RateLimitResponse }
  | { readonly kind: 'status'; readonly code: number; readonly details: string }

export interface RateLimitClient extends Disposable {
  ask(question: RateLimitQuestion): Promise<RateLimitAnswer>
}

/** Asks a rate limit service as Envoy does, over one connection to `unix:/path` or `host:port`. */
export function rateLimitClient(address: string): RateLimitClient {
  // A pool of its own: a connection that another test left behind must not answer.
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  return {
    ask: (question) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
          (bytes: Uint8Array) => Buffer.from(bytes),
          (bytes: Buffer) => fromBinary(RateLimitResponseSchema, bytes),
          toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, question)),
          { deadline: Date.now() + 60_000 },
          (error: ServiceError | null, response?: RateLimitResponse) => {
            if (response !== undefined) resolve({ kind: 'answer', response })
            else resolve({ kind: 'status', code: error?.code ?? 2, details: error?.details ?? '' })
          },
        )
      }),
    [Symbol.dispose]: () => client.close(),
  }
}
