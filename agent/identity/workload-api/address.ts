import { isIP } from 'node:net'

/** Where a Workload API is: the one spelling of each place that gRPC is given. */
export type EndpointAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

export type ParsedAddress =
  | { readonly ok: true; readonly address: EndpointAddress }
  | { readonly ok: false; readonly why: string }

/** `sun_path` of Linux, without the zero at its end. */
const maxPathBytes = 107

/**
 * Reads a SPIFFE endpoint socket: `unix:///absolute/path`, or `tcp://` with an IP address and a port. No names, no user,
 * no query, no fragment: whoever answers there says who we are.
 *
 * @see SPIFFE_Workload_Endpoint.md, 4
 */
export function parseEndpointAddress(text: string): ParsedAddress {
  if (text.startsWith('unix:')) return parseUnix(text.slice('unix:'.length))
  if (text.startsWith('tcp:')) return parseTcp(text.slice('tcp:'.length))
  return no('neither unix:// nor tcp://')
}

/** What gRPC calls it: `unix:/path`, `ip:port`. */
export function grpcTarget(address: EndpointAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const { host, port } = address
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

const no = (why: string): ParsedAddress => ({ ok: false, why })

function parseUnix(rest: string): ParsedAddress {
  if (rest.includes('?')) return no('a query')
  if (rest.includes('#')) return no('a fragment')
  if (rest.startsWith('//') && !rest.startsWith('///')) return no('something before the path')
  const encoded = rest.startsWith('//') ? rest.slice(2) : rest
  if (!encoded.startsWith('/') || encoded.startsWith('//')) return no('not an absolute path')
  let path: string
  try {
    path = decodeURIComponent(encoded)
  } catch {
    return no('a % that encodes nothing')
  }
  if (path === '/') return no('no path')
  for (let i = 0; i < path.length; i++) if (path.charCodeAt(i) < 0x20) return no('a control character')
  if (Buffer.byteLength(path) > maxPathBytes) return no(`a path of more than ${maxPathBytes} bytes`)
  return { ok: true, address: { kind: 'unix', path } }
}

function parseTcp(rest: string): ParsedAddress {
  if (!rest.startsWith('//')) return no('no // before the address')
  const authority = rest.slice(2)
  if (authority.includes('@')) return no('a user')
  if (authority.includes('?')) return no('a query')
  if (authority.includes('#')) return no('a fragment')
  if (authority.includes('/')) return no('a path')
  const colon = authority.lastIndexOf(':')
  const [name, port] =
    colon === -1 ? [authority, ''] : [authority.slice(0, colon), authority.slice(colon + 1)]
  const isBracketed = name.startsWith('[') && name.endsWith(']')
  const host = isBracketed ? name.slice(1, -1) : name
  if (host.includes('%') || isIP(host) !== (isBracketed ? 6 : 4)) return no('not an IP address and a port')
  if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535) return no('no port from 1 to 65535')
  return { ok: true, address: { kind: 'tcp', host, port: Number(port) } }
}
