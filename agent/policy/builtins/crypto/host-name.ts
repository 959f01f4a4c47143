import { isIP } from 'node:net'
import type { Certificate } from './certificate.ts'
import { lowerAscii } from './domain-name.ts'

/**
 * Whether a certificate names a host, `example.com` or an address, which may stand in brackets: Go's `VerifyHostname`. The
 * common name says nothing.
 *
 * @see RFC 6125
 */
export function isNamed(certificate: Certificate, host: string): boolean {
  const inner = host.length >= 3 && host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const address = inner.includes('%') ? undefined : addressBytes(inner)
  if (address !== undefined) return certificate.said.ipAddresses.some((each) => sixteen(each).equals(address))
  const name = lowerAscii(host)
  const isHost = isHostName(name, false)
  const labels = name.replace(/\.$/, '').split('.')
  return certificate.said.dnsNames.some((pattern) => {
    const lower = lowerAscii(pattern)
    if (!isHost || !isHostName(lower, true)) return lower === name && name !== '' && name !== '.'
    const wanted = lower.split('.')
    return (
      wanted.length === labels.length &&
      wanted.every((label, index) => (index === 0 && label === '*') || label === labels[index])
    )
  })
}

function isHostName(host: string, isPattern: boolean): boolean {
  const plain = isPattern ? host : host.replace(/\.$/, '')
  if (plain === '' || plain === '*') return false
  return plain
    .split('.')
    .every(
      (label, index) => (isPattern && index === 0 && label === '*') || /^[a-z0-9_][a-z0-9_-]*$/.test(label),
    )
}

const mapped = Buffer.from('00000000000000000000ffff', 'hex')

function sixteen(address: Buffer): Buffer {
  return address.length === 4 ? Buffer.concat([mapped, address]) : address
}

/** Sixteen octets of either family. */
function addressBytes(text: string): Buffer | undefined {
  const family = isIP(text)
  if (family === 0) return undefined
  if (family === 4) return sixteen(Buffer.from(text.split('.').map(Number)))
  // WHATWG writes every IPv6 address in hexadecimal groups.
  const groups = new URL(`http://[${text}]`).hostname.slice(1, -1)
  const [head = '', tail] = groups.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return Buffer.from([...left, ...middle, ...right].map((group) => group.padStart(4, '0')).join(''), 'hex')
}
