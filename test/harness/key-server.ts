import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface KeyServer extends AsyncDisposable {
  readonly port: number
  /** Paths that were asked for. */
  readonly asked: readonly string[]
  /** Lets a request to the path be answered so from now on. */
  on(path: string, answer: RequestListener): void
}

/** A web server of keys that misbehaves as it is told. */
export async function startKeyServer(options: { readonly tls?: ServerOptions } = {}): Promise<KeyServer> {
  const answers = new Map<string, RequestListener>()
  const asked: string[] = []
  const listener: RequestListener = (request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const answer = answers.get(path)
    if (answer === undefined) response.writeHead(404).end()
    else answer(request, response)
  }
  const server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    on: (path, answer) => void answers.set(path, answer),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
