import { type IncomingHttpHeaders, request as plainRequest } from 'node:http'
import { Agent, request as tlsRequest } from 'node:https'

export interface Identity {
  readonly certificatePem: string
  readonly privateKeyPem: string
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly tookMs: number
}

export interface HttpCall {
  readonly port?: number
  readonly socketPath?: string
  readonly method?: string
  /** Sent as it is. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Buffer
  /** With these the call goes over TLS; `identity` absent presents no certificate. */
  readonly tls?: { readonly ca: string; readonly identity?: Identity; readonly agent?: Agent }
}

/** An SVID names a workload, not a host: the chain is checked, the host name is not. */
const anyHost = { checkServerIdentity: () => undefined }

/** Keeps connections of one identity open; for many requests. */
export function keepAliveAgent(maxSockets: number): Agent {
  // Said of a request, it would have Node open a connection for that one alone.
  return new Agent({ keepAlive: true, maxSockets, ...anyHost })
}

/** One request, one whole answer. Rejects when there is none (refused handshake, reset). */
export function http(call: HttpCall): Promise<HttpAnswer> {
  const began = performance.now()
  const options = {
    method: call.method ?? (call.body === undefined ? 'GET' : 'POST'),
    path: call.path,
    headers: {
      ...(call.body !== undefined && { 'content-length': Buffer.byteLength(call.body) }),
      ...call.headers,
    },
    timeout: 60_000,
    ...(call.socketPath === undefined
      ? { host: '127.0.0.1', port: call.port }
      : { socketPath: call.socketPath }),
  }
  return new Promise((resolve, reject) => {
    const sent =
      call.tls === undefined
        ? plainRequest(options)
        : tlsRequest({
            ...options,
            ca: call.tls.ca,
            // An address is no server name, and Node says so each time.
            servername: 'localhost',
            ...(call.tls.identity && {
              cert: call.tls.identity.certificatePem,
              key: call.tls.identity.privateKeyPem,
            }),
            ...(call.tls.agent ? { agent: call.tls.agent } : { agent: false, ...anyHost }),
          })
    sent.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
          tookMs: performance.now() - began,
        }),
      )
    })
    sent.on('timeout', () => sent.destroy(new Error('no answer within 60 s')))
    sent.on('error', reject)
    sent.end(call.body)
  })
}
