import { isUtf8 } from 'node:buffer'
import type { TLSSocket } from 'node:tls'
import { request } from '#base/http.ts'
import type { Connect } from './connect.ts'

const maxRedirects = 3
const maxBytes = 1 << 20
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

interface Answer {
  readonly status: number
  readonly location: string | undefined
  readonly body: Buffer
}

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
    const { status, location, body } = await get(at, await connect(at, signal))
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

function get(url: URL, socket: TLSSocket): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({
      createConnection: () => socket,
      method: 'GET',
      path: url.pathname + url.search,
      headers: { host: url.host, accept: 'application/json', connection: 'close' },
    })
    asked.once('error', reject)
    asked.once('response', (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        chunks.push(chunk)
        if (size > maxBytes) response.destroy(new Error('a bundle of over 1 MiB'))
      })
      response.once('error', reject)
      response.once('close', () => {
        if (!response.complete) return reject(new Error('the answer was cut off'))
        const { statusCode: status = 0, headers } = response
        socket.destroy()
        resolve({ status, location: headers.location, body: Buffer.concat(chunks) })
      })
    })
    asked.end()
  })
}
