import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import {
  ModelInferRequestSchema,
  type ModelInferResponse,
  ModelInferResponseSchema,
} from '#gen/inference/grpc_service_pb.js'
import type { Identity } from './http.ts'

export interface GrpcAnswer {
  /** google.rpc.Code; 0 is OK. */
  readonly code: number
  readonly details: string
  readonly metadata: Metadata
  readonly response?: ModelInferResponse
  readonly tookMs: number
}

/** The request of the demo: three features for `fraud`, unversioned unless said otherwise. */
export function inferRequest(more: MessageInitShape<typeof ModelInferRequestSchema> = {}): Uint8Array {
  return toBinary(
    ModelInferRequestSchema,
    create(ModelInferRequestSchema, {
      modelName: 'fraud',
      inputs: [{ name: 'features', datatype: 'FP32', shape: [3n], contents: { fp32Contents: [1, 2, 3] } }],
      ...more,
    }),
  )
}

/** One unary `ModelInfer` with the given message bytes. Never rejects: a failure is a status. */
export function grpcInfer(call: {
  readonly port: number
  readonly message: Uint8Array
  readonly metadata?: Readonly<Record<string, string>>
  readonly tls?: { readonly ca: string; readonly identity?: Identity }
  readonly deadlineMs?: number
}): Promise<GrpcAnswer> {
  const began = performance.now()
  const client = new Client(
    `127.0.0.1:${call.port}`,
    call.tls === undefined
      ? credentials.createInsecure()
      : credentials.createSsl(
          Buffer.from(call.tls.ca),
          call.tls.identity ? Buffer.from(call.tls.identity.privateKeyPem) : null,
          call.tls.identity ? Buffer.from(call.tls.identity.certificatePem) : null,
          { checkServerIdentity: () => undefined },
        ),
    {
      'grpc.max_receive_message_length': 64 << 20,
      // An address is no server name, and Node says so each time.
      ...(call.tls && { 'grpc.ssl_target_name_override': 'localhost' }),
    },
  )
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(call.metadata ?? {})) metadata.set(name, value)
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      '/inference.GRPCInferenceService/ModelInfer',
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes: Buffer) => fromBinary(ModelInferResponseSchema, bytes),
      call.message,
      metadata,
      { deadline: Date.now() + (call.deadlineMs ?? 60_000) },
      (error: ServiceError | null, response?: ModelInferResponse) => {
        client.close()
        const tookMs = performance.now() - began
        if (error) resolve({ code: error.code, details: error.details, metadata: error.metadata, tookMs })
        else
          resolve({ code: 0, details: '', metadata: new Metadata(), tookMs, ...(response && { response }) })
      },
    )
  })
}

/** A call that is answered with a stream, in plain text: the messages so far as text, and the code in the end. */
export function streamCall(call: {
  readonly port: number
  readonly method: string
  readonly message: Uint8Array
}): {
  readonly got: readonly string[]
  readonly status: Promise<number>
} {
  const client = new Client(`127.0.0.1:${call.port}`, credentials.createInsecure())
  const bytes = (message: Buffer) => message
  const stream = client.makeServerStreamRequest(call.method, bytes, bytes, Buffer.from(call.message))
  const got: string[] = []
  stream.on('data', (message: Buffer) => got.push(message.toString()))
  stream.on('error', () => {})
  const status = new Promise<number>((resolve) => {
    stream.on('status', ({ code }) => {
      client.close()
      resolve(code)
    })
  })
  return { got, status }
}
