import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'

export interface Upload {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** The body, unpacked and parsed. */
  readonly body: unknown
  /** As it came. */
  readonly bytes: number
}

type Answer = (request: IncomingMessage, response: ServerResponse, upload: Upload) => void

/** A server that takes logs and status reports; `files` are answered to GET. */
export interface LogServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** What it has answered 200 to. */
  readonly taken: Upload[]
  /** What came, whatever became of it. */
  readonly came: Upload[]
  /** Of every upload taken so far to a path. */
  events(path?: string): Record<string, unknown>[]
}

/** @param answer instead of 200 to everything. */
export async function startLogServer(
  options: {
    readonly files?: Readonly<Record<string, Buffer>>
    readonly answer?: Answer
    readonly port?: number
  } = {},
): Promise<LogServer> {
  const taken: Upload[] = []
  const came: Upload[] = []
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = []
    try {
      for await (const piece of request) pieces.push(piece as Buffer)
    } catch {
      // The client has gone: there is nobody to answer to.
      return
    }
    const path = request.url ?? ''
    if (request.method === 'GET') {
      const file = options.files?.[path.slice(1)]
      response.writeHead(file === undefined ? 404 : 200, { 'content-type': 'application/gzip' }).end(file)
      return
    }
    const raw = Buffer.concat(pieces)
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
    const upload: Upload = {
      path,
      headers: request.headers,
      body: JSON.parse(text.toString()),
      bytes: raw.length,
    }
    came.push(upload)
    if (options.answer !== undefined) return options.answer(request, response, upload)
    taken.push(upload)
    response.end('{}')
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    taken,
    came,
    events: (path = '/logs') =>
      taken.filter((upload) => upload.path === path).flatMap(({ body }) => body as Record<string, unknown>[]),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
