import type { RequestOptions } from 'node:http'
import { splitHostPort } from './address.ts'
import { request } from './http.ts'

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
export function httpGet(call: HttpGet): Promise<{ readonly status: number; readonly body: Buffer }> {
  const { address, path, deadlineMs, maxBytes, signal } = call
  const where: RequestOptions = address.startsWith('unix:')
    ? // With no host in it Envoy and others take the request for one of HTTP/1.0's time.
      { socketPath: address.slice('unix:'.length), host: 'localhost' }
    : splitHostPort(address)
  return new Promise((resolve, reject) => {
    const sent = request({ ...where, path, agent: false, ...(signal && { signal }) })
    // Rejected at once: what has come by then may already end the answer, which is not whole.
    const fail = (why: string) => {
      const error = new Error(why)
      reject(error)
      sent.destroy(error)
    }
    const late = setTimeout(() => fail(`no whole answer within ${deadlineMs} ms`), deadlineMs).unref()
    sent.once('close', () => clearTimeout(late))
    sent.on('error', reject)
    sent.on('response', (response) => {
      const chunks: Buffer[] = []
      let sizeBytes = 0
      response.on('error', reject)
      response.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
        if (sizeBytes > maxBytes) fail(`an answer of more than ${maxBytes} bytes`)
        else chunks.push(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }))
    })
    sent.end()
  })
}
