import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls'
import { splitHostPort } from '#base/address.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { removeStaleSocket } from '#base/stale-socket.ts'
import { withMask } from '#base/with-mask.ts'
import { openCall } from './call.ts'
import { createGrpcCounters, type GrpcCounters } from './counters.ts'
import { Connection, type ConnectionLimits } from './http2/connection.ts'
import { MemoryBudget } from './http2/memory-budget.ts'
import type { WrongPeer } from './http2/preface.ts'
import type { Method } from './service.ts'
import { SpareMemory } from './spare-memory.ts'

export interface GrpcServer extends AsyncDisposable {
  /** The port, when it listens on one; otherwise 0. */
  readonly port: number
  readonly counters: GrpcCounters
}

export interface GrpcServerOptions {
  /** `unix:/path` or `host:port`. */
  readonly listen: string
  readonly methods: readonly Method[]
  readonly maxMessageBytes: number
  /** What carries the calls; `grpc-js` counts nothing and knows none of the bounds below. */
  readonly transport?: 'sluice' | 'grpc-js'
  /** Server certificate, and what clients must show; without it the server speaks plain HTTP/2. */
  readonly tls?: Pick<TlsOptions, 'cert' | 'key' | 'ca' | 'requestCert' | 'rejectUnauthorized'>
  /** Of a Unix socket; 0660 if absent. */
  readonly socketMode?: number
  /** How long running calls have after the server was told to stop. */
  readonly drainMs?: number
  /** How long a connection preface, or a frame that has begun, may stay unfinished. */
  readonly prefaceTimeoutMs?: number
  readonly maxConcurrentStreams?: number
  readonly counters?: GrpcCounters
  /** Told of what a handler threw, which it must not; its call ends with INTERNAL. */
  onHandlerFault?(cause: unknown): void
  /** Told of each peer that speaks something else; at most one in `wrongPeerEveryMs`. */
  onWrongPeer?(protocol: WrongPeer): void
}

/** Envoy has one connection for each of its worker threads. */
const maxConnections = 1024
const sweepEveryMs = 500
/** Unfinished and waiting messages of all connections; one of them may have a quarter of it. */
const maxServerHeldBytes = 256 << 20
/** A probe that knocks every second must not fill the log. */
const wrongPeerEveryMs = 10_000

const limits: Omit<ConnectionLimits, 'prefaceTimeoutMs' | 'maxConcurrentStreams'> = {
  maxHeaderListBytes: 64 << 10,
  // A message of 4 MB never stalls: half of it is given back while the other half is on its way.
  streamWindowBytes: 1 << 20,
  connectionWindowBytes: 16 << 20,
  maxHeldBytes: 64 << 20,
}

/**
 * Hosts a method table: gRPC over HTTP/2 on a Unix socket or a port, straight on the socket. A Unix socket that a dead
 * process left is removed, one that somebody listens on is not.
 *
 * @throws SluiceError when it cannot be bound.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { listen, maxMessageBytes, drainMs = 5000, counters = createGrpcCounters() } = options
  const { socketMode = 0o660 } = options
  const call = {
    methods: new Map(options.methods.map((method) => [method.path, method])),
    maxMessageBytes,
    nowMs: Date.now,
    spare: new SpareMemory(),
    onHandlerFault: options.onHandlerFault ?? (() => {}),
  }
  const path = listen.startsWith('unix:') ? listen.slice('unix:'.length) : undefined
  if (path !== undefined) await removeStaleSocket(path, 'listen.agent')

  if (options.transport === 'grpc-js') return onGrpcJs({ ...options, socketMode }, path, counters)

  const connections = new Set<Connection>()
  let onLastClosed = () => {}
  const budget = new MemoryBudget(maxServerHeldBytes)
  let toldAtMs = Number.NEGATIVE_INFINITY
  const onWrongPeer = (protocol: WrongPeer) => {
    const nowMs = performance.now()
    if (nowMs - toldAtMs < wrongPeerEveryMs) return
    toldAtMs = nowMs
    options.onWrongPeer?.(protocol)
  }
  const accept = (socket: Socket) => {
    const connection = new Connection({
      socket,
      limits: {
        ...limits,
        maxConcurrentStreams: options.maxConcurrentStreams ?? 10_000,
        prefaceTimeoutMs: options.prefaceTimeoutMs ?? 10_000,
      },
      counters,
      budget,
      nowMs: () => performance.now(),
      accept: (stream, head) => openCall(stream, head, call),
      onWrongPeer,
      onClosed: () => {
        connections.delete(connection)
        if (connections.size === 0) onLastClosed()
      },
    })
    connections.add(connection)
  }
  const server =
    options.tls === undefined ? createServer({ noDelay: true }, accept) : tlsServer(options.tls, accept)
  server.maxConnections = maxConnections
  await bind(server, listen, path)
  if (path !== undefined) chmodSync(path, socketMode)
  const sweep = setInterval(() => {
    const nowMs = performance.now()
    for (const connection of connections) connection.sweep(nowMs)
  }, sweepEveryMs).unref()

  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    counters,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        const cutOff = setTimeout(() => {
          for (const connection of connections) connection.destroy()
        }, drainMs)
        const closed = () => {
          clearTimeout(cutOff)
          clearInterval(sweep)
          if (path !== undefined) rmSync(path, { force: true })
          resolve()
        }
        server.close(() => {
          // Sockets that are cut off are gone before their calls know, and these may have something to write down.
          if (connections.size === 0) closed()
          else onLastClosed = closed
        })
        for (const connection of connections) connection.drain()
      }),
  }
}

async function onGrpcJs(
  options: GrpcServerOptions & { readonly socketMode: number },
  path: string | undefined,
  counters: GrpcCounters,
): Promise<GrpcServer> {
  const { startGrpcJs } = await import('./grpc-js.ts')
  const host = await startGrpcJs(options).catch((cause: unknown) => {
    throw cannotBind(options.listen, messageOf(cause), cause)
  })
  if (path !== undefined) chmodSync(path, options.socketMode)
  return {
    port: host.port,
    counters,
    [Symbol.asyncDispose]: async () => {
      await host.close(options.drainMs ?? 5000)
      if (path !== undefined) rmSync(path, { force: true })
    },
  }
}

function tlsServer(tls: TlsOptions, accept: (socket: Socket) => void): Server {
  const server = createTlsServer({ ...tls, noDelay: true, minVersion: 'TLSv1.2', ALPNProtocols: ['h2'] })
  server.on('secureConnection', (socket: TLSSocket) => {
    // A client that did not negotiate HTTP/2 would read our frames as rubbish (RFC 9113, §3.2).
    if (socket.alpnProtocol === 'h2') accept(socket)
    else socket.destroy()
  })
  return server
}

function bind(server: Server, listen: string, path: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(cannotBind(listen, cause.message, cause)))
    if (path !== undefined) withMask(0o117, () => server.listen(path, resolve))
    else {
      const { host, port } = splitHostPort(listen)
      server.listen(port, host, resolve)
    }
  })
}

function cannotBind(listen: string, found: string, cause: unknown): SluiceError {
  const expected = 'an address that can be bound'
  return new SluiceError({ code: 'listen_failed', place: `listen.agent ${listen}`, found, expected, cause })
}
