import { createServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'

/** What arrived, with every header as it came. */
export interface UpstreamArrival {
  readonly path: string
  /** Name and value pairs in order, repeated names kept. HTTP/2: joined as Node joins them. */
  readonly headers: readonly (readonly [string, string])[]
  readonly bodyBytes: number
}

export interface Upstream extends AsyncDisposable {
  readonly port: number
  readonly arrivals: UpstreamArrival[]
  /** Every value of a header of the last arrival. */
  lastHeader(name: string): string[]
}

/** A plain server that answers 200 and remembers what came: HTTP/1.1, or HTTP/2 with an empty gRPC answer. */
export async function startUpstream(options: { readonly isHttp2?: boolean } = {}): Promise<Upstream> {
  const arrivals: UpstreamArrival[] = []
  const sockets = new Set<{ destroy(): void }>()
  const server = options.isHttp2
    ? createHttp2Server((request, response) => {
        let bodyBytes = 0
        request.on('data', (chunk: Buffer) => {
          bodyBytes += chunk.length
        })
        request.on('end', () => {
          const headers = Object.entries(request.headers).map(
            ([name, value]) => [name, String(value)] as const,
          )
          arrivals.push({ path: request.url, headers, bodyBytes })
          response.stream.respond(
            { ':status': 200, 'content-type': 'application/grpc' },
            { waitForTrailers: true },
          )
          response.stream.on('wantTrailers', () => response.stream.sendTrailers({ 'grpc-status': '0' }))
          response.stream.end(Buffer.from([0, 0, 0, 0, 0]))
        })
      })
    : // Envoy keeps connections: one that is closed for idleness as a request comes would be nobody's fault.
      createServer({ keepAliveTimeout: 0 }, (request, response) => {
        let bodyBytes = 0
        request.on('data', (chunk: Buffer) => {
          bodyBytes += chunk.length
        })
        request.on('end', () => {
          const raw = request.rawHeaders
          const headers = raw.flatMap((name, i) =>
            i % 2 === 0 ? [[name.toLowerCase(), raw[i + 1] ?? ''] as const] : [],
          )
          arrivals.push({ path: request.url ?? '', headers, bodyBytes })
          response.writeHead(200, { 'content-length': '2', 'x-upstream': 'a' })
          response.end('ok')
        })
      })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    arrivals,
    lastHeader: (name) =>
      (arrivals.at(-1)?.headers ?? []).filter(([key]) => key === name).map(([, value]) => value),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
