import { isIP } from 'node:net'
import { constructed, context, DerReader, tags } from '#crypto/der.ts'
import { OperandError } from '../operands.ts'
import { isDomainName, lowerAscii, type Mailbox, parseMailbox } from './domain-name.ts'
import type { SubjectAltNames } from './extensions.ts'
import { ia5 } from './name.ts'

export interface AddressRange {
  readonly address: Buffer
  readonly mask: Buffer
}

interface Subtrees {
  readonly dnsDomains: string[]
  readonly ipRanges: AddressRange[]
  readonly emailAddresses: string[]
  readonly uriDomains: string[]
}

export interface NameConstraints {
  readonly isCritical: boolean
  readonly permitted: Subtrees
  readonly excluded: Subtrees
}

/** @throws OperandError @see RFC 5280, 4.2.1.10 */
export function parseNameConstraints(
  value: DerReader,
  isCritical: boolean,
): { readonly constraints: NameConstraints; readonly isUnderstood: boolean } {
  const all = value.inside(tags.sequence)
  const permitted = all.nextIs(constructed(0)) ? all.contents(constructed(0)) : undefined
  const excluded = all.nextIs(constructed(1)) ? all.contents(constructed(1)) : undefined
  const isEmpty = (permitted?.length ?? 0) + (excluded?.length ?? 0) === 0
  if (!value.isEmpty || !all.isEmpty || isEmpty) throw new OperandError('malformed name constraints')
  const [left, right] = [parseSubtrees(permitted), parseSubtrees(excluded)]
  return {
    constraints: { isCritical, permitted: left.subtrees, excluded: right.subtrees },
    isUnderstood: left.isUnderstood && right.isUnderstood,
  }
}

function parseSubtrees(bytes: Buffer = Buffer.alloc(0)): { subtrees: Subtrees; isUnderstood: boolean } {
  const subtrees: Subtrees = { dnsDomains: [], ipRanges: [], emailAddresses: [], uriDomains: [] }
  let isUnderstood = true
  const reader = new DerReader(bytes)
  while (!reader.isEmpty) {
    const { tag, contents } = reader.inside(tags.sequence).any()
    if (tag === context(1)) subtrees.emailAddresses.push(mailConstraint(ia5(contents)))
    else if (tag === context(2)) subtrees.dnsDomains.push(domainConstraint(ia5(contents)))
    else if (tag === context(6)) subtrees.uriDomains.push(uriConstraint(ia5(contents)))
    else if (tag === context(7)) subtrees.ipRanges.push(addressRange(contents))
    else isUnderstood = false
  }
  return { subtrees, isUnderstood }
}

function domainConstraint(domain: string): string {
  if (!isDomainName(domain, true)) throw new OperandError('a malformed domain in a constraint')
  return domain
}

function uriConstraint(domain: string): string {
  if (isIP(domain) !== 0) throw new OperandError('an address in a URI constraint')
  return domainConstraint(domain)
}

function mailConstraint(mail: string): string {
  if (!mail.includes('@')) return domainConstraint(mail)
  if (parseMailbox(mail) === undefined) throw new OperandError('a malformed mailbox in a constraint')
  return mail
}

function addressRange(contents: Buffer): AddressRange {
  const half = contents.length / 2
  if (half !== 4 && half !== 16) throw new OperandError('an address range of another length')
  const [address, mask] = [contents.subarray(0, half), contents.subarray(half)]
  const bits = [...mask].map((octet) => octet.toString(2).padStart(8, '0')).join('')
  if (!/^1*0*$/.test(bits)) throw new OperandError('a mask with a gap')
  return { address, mask }
}

/** Names and constraints of one chain are compared at most so often, for a chain may be made to be slow. */
export const maxComparisons = 250_000

/** What of a certificate in a chain is looked at. */
export interface NamedCertificate extends SubjectAltNames {
  readonly hasAltNames: boolean
  readonly nameConstraints?: NameConstraints
}

/** Comparisons that are left. */
interface Budget {
  left: number
}

/**
 * Whether every name in a chain, leaf first, is one that the certificates above it may vouch for. False where a name
 * cannot be read or there is too much to compare.
 */
