import { chmodSync, rmSync, statSync } from 'node:fs'
import { createConnection } from 'node:net'
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { SluiceError } from '#base/errors.ts'
import type { Method, Status } from './service.ts'

export interface GrpcServer extends AsyncDisposable {
  /** The port, when it listens on one. */
  readonly port: number
}

/**
 * Hosts a method table on @grpc/grpc-js. A Unix socket gets the mode 0660; one that a dead process left is removed, one
 * that somebody listens on is not.
 *
 * @param options.listen `unix:/path` or `host:port`
 * @throws SluiceError when it cannot be bound.
 */
export async function startGrpcServer(options: {
  readonly listen: string
  readonly methods: readonly Method[]
  readonly maxMessageBytes: number
  /** How long running calls have after the server was told to stop. */
  readonly drainMs?: number
}): Promise<GrpcServer> {
  const { listen, methods, maxMessageBytes, drainMs = 5000 } = options
  const path = listen.startsWith('unix:') ? listen.slice('unix:'.length) : undefined
  if (path !== undefined) await removeStaleSocket(path)
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_concurrent_streams': 0x7fffffff,
  })
  server.addService(
    Object.fromEntries(methods.map((method) => [method.path, definition(method)])),
    Object.fromEntries(methods.map((method) => [method.path, implementation(method)])),
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(listen, ServerCredentials.createInsecure(), (cause, bound) => {
      if (cause === null) return resolve(bound)
      const expected = 'an address that can be bound'
      reject(
        new SluiceError({
          code: 'listen_failed',
          place: `listen.agent ${listen}`,
          found: cause.message,
          expected,
          cause,
        }),
      )
    })
  })
  if (path !== undefined) chmodSync(path, 0o660)
  return {
    port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.forceShutdown(), drainMs)
        server.tryShutdown(() => {
          clearTimeout(timer)
          if (path !== undefined) rmSync(path, { force: true })
          resolve()
        })
      }),
  }
}

const asIs = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function definition(method: Method) {
  return {
    path: method.path,
    requestStream: method.kind === 'stream',
    responseStream: method.kind === 'stream',
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  }
}

function implementation(method: Method) {
  if (method.kind === 'unary') {
    return (call: ServerUnaryCall<Buffer, Uint8Array>, callback: sendUnaryData<Uint8Array>) => {
      const answer = (result: Uint8Array | Status) => {
        if (result instanceof Uint8Array) callback(null, result)
        else callback({ code: result.code, details: result.message })
      }
      const result = method.handle(call.request)
      if (result instanceof Promise) result.then(answer)
      else answer(result)
    }
  }
  return (call: ServerDuplexStream<Buffer, Uint8Array>) => {
    let isOver = false
    const reader = method.open({
      send: (message) => {
        if (!isOver) call.write(message)
      },
      close: (status) => {
        if (isOver) return
        if (status === undefined) call.end()
        else call.emit('error', { code: status.code, details: status.message })
        end()
      },
    })
    const end = () => {
      if (isOver) return
      isOver = true
      reader.ended()
    }
    call.on('data', (message: Buffer) => {
      if (!isOver) reader.message(message)
    })
    call.on('end', () => {
      if (!isOver) reader.halfClosed()
    })
    // Envoy resets every stream that it is done with: cancelled is how a good one ends.
    call.on('cancelled', end)
    call.on('close', end)
    call.on('error', end)
  }
}

async function removeStaleSocket(path: string): Promise<void> {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  const refuse = (found: string, expected: string) =>
    new SluiceError({ code: 'listen_failed', place: `listen.agent ${path}`, found, expected })
  if (!stats.isSocket()) throw refuse('a file that is no socket', 'a free path')
  const isLive = await new Promise<boolean>((resolve) => {
    const socket = createConnection({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (isLive) throw refuse('a process that listens on it', 'a socket of its own for each agent')
  rmSync(path)
}
