import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { request, tlsRequest } from '#base/http.ts'

/** A GET that may be redirected. */
export interface FetchOptions {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** Goes to the origin of `url` only, never to where it redirects. */
  readonly authorization?: string | undefined
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined
  /** Of the body, as it is after transport encoding. */
  readonly maxBytes: number
  readonly headerTimeoutMs: number
  /** Without a byte of the body for this long it is given up. */
  readonly idleTimeoutMs: number
  readonly signal: AbortSignal
}

export interface Fetched {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

const maxRedirects = 10

/** @throws Error that says at which address what went wrong. */
export async function fetchBytes(options: FetchOptions): Promise<Fetched> {
  let { url } = options
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const answer = await once(options, url)
    const { location } = answer.headers
    if (answer.status < 300 || answer.status >= 400 || answer.status === 304 || location === undefined)
      return answer
    const next = new URL(location, url)
    if (next.protocol !== 'https:' && !(next.protocol === 'http:' && url.protocol === 'http:'))
      throw new Error(`${url.origin} redirects to ${next.protocol}//, which is less safe`)
    url = next
  }
  throw new Error(`${options.url.href} redirects more than ${maxRedirects} times`)
}

function once(options: FetchOptions, url: URL): Promise<Fetched> {
  const isOwn = url.origin === options.url.origin
  return new Promise((resolve, reject) => {
    const fail = (why: string) => outgoing.destroy(new Error(`${url.origin}${url.pathname}: ${why}`))
    const send = url.protocol === 'https:' ? tlsRequest : request
    const outgoing = send(url, {
      headers: {
        ...options.headers,
        ...(isOwn && options.authorization !== undefined && { authorization: options.authorization }),
      },
      agent: false,
      signal: options.signal,
      ...(url.protocol === 'https:' && isOwn && options.tls),
    })
    const late = setTimeout(() => fail('no answer in time'), options.headerTimeoutMs)
    outgoing.on('error', (cause: Error) => {
      clearTimeout(late)
      reject(cause)
    })
    outgoing.on('response', (incoming: IncomingMessage) => {
      clearTimeout(late)
      const pieces: Buffer[] = []
      let size = 0
      incoming.setTimeout(options.idleTimeoutMs, () => fail('the answer stopped half-way'))
      incoming.on('data', (piece: Buffer) => {
        size += piece.length
        if (size > options.maxBytes) fail(`more than ${options.maxBytes} bytes`)
        else pieces.push(piece)
      })
      incoming.on('error', reject)
      incoming.on('end', () => {
        if (!incoming.complete)
          return reject(new Error(`${url.origin}${url.pathname}: the answer was cut off`))
        try {
          const body = Buffer.concat(pieces)
          const isPacked = incoming.headers['content-encoding'] === 'gzip'
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body:
              isPacked && body.length > 0 ? gunzipSync(body, { maxOutputLength: options.maxBytes }) : body,
          })
        } catch (cause) {
          reject(cause)
        }
      })
    })
    outgoing.end()
  })
}
