import { readFileSync } from 'node:fs'
import { type Answer, exchange, type TlsSettings } from '#base/http-exchange.ts'
import { type ClientAuthentication, clientProof } from './client-authentication.ts'

export interface CallOptions {
  readonly issuer: string
  /** https, or http to a loopback address. */
  readonly endpoint: string
  readonly authentication: ClientAuthentication
  /** PEM of the CAs that the server is checked against, instead of the public ones. */
  readonly ca?: string | undefined
  /** PEM files of what we show to the server. */
  readonly certificate?: { readonly certFile: string; readonly keyFile: string } | undefined
  readonly timeoutMs: number
  /** What of an answer is taken. */
  readonly accept: string
}

/** The answer has the claims of one token. */
const maxAnswerBytes = 65_536

/**
 * Asks the server about one token.
 *
 * @throws Error also where a file of ours cannot be read, as a rejection. It does not show the token.
 * @see RFC 7662, 2.1
 */
export async function callEndpoint(options: CallOptions, token: string, nowMs: number): Promise<Answer> {
  const { issuer, endpoint, authentication, timeoutMs, accept } = options
  const { headers, form } = clientProof(authentication, issuer, nowMs)
  const url = new URL(endpoint)
  return exchange({
    method: 'POST',
    url,
    headers: {
      accept,
      'content-type': 'application/x-www-form-urlencoded',
      'user-agent': 'sluice',
      ...headers,
    },
    ownHeaders: {},
    tls: url.protocol === 'https:' ? tlsOf(options) : undefined,
    body: new URLSearchParams({ token, token_type_hint: 'access_token', ...form }).toString(),
    maxBytes: maxAnswerBytes,
    signal: AbortSignal.timeout(timeoutMs),
  })
}

function tlsOf({ ca, certificate }: CallOptions): TlsSettings {
  return {
    ...(ca !== undefined && { ca: [readFileSync(ca, 'utf8')] }),
    ...(certificate && {
      cert: readFileSync(certificate.certFile, 'utf8'),
      key: readFileSync(certificate.keyFile, 'utf8'),
    }),
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  }
}
