import { connect as connectHttp2 } from 'node:http2'
import { connect, type TLSSocket } from 'node:tls'
import type { Identity } from './http.ts'

export interface TlsPeer {
  readonly port: number
  /** PEM; what the server is verified with. */
  readonly ca: string
  readonly identity?: Identity
  /** Of an earlier connection. */
  readonly session?: Buffer
  readonly maxVersion?: 'TLSv1.2' | 'TLSv1.3'
}

/** What one new connection and one request over it came to. */
export type Knock =
  | {
      readonly kind: 'answered'
      readonly status: number
      /** Of the server's certificate, lower-case hex. */
      readonly serial: string
      readonly isResumed: boolean
      /** For a later connection; `undefined` where the server gives none. */
      readonly session: Buffer | undefined
    }
  | { readonly kind: 'refused'; readonly why: string }

/** Opens a connection, asks once over HTTP/1.1, and says what came. In TLS 1.3 a refusal comes after the handshake. */
export function knock(peer: TlsPeer): Promise<Knock> {
  return new Promise((resolve) => {
    let session: Buffer | undefined
    let text = ''
    const socket: TLSSocket = connect(
      {
        host: '127.0.0.1',
        port: peer.port,
        ca: peer.ca,
        ALPNProtocols: ['http/1.1'],
        checkServerIdentity: () => undefined,
        ...(peer.identity && { cert: peer.identity.certificatePem, key: peer.identity.privateKeyPem }),
        ...(peer.session && { session: peer.session }),
        ...(peer.maxVersion && { maxVersion: peer.maxVersion }),
      },
      () => socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
    )
    const done = (knocked: Knock) => {
      socket.destroy()
      resolve(knocked)
    }
    socket.on('session', (given: Buffer) => {
      session = given
    })
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const status = /^HTTP\/1\.1 (\d{3}) [\s\S]*\r\n\r\n/.exec(text)?.[1]
      if (status === undefined) return
      // A resumed connection brings no certificate.
      const { serialNumber = '' } = socket.getPeerCertificate() as { serialNumber?: string }
      done({
        kind: 'answered',
        status: Number(status),
        serial: serialNumber.toLowerCase(),
        isResumed: socket.isSessionReused(),
        session,
      })
    })
    socket.on('error', (cause: NodeJS.ErrnoException) =>
      done({ kind: 'refused', why: cause.code ?? cause.message }),
    )
    socket.on('close', () => done({ kind: 'refused', why: 'closed' }))
    socket.setTimeout(60_000, () => done({ kind: 'refused', why: 'silence' }))
  })
}

export { connectHttp2 }
