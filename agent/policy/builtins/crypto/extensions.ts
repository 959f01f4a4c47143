import { constructed, context, DerReader, tags } from '#crypto/der.ts'
import { type GoUrl, parseUrl } from '../go-url.ts'
import { OperandError } from '../operands.ts'
import { isDomainName } from './domain-name.ts'
import { ia5 } from './name.ts'
import { type NameConstraints, parseNameConstraints } from './name-constraints.ts'

export interface Extension {
  readonly id: readonly number[]
  readonly critical: boolean
  readonly value: Buffer
}

export interface SubjectAltNames {
  readonly dnsNames: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly ipAddresses: readonly Buffer[]
  readonly urls: readonly GoUrl[]
}

export interface PolicyConstraint {
  readonly value: bigint
  readonly isSet: boolean
}

const unset: PolicyConstraint = { value: 0n, isSet: false }

/** What Go reads of a certificate's extensions; a list that is absent is null in its JSON. */
export interface Extensions extends SubjectAltNames {
  keyUsage: number
  basicConstraintsValid: boolean
  isCa: boolean
  maxPathLength: bigint
  extendedKeyUsages: readonly number[]
  unknownExtendedKeyUsages: readonly (readonly number[])[]
  subjectKeyId?: Buffer
  authorityKeyId?: Buffer
  ocspServers: string[]
  issuingCertificateUrls: string[]
  crlDistributionPoints: string[]
  /** The contents of their object identifiers, by which they are compared. */
  policies?: readonly Buffer[]
  policyMappings: readonly { readonly issuer: Buffer; readonly subject: Buffer }[]
  requireExplicitPolicy: PolicyConstraint
  inhibitPolicyMapping: PolicyConstraint
  inhibitAnyPolicy: PolicyConstraint
  nameConstraints?: NameConstraints
  /** Critical ones that nobody understands: the certificate may not be used. */
  unhandled: (readonly number[])[]
}

export const noNames: SubjectAltNames = { dnsNames: [], emailAddresses: [], ipAddresses: [], urls: [] }

/** One extension, `{id, critical, value}`. @throws OperandError */
export function parseExtension(reader: DerReader): Extension {
  const id = reader.oid()
  const critical = reader.nextIs(tags.boolean) ? reader.boolean() : false
  return { id, critical, value: reader.contents(tags.octetString) }
}

/** @throws OperandError where Go refuses the certificate because of one. */
export function parseExtensions(all: readonly Extension[]): Extensions {
  const found: Extensions = {
    ...noNames,
    keyUsage: 0,
    basicConstraintsValid: false,
    isCa: false,
    maxPathLength: 0n,
    extendedKeyUsages: [],
    unknownExtendedKeyUsages: [],
    ocspServers: [],
    issuingCertificateUrls: [],
    crlDistributionPoints: [],
    policyMappings: [],
    requireExplicitPolicy: unset,
    inhibitPolicyMapping: unset,
    inhibitAnyPolicy: unset,
    unhandled: [],
  }
  for (const extension of all) {
    const read = readers.get(extension.id.join('.'))
    const isHandled = read !== undefined && read(found, new DerReader(extension.value), extension) !== false
    if (!isHandled && extension.critical) found.unhandled.push(extension.id)
  }
  return found
}

/** Puts what an extension says into `found`; false where it says nothing that is understood. */
type Reader = (found: Extensions, value: DerReader, extension: Extension) => unknown

