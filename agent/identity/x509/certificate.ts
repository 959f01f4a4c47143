import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import { MalformedError } from '#base/malformed.ts'
import { constructed, context, DerReader, tags } from '#crypto/der.ts'
import { algorithmIdentifier, type KeyKind, keyKinds } from '#crypto/x509/algorithm.ts'
import { type SignatureAlgorithm, signatureAlgorithm } from '#crypto/x509/signature-algorithm.ts'
import { parseProfiledTime } from '#crypto/x509/time.ts'
import { type NameConstraints, parseNameConstraints } from './name-constraints.ts'

/** Extensions of RFC 5280, 4.2.1, that are understood here. */
const oids = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyId: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
} as const

/** Named bits of a key usage, as RFC 5280, 4.2.1.3 numbers them. */
export const keyUsages = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const

/** One name of a subject alternative name: its context tag and its octets as Latin-1 text. */
export interface AltName {
  /** 1 mail address, 2 DNS name, 6 URI, 7 IP address. */
  readonly tag: number
  readonly text: string
}

/** A certificate as far as an X509-SVID and its chain are judged. */
export interface Certificate {
  readonly der: Buffer
  /** Lower-case hex SHA-256 of the DER. */
  readonly sha256: string
  /** Lower-case hex, as OpenSSL prints it. */
  readonly serial: string
  readonly tbs: Buffer
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly hasSubject: boolean
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly spki: Buffer
  /** `undefined` where the kind of key is not known. */
  readonly keyKind: KeyKind | undefined
  /** Made when first asked for. @throws what OpenSSL says of a key that is none. */
  readonly publicKey: () => KeyObject
  readonly signature: Buffer
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly isCa: boolean
  /** How many CA certificates may stand between this one and a leaf; `undefined` where any number may. */
  readonly maxPathLength: number | undefined
  /** `undefined` where there is no such extension. */
  readonly keyUsage: { readonly isCritical: boolean; readonly bits: ReadonlySet<number> } | undefined
  /** Object identifiers; `undefined` where there is no such extension. */
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly altNames: readonly AltName[]
  readonly isAltNameCritical: boolean
  readonly subjectKeyId: Buffer | undefined
  readonly authorityKeyId: Buffer | undefined
  readonly nameConstraints: NameConstraints | undefined
  /** Critical extensions that nobody here understands: the certificate may not be used. */
  readonly unknownCritical: readonly string[]
}

/** What no workload's certificate comes near. */
const maxDerBytes = 16_384

/**
 * Reads exactly one certificate in the distinguished encoding: lengths, integers and booleans in their one form, no
 * extension twice, nothing behind it. What is laxer than that, two readers may understand differently.
 *
 * @throws MalformedError
 * @see RFC 5280, 4.1
 */
export function parseCertificate(der: Buffer): Certificate {
  if (der.length > maxDerBytes) throw new MalformedError('a certificate of over 16 KiB')
  const reader = new DerReader(der)
  const outer = reader.inside(tags.sequence)
  if (!reader.isEmpty) throw new MalformedError('something after a certificate')
  const { whole: tbs, contents } = outer.element(tags.sequence)
  const fields = new DerReader(contents)
  const version = fields.optional(constructed(0))?.int64() ?? 0n
  if (version !== 2n) throw new MalformedError('not a version 3 certificate')
  const serial = fields.contents(tags.integer)
  if (serial.length === 0 || serial.length > 21 || (serial[0] as number) >= 0x80)
    throw new MalformedError('a serial number that is negative or too long')
  const innerAlgorithm = fields.element(tags.sequence)
  const { whole: issuer } = fields.element(tags.sequence)
  const validity = fields.inside(tags.sequence)
  const [notBeforeMs, notAfterMs] = [parseProfiledTime(validity), parseProfiledTime(validity)]
  if (!validity.isEmpty) throw new MalformedError('a validity of more than two times')
  const { whole: subject, contents: subjectContents } = fields.element(tags.sequence)
  const { whole: spki, contents: spkiContents } = fields.element(tags.sequence)
  for (const unique of [context(1), context(2)]) if (fields.nextIs(unique)) fields.any()
  const extensions = fields.optional(constructed(3))?.inside(tags.sequence)
  if (!fields.isEmpty) throw new MalformedError('something after the extensions')
  const outerAlgorithm = outer.element(tags.sequence)
  if (!outerAlgorithm.whole.equals(innerAlgorithm.whole)) throw new MalformedError('two signature algorithms')
  const signature = outer.bitString()
  if (!outer.isEmpty || signature.unused !== 0) throw new MalformedError('a signature that is none')
  const keyKind = keyKinds.get(
    algorithmIdentifier(new DerReader(spkiContents).inside(tags.sequence)).algorithm,
  )
  let made: KeyObject | undefined
  return {
    ...{ der, tbs, issuer, subject, spki, keyKind },
    sha256: hash('sha256', der, 'hex'),
    // Without the octet that only says that the number is positive.
    serial: (serial[0] === 0 && serial.length > 1 ? serial.subarray(1) : serial).toString('hex'),
    hasSubject: subjectContents.length > 0,
    notBeforeMs,
    notAfterMs,
    publicKey: () => {
      made ??= createPublicKey({ key: spki, format: 'der', type: 'spki' })
      return made
    },
    signature: signature.bytes,
    signatureAlgorithm: signatureAlgorithm(algorithmIdentifier(new DerReader(outerAlgorithm.contents))),
    ...readExtensions(extensions),
  }
}

