import { isUtf8 } from 'node:buffer'
import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { messageOf } from '#base/errors.ts'
import { request, tlsRequest } from '#base/http.ts'
import { wholeAnswer } from '#base/http-answer.ts'
import { maxJwkSetBytes } from '#crypto/jose/jwk-set.ts'
import { reachOf } from './address.ts'
import type { Document, FetchDocument } from './source.ts'

export interface FetchOptions {
  /** `host` or, off the default port, `host:port`. */
  readonly allowedHosts: ReadonlySet<string>
  readonly allowPrivateAddresses: boolean
  /** PEM; without it the public CAs. */
  readonly ca?: (() => string | undefined) | undefined
  readonly timeoutMs?: number
  readonly lookup?: typeof systemLookup
}

const defaultTimeoutMs = 5000

/**
 * Fetches documents from servers of keys and nowhere else: over TLS, from hosts that are allowed, at addresses that are
 * looked at after the name was resolved and just before they are connected to. A redirect is a failure.
 */
export function createFetch(options: FetchOptions): FetchDocument {
  return async (text, signal) => {
    const url = URL.parse(text)
    if (url === null) throw new Error('not a URL')
    const at = `${url.origin}${url.pathname}`
    const fault = urlFault(url, options)
    if (fault !== undefined) throw new Error(`${at}: ${fault}`)
    try {
      return await receive(url, options, signal)
    } catch (cause) {
      throw new Error(`${at}: ${messageOf(cause)}`, { cause })
    }
  }
}

function urlFault(url: URL, { allowedHosts, allowPrivateAddresses }: FetchOptions): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (url.username !== '' || url.password !== '') return 'a user in the URL'
  if (!allowedHosts.has(url.host)) return `${url.host} is not one of the allowed hosts`
  if (isIP(host) !== 0) {
    const fault = addressFault(host, allowPrivateAddresses)
    if (fault !== undefined) return fault
  }
  if (url.protocol === 'https:') return undefined
  // Nobody can listen to what stays in the pod.
  return url.protocol === 'http:' && allowPrivateAddresses && (host === '127.0.0.1' || host === '::1')
    ? undefined
    : 'not https'
}

function addressFault(address: string, allowPrivateAddresses: boolean): string | undefined {
  const reach = reachOf(address)
  if (reach === 'public' || (reach === 'private' && allowPrivateAddresses)) return undefined
  return `the address ${address} is ${reach === 'private' ? 'private (allowPrivateAddresses)' : 'forbidden'}`
}

/** Resolves, and gives on what may be connected to: nobody resolves the name again. */
function guardedLookup({ lookup = systemLookup, allowPrivateAddresses }: FetchOptions): LookupFunction {
  return (hostname, { family, all }, callback) => {
    const options = { all: true, ...(family !== undefined && { family }) } as const
    lookup(hostname, options, (error, found: LookupAddress[]) => {
      if (error !== null) return callback(error, [])
      const faults = found.map(({ address }) => addressFault(address, allowPrivateAddresses))
      const fault =
        faults.find((each) => each !== undefined) ?? (found.length === 0 ? 'no address' : undefined)
      // One that may not be is enough: who answers so means no good.
      if (fault !== undefined) return callback(new Error(fault), [])
      const [first] = found
      if (all === true) callback(null, found)
      else callback(null, first?.address ?? '', first?.family)
    })
  }
}

async function receive(url: URL, options: FetchOptions, signal: AbortSignal): Promise<Document> {
  const ca = options.ca?.()
  const asked = (url.protocol === 'https:' ? tlsRequest : request)(url, {
    agent: false,
    signal,
    lookup: guardedLookup(options),
    headers: { accept: 'application/jwk-set+json, application/json', 'user-agent': 'sluice' },
    // Not to be switched off by the environment.
    ...(url.protocol === 'https:' && { rejectUnauthorized: true, ...(ca !== undefined && { ca }) }),
  })
  const { timeoutMs: deadlineMs = defaultTimeoutMs } = options
  const { status, headers, body } = await wholeAnswer(asked, { deadlineMs, maxBytes: maxJwkSetBytes })
  if (status !== 200) throw new Error(`the server answered ${status}`)
  if ((headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new Error('an encoding that was not asked for')
  if (!isUtf8(body)) throw new Error('not UTF-8')
  return { text: body.toString(), maxAgeSeconds: maxAge(headers['cache-control']) }
}

/** @see RFC 9111, 5.2.2.1 */
function maxAge(header: string | undefined): number | undefined {
  for (const directive of (header ?? '').split(',')) {
    const found = /^\s*max-age=(\d{1,10})\s*$/i.exec(directive)
    if (found !== null) return Number(found[1])
  }
  return undefined
}
