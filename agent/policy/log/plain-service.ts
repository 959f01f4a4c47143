import type { IncomingMessage } from 'node:http'
import { request, tlsRequest } from '#base/http.ts'
import type { LogService } from './upload.ts'

const answerTimeoutMs = 10_000

/** A service that needs no credentials. A redirect is an answer like any other: a log goes only where it was meant to. */
export function createPlainService(base: string): LogService {
  return {
    post: ({ path, headers, body, signal }) =>
      new Promise((resolve, reject) => {
        const url = new URL(`${base.replace(/\/+$/, '')}/${path}`)
        const send = url.protocol === 'https:' ? tlsRequest : request
        const outgoing = send(url, {
          method: 'POST',
          headers: { 'user-agent': 'sluice', 'content-length': body.length, ...headers },
          agent: false,
          signal,
        })
        const late = setTimeout(
          () => outgoing.destroy(new Error(`${url.origin}: no whole answer in time`)),
          answerTimeoutMs,
        )
        const fail = (cause: Error) => {
          clearTimeout(late)
          reject(cause)
        }
        outgoing.on('error', fail)
        outgoing.on('response', (incoming: IncomingMessage) => {
          incoming.on('error', fail)
          incoming.on('end', () => {
            clearTimeout(late)
            if (incoming.complete) resolve({ status: incoming.statusCode ?? 0 })
            else reject(new Error(`${url.origin}: the answer was cut off`))
          })
          incoming.resume()
        })
        outgoing.end(body)
      }),
  }
}
