import type { TLSSocket } from 'node:tls'
import type { Clock } from '#base/clock.ts'
import { MalformedError } from '#base/malformed.ts'
import { type Certificate, parseCertificate } from '../x509/certificate.ts'
import { findChain } from '../x509/chain.ts'
import { parseLeaf } from '../x509/leaf.ts'

/** Opens TLS to a server that is who it should be. Rejects where it is not, before anything was asked. */
export type Connect = (url: URL, signal: AbortSignal) => Promise<TLSSocket>

/** Certificates that a server may send beside its own. */
const maxSent = 8

/** By the public CAs of the web and the host of the URL. @see SPIFFE_Federation.md, 5.2.1 */
export function connectWeb({ roots }: { readonly roots?: string | undefined } = {}): Connect {
  return (url, signal) => connect(url, signal, { ...(roots !== undefined && { ca: roots }) })
}

/**
 * By its SPIFFE ID and a trust bundle: every rule for X509-SVIDs and their chains that callers are held to. The host of the
 * URL says where it is, not who.
 *
 * @see SPIFFE_Federation.md, 5.2.2
 */
export function connectSpiffe(options: {
  readonly endpointSpiffeId: string
  /** Of its trust domain, the newest there are. */
  readonly authorities: () => readonly Certificate[] | undefined
  readonly clock: Clock
}): Connect {
  return async (url, signal) => {
    const socket = await connect(url, signal, { rejectUnauthorized: false })
    const fault = serverFault(socket, options)
    if (fault === undefined) return socket
    socket.destroy()
    throw new Error(fault)
  }
}

function connect(url: URL, signal: AbortSignal, options: object): Promise<TLSSocket> {
  const { connect: connectTls } = process.getBuiltinModule('node:tls')
  const { isIP } = process.getBuiltinModule('node:net')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host,
      port: url.port === '' ? 443 : Number(url.port),
      ...(isIP(host) === 0 && { servername: host }),
      ALPNProtocols: ['http/1.1'],
      ...options,
    })
    const abort = () => socket.destroy(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
    socket.once('close', () => {
      signal.removeEventListener('abort', abort)
      reject(new Error('the connection was closed'))
    })
    if (signal.aborted) abort()
  })
}

/** Why a server is not the one it should be; `undefined` when it is. */
function serverFault(
  socket: TLSSocket,
  { endpointSpiffeId, authorities, clock }: Parameters<typeof connectSpiffe>[0],
): string | undefined {
  const [first, ...sent] = sentCertificates(socket)
  if (first === undefined) return 'the server sent no certificate'
  const parsed = parseLeaf(first)
  if (!parsed.ok) return `the server's certificate: ${parsed.why}`
  const { id, certificate } = parsed.leaf
  if (id.text !== endpointSpiffeId) return `the server is ${id.text}, not ${endpointSpiffeId}`
  const nowMs = clock.nowMs()
  if (nowMs < certificate.notBeforeMs || nowMs >= certificate.notAfterMs)
    return "the server's certificate is not valid at this time"
  const known = authorities()
  if (known === undefined) return `no trust bundle for ${id.trustDomain}, the trust domain of the server`
  const intermediates = sent.map(certificateOf).filter((each) => each !== undefined)
  const verdict = findChain(certificate, { intermediates, authorities: known, nowMs })
  return verdict.ok ? undefined : `the server's certificate: ${verdict.why}`
}

/** As the server sent them, its own first. */
function sentCertificates(socket: TLSSocket): readonly Buffer[] {
  const found: Buffer[] = []
  let at = socket.getPeerX509Certificate()
  while (at !== undefined && found.length < maxSent) {
    found.push(at.raw)
    at = at.issuerCertificate
  }
  return found
}

/** What a server sends beside its own certificate and is none helps nobody, and hurts nobody. */
function certificateOf(der: Buffer): Certificate | undefined {
  try {
    return parseCertificate(der)
  } catch (thrown) {
    if (thrown instanceof MalformedError) return undefined
    throw thrown
  }
}
