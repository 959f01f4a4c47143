import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Identity } from './http.ts'

export interface EndpointAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** Ends the connection after the body, whatever was announced. */
  readonly isCutOff?: boolean
  /** Answers nothing. */
  readonly isSilent?: boolean
}

/** A bundle endpoint of another trust domain, which does as it is told. */
export interface BundleEndpoint extends AsyncDisposable {
  readonly port: number
  /** Paths that were asked for. */
  readonly asked: string[]
  /** By path; every other is not found. */
  readonly answers: Map<string, EndpointAnswer>
  /** From the next handshake on. */
  setIdentity(identity: Identity): void
}

export async function startBundleEndpoint(identity: Identity): Promise<BundleEndpoint> {
  const asked: string[] = []
  const answers = new Map<string, EndpointAnswer>()
  const sockets = new Set<Socket>()
  const secrets = ({ certificatePem: cert, privateKeyPem: key }: Identity) => ({ cert, key })
  const server = createServer(secrets(identity), (request, response) => {
    asked.push(request.url ?? '')
    const {
      status = 200,
      headers,
      body = '',
      isCutOff,
      isSilent,
    } = answers.get(request.url ?? '') ?? { status: 404 }
    if (isSilent) return
    response.writeHead(status, headers)
    if (isCutOff) response.write(body, () => request.socket.destroy())
    else response.end(body)
  })
  // Clients that do not like what they see end the handshake; that is their business.
  server.on('tlsClientError', () => {})
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    answers,
    setIdentity: (next) => server.setSecureContext(secrets(next)),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
