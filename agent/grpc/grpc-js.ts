import {
  type Metadata as GrpcMetadata,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { GrpcServerOptions } from './grpc.ts'
import type { CallContext, Method, Metadata as Pairs, Status, StreamReader } from './service.ts'
import { code } from './status.ts'

export interface GrpcJsHost {
  readonly port: number
  /** Lets running calls end for `drainMs`, then cuts them off. */
  close(drainMs: number): Promise<void>
}

type Unary = ServerUnaryCall<Buffer, Buffer>
type Duplex = ServerDuplexStream<Buffer, Buffer>

const same = (bytes: Buffer) => bytes

/**
 * Hosts the same method table on @grpc/grpc-js. Node's HTTP/2 ends a connection on which more than a thousand streams
 * were reset in a short while, and Envoy ends each ext_proc stream with a reset: this is for comparison, for ext_authz and
 * for the rate limit service.
 *
 * @throws Error when the address cannot be bound.
 */
export async function startGrpcJs(options: GrpcServerOptions): Promise<GrpcJsHost> {
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes,
    'grpc.max_send_message_length': -1,
    'grpc-node.max_session_memory': 256,
  })
  const definitions: Record<string, ServiceDefinition[string]> = {}
  const handlers: UntypedServiceImplementation = {}
  for (const method of options.methods) {
    const isStream = method.kind === 'stream'
    definitions[method.path] = {
      path: method.path,
      requestStream: isStream,
      responseStream: isStream,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    }
    handlers[method.path] = isStream
      ? (call: Duplex) => serveStream(call, method, options)
      : (call: Unary, callback: sendUnaryData<Buffer>) => serveUnary(call, callback, method, options)
  }
  server.addService(definitions, handlers)
  const { tls } = options
  const credentials =
    tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(
          tls.ca === undefined ? null : Buffer.from(tls.ca as Buffer | string),
          [
            {
              private_key: Buffer.from(tls.key as Buffer | string),
              cert_chain: Buffer.from(tls.cert as Buffer | string),
            },
          ],
          tls.requestCert === true && tls.rejectUnauthorized !== false,
        )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.listen, credentials, (cause, bound) =>
      cause === null ? resolve(bound) : reject(cause),
    )
  })
  return {
    port: options.listen.startsWith('unix:') ? 0 : port,
    close: (drainMs) =>
      new Promise((resolve) => {
        const cutOff = setTimeout(() => server.forceShutdown(), drainMs)
        server.tryShutdown(() => {
          clearTimeout(cutOff)
          resolve()
        })
      }),
  }
}

function serveUnary(
  call: Unary,
  callback: sendUnaryData<Buffer>,
  method: Extract<Method, { kind: 'unary' }>,
  { onHandlerFault }: GrpcServerOptions,
): void {
  const context = contextOf(call)
  const answer = (result: Uint8Array | Status) => {
    context.sendHeaders()
    if (result instanceof Uint8Array) callback(null, asBuffer(result), context.trailers())
    else callback({ code: result.code, details: result.message, metadata: context.trailers() })
  }
  const fail = (cause: unknown) => {
    onHandlerFault?.(cause)
    callback({ code: code.internal, details: 'internal error' })
  }
  try {
    const result = method.handle(call.request, context)
    if (result instanceof Promise) result.then(answer, fail)
    else answer(result)
  } catch (cause) {
    fail(cause)
  }
}

function serveStream(
  call: Duplex,
  method: Extract<Method, { kind: 'stream' }>,
  { onHandlerFault }: GrpcServerOptions,
): void {
  const context = contextOf(call)
  let reader: StreamReader | undefined
  let isOver = false
  const over = () => {
    if (isOver) return
    isOver = true
    reader?.ended()
  }
  const close = (status?: Status) => {
    if (isOver) return
    context.sendHeaders()
    if (status === undefined || status.code === code.ok) call.end(context.trailers())
    else call.emit('error', { code: status.code, details: status.message, metadata: context.trailers() })
    over()
  }
  const safely = (step: () => void) => {
    try {
      if (!isOver) step()
    } catch (cause) {
      onHandlerFault?.(cause)
      close({ code: code.internal, message: 'internal error' })
    }
  }
  call.on('data', (message: Buffer) => safely(() => reader?.message(message)))
  call.on('end', () => safely(() => reader?.halfClosed()))
  call.on('cancelled', over)
  call.on('error', over)
  call.on('close', over)
  safely(() => {
    reader = method.open(
      {
        send: (message) => {
          if (isOver) return
          context.sendHeaders()
          call.write(asBuffer(message))
        },
        close,
        pause: () => void call.pause(),
        resume: () => void call.resume(),
      },
      context,
    )
  })
}

/** A call's context, and what goes out with its answer. */
function contextOf(
  call: Pick<Unary, 'metadata' | 'getDeadline' | 'sendMetadata'>,
): CallContext & { sendHeaders(): void; trailers(): GrpcMetadata } {
  let headers: Pairs = []
  let trailers: Pairs = []
  const deadlineMs = Number(call.getDeadline())
  return {
    metadata: (name) => {
      const values = call.metadata.get(name)
      return values.length === 0
        ? undefined
        : values.map((value) => (typeof value === 'string' ? value : value.toString('base64'))).join(',')
    },
    deadlineMs: Number.isFinite(deadlineMs) ? deadlineMs : undefined,
    setHeaders: (metadata) => {
      headers = metadata
    },
    setTrailers: (metadata) => {
      trailers = metadata
    },
    sendHeaders: () => {
      if (headers.length > 0) call.sendMetadata(toMetadata(headers))
      headers = []
    },
    trailers: () => toMetadata(trailers),
  }
}

function toMetadata(pairs: Pairs): GrpcMetadata {
  const metadata = new Metadata()
  for (const [name, value] of pairs)
    metadata.add(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value)
  return metadata
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
