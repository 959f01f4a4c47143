import { isIPv4, SocketAddress } from 'node:net'

const maxNameBytes = 253

/**
 * Whether an authority is one host with at most a port, written so that every reader finds the same host in it: letters in
 * either case, digits, `-`, `_` and `.`, or an address in its canonical form. No user, no escapes, no trailing dot.
 *
 * @returns why not, or `undefined`.
 * @see RFC 9110, sections 4.2.3 and 7.2; RFC 5952 for IPv6
 */
export function authorityFault(authority: string): string | undefined {
  if (authority === '') return 'is empty'
  if (authority.charCodeAt(0) === 0x5b) return literalFault(authority)
  const colon = authority.indexOf(':')
  const name = colon === -1 ? authority : authority.slice(0, colon)
  return nameFault(name) ?? (colon === -1 ? undefined : portFault(authority.slice(colon + 1)))
}

function nameFault(name: string): string | undefined {
  if (name === '') return 'has no host'
  if (name.length > maxNameBytes) return `is longer than ${maxNameBytes} bytes`
  let before = dot
  let labelStart = 0
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    if (code === dot) {
      if (before === dot) return 'has an empty label'
      labelStart = i + 1
    } else if (!isNameByte(code)) return 'has a byte that no host has'
    before = code
  }
  if (before === dot) return 'has a trailing dot'
  // A last label like a number makes it an address to many readers (127.1, 0x7f000001), and not to others.
  const last = name.charCodeAt(labelStart)
  return last >= 0x30 && last <= 0x39 && isNumeric(name.slice(labelStart)) && !isIPv4(name)
    ? 'is an address that is not in canonical form'
    : undefined
}

const dot = 0x2e

function isNameByte(code: number): boolean {
  const folded = code | 0x20
  return (
    (folded >= 0x61 && folded <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f
  )
}

function isNumeric(label: string): boolean {
  return /^(?:\d+|0[xX][\da-fA-F]*)$/.test(label)
}

/** `[IPv6]`, perhaps with a port. */
function literalFault(authority: string): string | undefined {
  const end = authority.indexOf(']')
  const address = authority.slice(1, end).toLowerCase()
  if (end === -1 || address !== canonicalIpv6(address)) return 'is an address that is not in canonical form'
  const rest = authority.slice(end + 1)
  if (rest === '') return undefined
  return rest.startsWith(':') ? portFault(rest.slice(1)) : 'has something behind its address'
}

/** @returns `undefined` where it is no IPv6 address, or one with a zone. */
function canonicalIpv6(text: string): string | undefined {
  if (!/^[\da-f:.]{2,45}$/.test(text)) return undefined
  return SocketAddress.parse(`[${text}]:1`)?.address
}

function portFault(port: string): string | undefined {
  return /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535 ? undefined : 'has a port that is none'
}
