import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface BundleServer extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly IncomingMessage[]
  /** From now on the path answers with this; its entity tag is new. */
  put(path: string, bytes: Buffer): void
}

/** A plain web server with bundles: entity tags, 304, 404, and 401 for who lacks the token. */
export async function startBundleServer(
  options: { readonly token?: string; readonly tls?: ServerOptions } = {},
): Promise<BundleServer> {
  const files = new Map<string, { readonly bytes: Buffer; readonly etag: string }>()
  const requests: IncomingMessage[] = []
  const answer: RequestListener = (request, response) => {
    requests.push(request)
    if (options.token !== undefined && request.headers.authorization !== `Bearer ${options.token}`)
      return void response.writeHead(401).end()
    const file = files.get(request.url ?? '')
    if (file === undefined) return void response.writeHead(404).end()
    const { bytes, etag } = file
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304, { etag }).end()
    response.writeHead(200, { etag, 'content-type': 'application/gzip' }).end(bytes)
  }
  const server: Server =
    options.tls === undefined ? createServer(answer) : createTlsServer(options.tls, answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let version = 0
  return {
    url: options.tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`,
    requests,
    put: (path, bytes) => void files.set(path, { bytes, etag: `"${++version}"` }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
