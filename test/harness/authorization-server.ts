import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** One call of the introspection endpoint, as it came. */
export interface IntrospectionCall {
  readonly headers: IncomingHttpHeaders
  readonly form: URLSearchParams
  /** Hex SHA-256 with colons, of the certificate that the client showed. */
  readonly certificate: string | undefined
}

/** What the endpoint does with a call: an object is a 200 with it, a function does what it wants. */
export type Script =
  | object
  | ((response: ServerResponse, call: IntrospectionCall, request: IncomingMessage) => void)

export interface AuthorizationServer extends AsyncDisposable {
  /** Of the introspection endpoint. */
  readonly endpoint: string
  readonly calls: readonly IntrospectionCall[]
  /** Calls that were not answered yet. */
  readonly open: () => number
  /** From now on every call gets this, whatever its token. */
  script(script: Script): void
}

/** An authorization server of which there is nothing but what a test scripts: for faults that a real one does not make. */
export async function startAuthorizationServer(
  options: { readonly tls?: ServerOptions; readonly script?: Script } = {},
): Promise<AuthorizationServer> {
  const calls: IntrospectionCall[] = []
  let script: Script = options.script ?? { active: false }
  let open = 0
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    open++
    response.on('close', () => open--)
    const pieces: Buffer[] = []
    try {
      for await (const piece of request) pieces.push(piece as Buffer)
    } catch {
      // The client has gone: there is nobody to answer to.
      return
    }
    const call: IntrospectionCall = {
      headers: request.headers,
      form: new URLSearchParams(Buffer.concat(pieces).toString()),
      certificate: options.tls && (request.socket as TLSSocket).getPeerCertificate().fingerprint256,
    }
    calls.push(call)
    if (typeof script === 'function') return void script(response, call, request)
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(script))
  }
  const server = options.tls ? createTlsServer(options.tls, answer) : createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `${options.tls ? 'https://localhost' : 'http://127.0.0.1'}:${port}/oauth2/introspect`,
    calls,
    open: () => open,
    script: (next) => {
      script = next
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
