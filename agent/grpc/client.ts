import { Client, credentials, Metadata as GrpcMetadata, type ServiceError } from '@grpc/grpc-js'
import type { Metadata, Status } from './service.ts'

/** What is asked of a server: bytes, and what goes with them. */
export interface OutgoingCall {
  readonly path: string
  readonly message: Uint8Array
  readonly metadata: Metadata
  /** Ends the call; its outcome is CANCELLED then. */
  readonly signal: AbortSignal
}

export type Answer =
  | { readonly ok: true; readonly message: Buffer }
  | { readonly ok: false; readonly status: Status }

/** Calls one server over a connection of its own, which is made when it is needed and made again when it is lost. */
export interface GrpcClient extends Disposable {
  /** One answer, or the status in place of it. Never rejects. */
  unary(call: OutgoingCall & { readonly timeoutMs: number }): Promise<Answer>
  /** Passes on each message, in order, until the status, which comes behind the last of them. Never rejects. */
  serverStream(call: OutgoingCall, onMessage: (message: Buffer) => void): Promise<Status>
}

/** Who lost a server finds it soon: whoever calls has a pause of their own between two calls. */
const reconnectMs = { initial: 100, most: 1000 }

/**
 * @param options.target as grpc-js has it, `unix:/path` or `ip:port`. Plain HTTP/2, and no proxy in between, whatever the
 *   environment says.
 */
export function openGrpcClient(options: {
  readonly target: string
  readonly maxMessageBytes: number
}): GrpcClient {
  const client = new Client(options.target, credentials.createInsecure(), {
    'grpc.max_receive_message_length': options.maxMessageBytes,
    'grpc.initial_reconnect_backoff_ms': reconnectMs.initial,
    'grpc.max_reconnect_backoff_ms': reconnectMs.most,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1,
  })
  return {
    unary: (call) =>
      new Promise((resolve) => {
        const running = client.makeUnaryRequest(
          call.path,
          asBuffer,
          same,
          call.message,
          toMetadata(call.metadata),
          { deadline: Date.now() + call.timeoutMs },
          (error: ServiceError | null, message?: Buffer) => {
            call.signal.removeEventListener('abort', cancel)
            if (error === null && message !== undefined) resolve({ ok: true, message })
            else resolve({ ok: false, status: { code: error?.code ?? 2, message: error?.details ?? '' } })
          },
        )
        const cancel = () => running.cancel()
        whenAborted(call.signal, cancel)
      }),
    serverStream: (call, onMessage) =>
      new Promise((resolve) => {
        const stream = client.makeServerStreamRequest(
          call.path,
          asBuffer,
          same,
          call.message,
          toMetadata(call.metadata),
        )
        const cancel = () => stream.cancel()
        let status: Status | undefined
        let hasEnded = false
        const done = () => {
          if (status === undefined || !hasEnded) return
          call.signal.removeEventListener('abort', cancel)
          resolve(status)
        }
        stream.on('data', onMessage)
        // The same as the status, which follows.
        stream.on('error', () => {})
        stream.on('status', ({ code, details }) => {
          status = { code, message: details }
          done()
        })
        // The status may come before messages that wait to be read.
        stream.on('end', () => {
          hasEnded = true
          done()
        })
        whenAborted(call.signal, cancel)
      }),
    [Symbol.dispose]: () => client.close(),
  }
}

function whenAborted(signal: AbortSignal, cancel: () => void): void {
  if (signal.aborted) cancel()
  else signal.addEventListener('abort', cancel, { once: true })
}

const same = (bytes: Buffer) => bytes

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function toMetadata(pairs: Metadata): GrpcMetadata {
  const metadata = new GrpcMetadata()
  for (const [name, value] of pairs) metadata.add(name, value)
  return metadata
}
