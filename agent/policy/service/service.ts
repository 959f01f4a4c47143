import { type Answer, exchange } from '#base/http-exchange.ts'
import { type Bearer, bearerHeader } from './bearer.ts'
import type { ClientCertificate, TrustedCertificates } from './tls.ts'
import { createTls } from './tls.ts'

export type { Answer } from '#base/http-exchange.ts'

/** A service of OPA's configuration, in its spelling. @see https://www.openpolicyagent.org/docs/configuration#services */
export interface ServiceConfig {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly response_header_timeout_seconds?: number | undefined
  readonly allow_insecure_tls?: boolean | undefined
  readonly tls?: TrustedCertificates | undefined
  readonly credentials?:
    | { readonly bearer?: Bearer | undefined; readonly client_tls?: ClientCertificate | undefined }
    | undefined
}

interface Call {
  /** Below the service's URL. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Of the answer's body, as it is after transport encoding. */
  readonly maxBytes?: number
  readonly signal: AbortSignal
}

/** Talks to one server with the credentials it is configured with. */
export interface ServiceClient {
  readonly name: string
  /** Where a call goes. */
  urlOf(path: string): URL
  /** `holdSeconds` is how long the server was asked to wait for news; it counts beside the time it has to answer. */
  get(call: Call & { readonly holdSeconds?: number | undefined }): Promise<Answer>
  post(call: Call & { readonly body: Buffer | string }): Promise<Answer>
}

const defaultHeaderTimeoutSeconds = 10
/** Answers to what we post say little that we read. */
const defaultMaxBytes = 1 << 20

/**
 * A client for a service. Files with credentials are read for each call, for they are replaced while we run; a call
 * rejects with an Error that says at which address what went wrong, and a status is the caller's to judge.
 */
export function createServiceClient(name: string, config: ServiceConfig): ServiceClient {
  const base = config.url.replace(/\/+$/, '')
  const tls = createTls(config)
  const headers = lowerCased(config.headers ?? {})
  const headerTimeoutSeconds = config.response_header_timeout_seconds ?? defaultHeaderTimeoutSeconds
  const urlOf = (path: string) => new URL(`${base}/${path.replace(/^\/+|\/+$/g, '')}`)
  const send = (method: 'GET' | 'POST', call: Call, rest: { holdSeconds?: number; body?: Buffer | string }) =>
    exchange({
      method,
      url: urlOf(call.path),
      headers: { 'user-agent': 'sluice', ...lowerCased(call.headers ?? {}) },
      ownHeaders: { ...headers, ...bearerHeader(config.credentials?.bearer) },
      tls: tls(),
      ...(rest.body !== undefined && { body: rest.body }),
      maxBytes: call.maxBytes ?? defaultMaxBytes,
      // Zero is no limit, as in OPA.
      ...(headerTimeoutSeconds > 0 && {
        headerTimeoutMs: (headerTimeoutSeconds + (rest.holdSeconds ?? 0)) * 1000,
      }),
      signal: call.signal,
    })
  return {
    name,
    urlOf,
    get: async ({ holdSeconds, ...call }) =>
      send('GET', call, { ...(holdSeconds !== undefined && { holdSeconds }) }),
    post: async ({ body, ...call }) => send('POST', call, { body }),
  }
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([key, value]) => [key.toLowerCase(), value]))
}
