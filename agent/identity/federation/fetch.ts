import { isUtf8 } from 'node:buffer'
import type { TLSSocket } from 'node:tls'
import { request } from '#base/http.ts'
import { type HttpAnswer, wholeAnswer } from '#base/http-answer.ts'
import type { Connect } from './connect.ts'

const maxRedirects = 3
const maxBytes = 1 << 20
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/**
 * Asks an endpoint for its bundle. A redirect is followed to a server that is the same by the same proof, and forgotten.
 *
 * @throws Error with what went wrong.
 * @see SPIFFE_Federation.md, 5.2
 */
export async function fetchBundleText(
  url: string,
  { connect, signal }: { readonly connect: Connect; readonly signal: AbortSignal },
): Promise<string> {
  let at = endpointUrl(url)
  for (let hops = 0; ; hops++) {
    const { status, headers, body } = await get(at, await connect(at, signal))
    const { location } = headers
    if (redirects.has(status) && location !== undefined) {
      if (hops === maxRedirects) throw new Error(`more than ${maxRedirects} redirects`)
      at = endpointUrl(location, at)
      continue
    }
    if (status !== 200) throw new Error(`the endpoint answered ${status}`)
    if (!isUtf8(body)) throw new Error('the bundle is not UTF-8')
    return body.toString()
  }
}

/** @throws Error where it is no URL of a bundle endpoint. */
function endpointUrl(text: string, base?: URL): URL {
  if (!URL.canParse(text, base)) throw new Error('a redirect to what is no URL')
  const url = new URL(text, base)
  if (url.protocol !== 'https:') throw new Error(`a bundle endpoint that is ${url.protocol} and not https:`)
  if (url.username !== '' || url.password !== '') throw new Error('a bundle endpoint with user info')
  return url
}

async function get(url: URL, socket: TLSSocket): Promise<HttpAnswer> {
  const asked = request({
    createConnection: () => socket,
    method: 'GET',
    path: url.pathname + url.search,
    headers: { host: url.host, accept: 'application/json', connection: 'close' },
  })
  try {
    return await wholeAnswer(asked, { maxBytes })
  } finally {
    socket.destroy()
  }
}