type Said = Pick<
  Certificate,
  | 'isCa'
  | 'maxPathLength'
  | 'keyUsage'
  | 'extendedKeyUsage'
  | 'altNames'
  | 'isAltNameCritical'
  | 'subjectKeyId'
  | 'authorityKeyId'
  | 'nameConstraints'
>

const nothing: Said = {
  isCa: false,
  maxPathLength: undefined,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  altNames: [],
  isAltNameCritical: false,
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  nameConstraints: undefined,
}

function readExtensions(list: DerReader | undefined): Said & Pick<Certificate, 'unknownCritical'> {
  const said: { -readonly [K in keyof Said]: Said[K] } = { ...nothing }
  const seen = new Set<string>()
  const unknownCritical: string[] = []
  while (list?.isEmpty === false) {
    const extension = list.inside(tags.sequence)
    const id = extension.oid().join('.')
    if (seen.has(id)) throw new MalformedError(`the extension ${id} stands twice`)
    seen.add(id)
    const isCritical = extension.nextIs(tags.boolean) ? extension.boolean() : false
    const value = new DerReader(extension.contents(tags.octetString))
    if (!extension.isEmpty) throw new MalformedError(`the extension ${id} is no extension`)
    const read = readers[id]
    if (read === undefined) {
      if (isCritical) unknownCritical.push(id)
      continue
    }
    read(said, value, isCritical)
    if (!value.isEmpty) throw new MalformedError(`the extension ${id} has something behind it`)
  }
  return { ...said, unknownCritical }
}

type Reader = (said: { -readonly [K in keyof Said]: Said[K] }, value: DerReader, isCritical: boolean) => void

const readers: Readonly<Record<string, Reader>> = {
  [oids.subjectKeyId]: (said, value) => {
    said.subjectKeyId = value.contents(tags.octetString)
  },
  [oids.authorityKeyId]: (said, value) => {
    const fields = value.inside(tags.sequence)
    if (fields.nextIs(context(0))) said.authorityKeyId = fields.contents(context(0))
  },
  [oids.keyUsage]: (said, value, isCritical) => {
    const { bytes } = value.bitString()
    const bits = new Set<number>()
    // The first of an octet is its highest.
    for (let bit = 0; bit < bytes.length * 8; bit++)
      if (((bytes[bit >> 3] as number) >> (7 - (bit & 7))) & 1) bits.add(bit)
    said.keyUsage = { isCritical, bits }
  },
  [oids.extKeyUsage]: (said, value) => {
    const list = value.inside(tags.sequence)
    const found: string[] = []
    while (!list.isEmpty) found.push(list.oid().join('.'))
    said.extendedKeyUsage = found
  },
  [oids.basicConstraints]: (said, value) => {
    const fields = value.inside(tags.sequence)
    said.isCa = fields.nextIs(tags.boolean) ? fields.boolean() : false
    if (fields.isEmpty) return
    const length = fields.int64()
    if (length < 0n || length > 255n || !fields.isEmpty)
      throw new MalformedError('a path length that is none')
    said.maxPathLength = Number(length)
  },
  [oids.subjectAltName]: (said, value, isCritical) => {
    const list = value.inside(tags.sequence)
    const found: AltName[] = []
    while (!list.isEmpty) {
      const { tag, contents } = list.any()
      if ((tag & 0xc0) !== 0x80) throw new MalformedError('an alternative name that is none')
      found.push({ tag: tag & 0x1f, text: contents.toString('latin1') })
    }
    said.altNames = found
    said.isAltNameCritical = isCritical
  },
  [oids.nameConstraints]: (said, value) => {
    said.nameConstraints = parseNameConstraints(value)
  },
}
