import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { splitHostPort } from '#base/address.ts'
import { SluiceError } from '#base/errors.ts'
import { serveCall } from './call.ts'
import type { Method } from './service.ts'
import { removeStaleSocket } from './stale-socket.ts'

export interface GrpcServer extends AsyncDisposable {
  /** The port, when it listens on one; otherwise 0. */
  readonly port: number
}

/**
 * Resets that one connection may send at once and each second. Envoy ends every ext_proc stream with RST_STREAM: Node's
 * own bound (1,000 at once, 33 a second) takes a busy Envoy for a rapid-reset attack and ends the connection, and with it
 * every request that runs. That is also why @grpc/grpc-js, which has no such option, cannot host this.
 */
const resetsPerSecond = 100_000

/**
 * Hosts a method table: gRPC over HTTP/2, without TLS, on a Unix socket or loopback. A Unix socket gets the mode 0660;
 * one that a dead process left is removed, one that somebody listens on is not.
 *
 * @param options.listen `unix:/path` or `host:port`
 * @throws SluiceError when it cannot be bound.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export async function startGrpcServer(options: {
  readonly listen: string
  readonly methods: readonly Method[]
  readonly maxMessageBytes: number
  /** How long running calls have after the server was told to stop. */
  readonly drainMs?: number
}): Promise<GrpcServer> {
  const { listen, maxMessageBytes, drainMs = 5000 } = options
  const methods = new Map(options.methods.map((method) => [method.path, method]))
  const path = listen.startsWith('unix:') ? listen.slice('unix:'.length) : undefined
  if (path !== undefined) await removeStaleSocket(path)

  const sessions = new Set<ServerHttp2Session>()
  const server = createServer({
    settings: { initialWindowSize: 1 << 20, maxConcurrentStreams: 100_000, maxHeaderListSize: 64 << 10 },
    streamResetBurst: resetsPerSecond,
    streamResetRate: resetsPerSecond,
    // Megabytes that one connection may hold; Envoy keeps to one.
    maxSessionMemory: 256,
  })
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    // A connection that breaks ends its own streams; there is nothing else to do about it.
    session.on('error', () => session.destroy())
  })
  server.on('stream', (stream: ServerHttp2Stream, headers) =>
    serveCall({ stream, headers, methods, maxMessageBytes }),
  )
  await bind(server, listen, path)
  if (path !== undefined) chmodSync(path, 0o660)

  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        const timer = setTimeout(() => {
          for (const session of sessions) session.destroy()
        }, drainMs)
        server.close(() => {
          clearTimeout(timer)
          if (path !== undefined) rmSync(path, { force: true })
          resolve()
        })
        // GOAWAY: no new streams, running ones may end.
        for (const session of sessions) session.close()
      }),
  }
}

function bind(server: Http2Server, listen: string, path: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
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
    if (path !== undefined) server.listen(path, resolve)
    else {
      const { host, port } = splitHostPort(listen)
      server.listen(port, host, resolve)
    }
  })
}
