import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { request, tlsRequest } from './http.ts'
import { type HttpAnswer, readBody } from './http-answer.ts'

/** What a connection is made with. */
export interface TlsSettings {
  /** PEM; without it those that Node trusts. */
  readonly ca?: readonly string[]
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
  readonly rejectUnauthorized: boolean
  readonly minVersion: 'TLSv1.2'
}

/** A request that may be redirected. */
interface ExchangeOptions {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** These and `tls` are for the origin of `url` only, never for where it redirects. */
  readonly ownHeaders: Readonly<Record<string, string>>
  readonly tls: TlsSettings | undefined
  readonly body?: Buffer | string
  /** Of the body, as it is after transport encoding. */
  readonly maxBytes: number
  readonly headerTimeoutMs?: number
  readonly signal: AbortSignal
}

export interface Answer extends HttpAnswer {
  /** As it came over the wire. */
  readonly wireBytes: number
}

const maxRedirects = 10
/** Without a byte of the body for this long it is given up, */
const idleTimeoutMs = 30_000
/** and so is one that trickles. */
const bodyTimeoutMs = 600_000
const unpack = promisify(gunzip)

/** One request and its whole answer, on a connection of its own. @throws Error that says at which address what went wrong. */
export async function exchange(options: ExchangeOptions): Promise<Answer> {
  let { url } = options
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const answer = await once(options, url)
    const { location } = answer.headers
    if (!isRedirect(answer.status, options.method) || location === undefined) return answer
    if (!URL.canParse(location, url)) throw new Error(`${url.origin} redirects to what is no URL`)
    const next = new URL(location, url)
    if (next.protocol !== 'https:' && !(next.protocol === 'http:' && url.protocol === 'http:'))
      throw new Error(`${url.origin} redirects to ${next.protocol}//, which is less safe`)
    url = next
  }
  throw new Error(`${options.url.origin}${options.url.pathname} redirects more than ${maxRedirects} times`)
}

/** What is posted goes only where it was meant to: a redirect of it is an answer like any other. */
function isRedirect(status: number, method: string): boolean {
  return method === 'GET' && status >= 300 && status < 400 && status !== 304
}

async function once(options: ExchangeOptions, url: URL): Promise<Answer> {
  const { status, headers, body } = await receive(options, url)
  const isPacked = headers['content-encoding'] === 'gzip' && body.length > 0
  const content = isPacked ? await unpack(body, { maxOutputLength: options.maxBytes }) : body
  return { status, headers, body: content, wireBytes: body.length }
}

function receive(options: ExchangeOptions, url: URL): Promise<HttpAnswer> {
  const isOwn = url.origin === options.url.origin
  const { body = '' } = options
  const at = `${url.origin}${url.pathname}`
  return new Promise((resolve, reject) => {
    let late: NodeJS.Timeout | undefined
    const end = (act: () => void) => {
      clearTimeout(late)
      act()
    }
    const fail = (why: string, cause?: unknown) => {
      const error = new Error(`${at}: ${why}`, { cause })
      // First, for of a request that has its answer the reason would be lost.
      end(() => reject(error))
      outgoing.destroy(error)
    }
    const failAfter = (timeoutMs: number, why: string) => {
      clearTimeout(late)
      late = setTimeout(() => fail(why), timeoutMs).unref()
    }
    const send = url.protocol === 'https:' ? tlsRequest : request
    const outgoing = send(url, {
      method: options.method,
      headers: {
        ...options.headers,
        ...(isOwn && options.ownHeaders),
        ...(options.method === 'POST' && { 'content-length': String(Buffer.byteLength(body)) }),
      },
      agent: false,
      signal: options.signal,
      ...(url.protocol === 'https:' && isOwn && options.tls),
    })
    if (options.headerTimeoutMs !== undefined) failAfter(options.headerTimeoutMs, 'no answer in time')
    outgoing.on('error', (cause: Error) => fail(cause.message, cause))
    outgoing.on('response', (incoming: IncomingMessage) => {
      failAfter(bodyTimeoutMs, 'the answer takes too long')
      incoming.setTimeout(idleTimeoutMs, () => fail('the answer stopped half-way'))
      const { statusCode: status = 0, headers } = incoming
      readBody(incoming, options.maxBytes).then(
        (content) => end(() => resolve({ status, headers, body: content })),
        (cause: Error) => fail(cause.message, cause),
      )
    })
    outgoing.end(options.body)
  })
}