const readers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [
    '2.5.29.14',
    (found, value, { critical }) => {
      if (critical) throw new OperandError('a critical subject key identifier')
      found.subjectKeyId = value.contents(tags.octetString)
    },
  ],
  [
    '2.5.29.15',
    (found, value) => {
      const { bytes } = value.bitString()
      // Nine named bits, the first of an octet its highest.
      for (let bit = 0; bit < 9; bit++)
        if (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) found.keyUsage |= 1 << bit
    },
  ],
  ['2.5.29.17', (found, value) => Object.assign(found, parseAltNames(value)) && !hasNoNames(found)],
  [
    '2.5.29.19',
    (found, value) => {
      const constraints = value.inside(tags.sequence)
      found.isCa = constraints.nextIs(tags.boolean) && constraints.boolean()
      const isLimited = constraints.nextIs(tags.integer)
      found.maxPathLength = isLimited ? constraints.int64() : -1n
      if (isLimited && found.maxPathLength < 0n) throw new OperandError('a negative path length')
      found.basicConstraintsValid = true
    },
  ],
  [
    '2.5.29.30',
    (found, value, { critical }) => {
      const { constraints, isUnderstood } = parseNameConstraints(value, critical)
      found.nameConstraints = constraints
      return isUnderstood
    },
  ],
  ['2.5.29.31', (found, value) => readDistributionPoints(found, value)],
  [
    '2.5.29.32',
    (found, value) => {
      const policies = items(value).map((policy) => oidContents(policy.inside(tags.sequence)))
      if (new Set(policies.map((each) => each.toString('latin1'))).size < policies.length)
        throw new OperandError('a policy twice')
      found.policies = policies
    },
  ],
  [
    '2.5.29.33',
    (found, value) => {
      found.policyMappings = items(value).map((mapping) => {
        const pair = mapping.inside(tags.sequence)
        return { issuer: pair.contents(tags.oid), subject: pair.contents(tags.oid) }
      })
    },
  ],
  [
    '2.5.29.35',
    (found, value, { critical }) => {
      if (critical) throw new OperandError('a critical authority key identifier')
      const identifier = value.inside(tags.sequence)
      if (identifier.nextIs(context(0))) found.authorityKeyId = identifier.contents(context(0))
    },
  ],
  [
    '2.5.29.36',
    (found, value) => {
      const constraints = value.inside(tags.sequence)
      if (constraints.nextIs(context(0)))
        found.requireExplicitPolicy = { value: constraints.int64(context(0)), isSet: true }
      if (constraints.nextIs(context(1)))
        found.inhibitPolicyMapping = { value: constraints.int64(context(1)), isSet: true }
    },
  ],
  [
    '2.5.29.37',
    (found, value) => {
      const usages = items(value).map((usage) => usage.oid())
      const known = usages.map((usage) => extendedKeyUsageOids.indexOf(usage.join('.')))
      found.extendedKeyUsages = known.filter((number) => number !== -1)
      found.unknownExtendedKeyUsages = usages.filter((_, index) => known[index] === -1)
    },
  ],
  [
    '2.5.29.54',
    (found, value) => {
      found.inhibitAnyPolicy = { value: value.int64(), isSet: true }
    },
  ],
  [
    '1.3.6.1.5.5.7.1.1',
    (found, value, { critical }) => {
      if (critical) throw new OperandError('a critical authority information access')
      for (const item of items(value)) {
        const access = item.inside(tags.sequence)
        const method = access.oid().join('.')
        if (!access.nextIs(context(6))) continue
        const location = access.contents(context(6)).toString()
        if (method === '1.3.6.1.5.5.7.48.1') found.ocspServers.push(location)
        if (method === '1.3.6.1.5.5.7.48.2') found.issuingCertificateUrls.push(location)
      }
    },
  ],
])

/** By their number in Go's `x509.ExtKeyUsage`. */
const extendedKeyUsageOids: readonly string[] = [
  '2.5.29.37.0',
  ...Array.from({ length: 9 }, (_, index) => `1.3.6.1.5.5.7.3.${index + 1}`),
  '1.3.6.1.4.1.311.10.3.3',
  '2.16.840.1.113730.4.1',
  '1.3.6.1.4.1.311.2.1.22',
  '1.3.6.1.4.1.311.61.1.1',
]

/** A reader at each element of a sequence. */
function items(value: DerReader): DerReader[] {
  const sequence = value.inside(tags.sequence)
  const found: DerReader[] = []
  while (!sequence.isEmpty) found.push(new DerReader(sequence.any().whole))
  return found
}

function oidContents(reader: DerReader): Buffer {
  const contents = reader.contents(tags.oid)
  const isMinimal = contents.every((octet, index) => octet !== 0x80 || (contents[index - 1] ?? 0) >= 0x80)
  if (contents.length === 0 || (contents.at(-1) as number) >= 0x80 || !isMinimal)
    throw new OperandError('a malformed policy')
  return contents
}

function readDistributionPoints(found: Extensions, value: DerReader): void {
  for (const item of items(value)) {
    const names = item.inside(tags.sequence).optional(constructed(0))?.inside(constructed(0))
    while (names?.nextIs(context(6))) found.crlDistributionPoints.push(names.contents(context(6)).toString())
  }
}

/** Subject alternative names. @throws OperandError */
export function parseAltNames(value: DerReader): SubjectAltNames {
  const [dnsNames, emailAddresses, ipAddresses, urls]: [string[], string[], Buffer[], GoUrl[]] = [
    [],
    [],
    [],
    [],
  ]
  const names = value.inside(tags.sequence)
  while (!names.isEmpty) {
    const { tag, contents } = names.any()
    if (tag === context(1)) emailAddresses.push(ia5(contents))
    if (tag === context(2)) dnsNames.push(ia5(contents))
    if (tag === context(6)) urls.push(namedUrl(ia5(contents)))
    if (tag !== context(7)) continue
    if (contents.length !== 4 && contents.length !== 16)
      throw new OperandError('an address of another length')
    ipAddresses.push(contents)
  }
  return { dnsNames, emailAddresses, ipAddresses, urls }
}

function namedUrl(text: string): GoUrl {
  const url = parseUrl(text)
  if (url.host !== '' && !isDomainName(url.host, false)) throw new OperandError('a URL with an invalid host')
  return url
}

function hasNoNames({ dnsNames, emailAddresses, ipAddresses, urls }: SubjectAltNames): boolean {
  return dnsNames.length + emailAddresses.length + ipAddresses.length + urls.length === 0
}
