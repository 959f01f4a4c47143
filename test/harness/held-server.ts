import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface HeldCall {
  readonly path: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Ends it with `{}`, or with another status. */
  answer(httpStatus?: number): void
}

/** A server that answers nothing by itself: each call waits until the test answers it. */
export interface HeldServer extends AsyncDisposable {
  readonly port: number
  /** Everything that came, in order. */
  readonly calls: readonly HeldCall[]
}

export async function startHeldServer(): Promise<HeldServer> {
  const calls: HeldCall[] = []
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => calls.push(held(request.url ?? '', request.headers, response)))
  })
  // Envoy keeps connections: one that is closed for idleness as a request comes would be nobody's fault.
  server.keepAliveTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    calls,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function held(path: string, headers: HeldCall['headers'], response: ServerResponse): HeldCall {
  return {
    path,
    headers,
    answer: (httpStatus = 200) => {
      response.writeHead(httpStatus, { 'content-type': 'application/json', 'content-length': '2' })
      response.end('{}')
    },
  }
}
