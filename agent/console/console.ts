import { chmodSync, rmSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { messageOf, SluiceError } from '#base/errors.ts'
import { createServer } from '#base/http.ts'
import { removeStaleSocket } from '#base/stale-socket.ts'
import { withMask } from '#base/with-mask.ts'

/** What people with access to the socket may ask or do. */
export interface ConsoleRoute {
  /** Whatever changes something is a POST. */
  readonly method: 'GET' | 'POST'
  /** Without its query. */
  readonly path: string
  /** Answers with JSON. A SluiceError is the asker's mistake. */
  handle(query: URLSearchParams): unknown
}

const maxUrlLength = 8192

/**
 * Serves the routes as JSON over HTTP on a Unix socket that only its owner may use. Who can open the socket may do all of
 * it: there is no other authentication.
 *
 * @param socket `unix:/path`
 * @throws SluiceError when it cannot be bound.
 */
export async function openConsole(options: {
  readonly socket: string
  readonly routes: readonly ConsoleRoute[]
}): Promise<AsyncDisposable> {
  const path = options.socket.slice('unix:'.length)
  await removeStaleSocket(path, 'listen.admin')
  const server = createServer((request, response) => {
    answer(options.routes, request, response).catch((cause: unknown) => {
      response.destroy(cause instanceof Error ? cause : undefined)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new SluiceError({
          code: 'listen_failed',
          place: `listen.admin ${path}`,
          found: cause.message,
          expected: 'a path that can be bound',
          cause,
        }),
      ),
    )
    withMask(0o177, () => server.listen(path, resolve))
  })
  chmodSync(path, 0o600)
  return {
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          rmSync(path, { force: true })
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}

async function answer(
  routes: readonly ConsoleRoute[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { url = '/', method } = request
  if (url.length > maxUrlLength) return reply(response, 414, { error: 'the address is too long' })
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  const query = mark === -1 ? '' : url.slice(mark + 1)
  const known = routes.filter((route) => route.path === path)
  const route = known.find((each) => each.method === method)
  if (route === undefined) {
    const [status, error] = known.length === 0 ? [404, 'no such route'] : [405, 'another method']
    return reply(response, status as number, { error })
  }
  try {
    reply(response, 200, await route.handle(new URLSearchParams(query)))
  } catch (thrown) {
    reply(response, thrown instanceof SluiceError ? 400 : 500, { error: messageOf(thrown) })
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(`${JSON.stringify(body)}\n`)
}
