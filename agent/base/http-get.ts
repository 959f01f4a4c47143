import type { RequestOptions } from 'node:http'
import { splitHostPort } from './address.ts'
import { request } from './http.ts'
import { type HttpAnswer, wholeAnswer } from './http-answer.ts'

export interface HttpGet {
  /** `host:port` or `unix:/path`. */
  readonly address: string
  readonly path: string
  /** For the whole answer. */
  readonly deadlineMs: number
  readonly maxBytes: number
  readonly signal?: AbortSignal | undefined
}

/**
 * One whole answer of a server nearby, on a connection of its own.
 *
 * @throws Error where there is none, it does not end in time or is larger than it may be, or the signal ended it.
 */
export function httpGet(call: HttpGet): Promise<HttpAnswer> {
  const { address, path, deadlineMs, maxBytes, signal } = call
  const where: RequestOptions = address.startsWith('unix:')
    ? // With no host in it Envoy and others take the request for one of HTTP/1.0's time.
      { socketPath: address.slice('unix:'.length), host: 'localhost' }
    : splitHostPort(address)
  const asked = request({ ...where, path, agent: false, ...(signal && { signal }) })
  return wholeAnswer(asked, { deadlineMs, maxBytes })
}
