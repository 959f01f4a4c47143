import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'

export interface GrpcStreamServer extends AsyncDisposable {
  readonly port: number
  /** Calls that the other side gave up before they were answered whole. */
  readonly cancelled: () => number
}

/** A gRPC server of which every call, whatever it asks, is answered with `m0`, `m1`, `m2` and OK. */
export async function startGrpcStream(options: {
  /** Awaited before each message. */
  before?(index: number): Promise<unknown>
}): Promise<GrpcStreamServer> {
  let cancelled = 0
  const server = createServer()
  const sessions = new Set<{ destroy(): void }>()
  server.on('session', (session) => sessions.add(session))
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.on('aborted', () => cancelled++)
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    void (async () => {
      for (let index = 0; index < 3; index++) {
        await options.before?.(index)
        if (stream.destroyed) return
        const message = Buffer.from(`m${index}`)
        const head = Buffer.alloc(5)
        head.writeUInt32BE(message.length, 1)
        stream.write(Buffer.concat([head, message]))
      }
      stream.end()
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    cancelled: () => cancelled,
    [Symbol.asyncDispose]: async () => {
      for (const session of sessions) session.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