export function areNamesPermitted(chain: readonly NamedCertificate[], budget: Budget): boolean {
  return chain.every((certificate, index) => {
    const above = chain.slice(index + 1).flatMap(({ nameConstraints }) => nameConstraints ?? [])
    if (!certificate.hasAltNames || above.length === 0) return true
    const mailboxes = certificate.emailAddresses.map(parseMailbox)
    const hosts = certificate.urls.map(({ host }) => hostName(host))
    if (mailboxes.includes(undefined) || hosts.includes(undefined)) return false
    const names = { ...certificate, mailboxes: mailboxes as Mailbox[], hosts: hosts as string[] }
    return above.every((constraints) => permits(constraints, names, budget))
  })
}

interface Names {
  readonly ipAddresses: readonly Buffer[]
  readonly dnsNames: readonly string[]
  readonly hosts: readonly string[]
  readonly mailboxes: readonly Mailbox[]
}

function permits(constraints: NameConstraints, names: Names, budget: Budget): boolean {
  const { permitted, excluded } = constraints
  function isAllowed<T>(
    allowed: readonly T[],
    refused: readonly T[],
    matches: (each: T, isExcluded: boolean) => boolean,
  ) {
    budget.left -= allowed.length + refused.length
    if (budget.left < 0) return false
    if (allowed.length > 0 && !allowed.some((each) => matches(each, false))) return false
    return !refused.some((each) => matches(each, true))
  }
  const isDomainAllowed = (name: string, allowed: readonly string[], refused: readonly string[]) =>
    isDomainName(name, false) && isAllowed(allowed, refused, (domain, is) => isWithin(name, domain, is))
  return (
    names.ipAddresses.every((address) =>
      isAllowed(permitted.ipRanges, excluded.ipRanges, (range) => isInRange(address, range)),
    ) &&
    names.dnsNames.every((name) => isDomainAllowed(name, permitted.dnsDomains, excluded.dnsDomains)) &&
    names.hosts.every((name) => isDomainAllowed(name, permitted.uriDomains, excluded.uriDomains)) &&
    names.mailboxes.every(
      (mailbox) =>
        isDomainName(mailbox.domain, false) &&
        isAllowed(permitted.emailAddresses, excluded.emailAddresses, (each, is) =>
          isMailOf(mailbox, each, is),
        ),
    )
  )
}

function isInRange(address: Buffer, range: AddressRange): boolean {
  // As in Go, an IPv4 address in an IPv6 one is in no range of IPv6, be it all of it.
  if (address.length !== range.address.length || isMapped(address) !== isMapped(range.address)) return false
  return address.every(
    (octet, index) => ((octet ^ (range.address[index] as number)) & (range.mask[index] as number)) === 0,
  )
}

function isMapped(address: Buffer): boolean {
  return address.length === 16 && address.readBigUInt64BE(0) === 0n && address.readUInt32BE(8) === 0xffff
}

/** Whether a name is a domain or below it; a domain that begins with a dot is none of its own. */
function isWithin(name: string, domain: string, isExcluded: boolean): boolean {
  if (domain === '') return true
  const [lower, wanted] = [lowerAscii(name), lowerAscii(domain)]
  if (lower === wanted || lower.endsWith(wanted.startsWith('.') ? wanted : `.${wanted}`)) return true
  // A wildcard may stand for an excluded name.
  const dot = wanted.indexOf('.')
  return (
    isExcluded &&
    /^\*[^.]*\./.test(lower) &&
    dot !== -1 &&
    lower.slice(lower.indexOf('.')) === wanted.slice(dot)
  )
}

function isMailOf(mailbox: Mailbox, constraint: string, isExcluded: boolean): boolean {
  if (!constraint.includes('@')) return isWithin(mailbox.domain, constraint, isExcluded)
  const wanted = parseMailbox(constraint)
  return mailbox.local === wanted?.local && lowerAscii(mailbox.domain) === lowerAscii(wanted.domain)
}

/** The name in a URL's host, undefined where there is none or it is an address: no constraint could be asked about it. */
function hostName(host: string): string | undefined {
  const name = host.includes(':') && !host.endsWith(']') ? withoutPort(host) : host
  if (name === undefined || host === '' || name.startsWith('[') || isIP(name) !== 0) return undefined
  return name
}

/** Go's `net.SplitHostPort`; undefined where it fails. */
function withoutPort(host: string): string | undefined {
  const colon = host.lastIndexOf(':')
  const name = host.slice(0, colon)
  if (name.startsWith('[')) return name
  return /[:[\]]/.test(name) ? undefined : name
}
