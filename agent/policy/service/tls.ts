import { readFileSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import type { TlsSettings } from '#base/http-exchange.ts'
import type { ServiceConfig } from './service.ts'

export interface TrustedCertificates {
  readonly ca_cert?: string | undefined
  readonly system_ca_required?: boolean | undefined
}

/** The certificate that we show, and its key. */
export interface ClientCertificate {
  readonly cert: string
  readonly private_key: string
  readonly private_key_passphrase?: string | undefined
  readonly cert_reread_interval_seconds?: number | undefined
  /** Older places of `tls.ca_cert` and its neighbour. */
  readonly ca_cert?: string | undefined
  readonly system_ca_required?: boolean | undefined
}

/** Reads the files that a service names, when a connection is made: certificates are replaced while we run. */
export function createTls(
  config: ServiceConfig,
  nowMs: () => number = () => performance.now(),
): () => TlsSettings | undefined {
  if (!/^https:/i.test(config.url)) return () => undefined
  const { client_tls: client } = config.credentials ?? {}
  const caPath = config.tls?.ca_cert ?? client?.ca_cert
  const withSystem = config.tls?.system_ca_required ?? client?.system_ca_required ?? false
  let pair: { readonly cert: string; readonly key: string; readonly atMs: number } | undefined
  const pairOf = (from: ClientCertificate) => {
    const keepMs = (from.cert_reread_interval_seconds ?? 0) * 1000
    if (pair === undefined || nowMs() - pair.atMs >= keepMs) {
      const text = (path: string) => readFileSync(path, 'utf8')
      pair = { cert: text(from.cert), key: text(from.private_key), atMs: nowMs() }
    }
    return { cert: pair.cert, key: pair.key }
  }
  return () => ({
    ca: trusted(caPath, withSystem),
    ...(client && pairOf(client)),
    ...(client?.private_key_passphrase !== undefined && { passphrase: client.private_key_passphrase }),
    rejectUnauthorized: config.allow_insecure_tls !== true,
    minVersion: 'TLSv1.2',
  })
}

/** Without a file of its own a service is trusted as the machine trusts: OPA goes by the system's store. */
function trusted(caPath: string | undefined, withSystem: boolean): readonly string[] {
  const own = caPath === undefined ? [] : [readFileSync(caPath, 'utf8')]
  if (caPath !== undefined && !withSystem) return own
  return [...getCACertificates('default'), ...getCACertificates('system'), ...own]
}
