import { constructed, context, DerReader, rightAligned, tags } from '#crypto/der.ts'
import { algorithmIdentifier, keyKinds } from '#crypto/x509/algorithm.ts'
import { signatureAlgorithm } from '#crypto/x509/signature-algorithm.ts'
import { type CertificateTime, parseTime } from '#crypto/x509/time.ts'
import { OperandError } from '../operands.ts'
import { type Extension, type Extensions, parseExtension, parseExtensions } from './extensions.ts'
import { type Attribute, parseName } from './name.ts'
import { type PublicKey, parsePublicKey, publicKeyAlgorithms } from './public-key.ts'

/** A certificate as Go's `x509.ParseCertificate` reads it. */
export interface Certificate {
  readonly raw: Buffer
  readonly rawTbs: Buffer
  readonly rawSpki: Buffer
  readonly rawIssuer: Buffer
  readonly rawSubject: Buffer
  readonly version: number
  readonly serialNumber: bigint
  readonly signature: Buffer
  readonly signatureAlgorithm: ReturnType<typeof signatureAlgorithm>
  readonly publicKeyAlgorithm: number
  /** Undefined where the kind is not known. */
  readonly publicKey?: PublicKey
  readonly issuer: readonly Attribute[]
  readonly subject: readonly Attribute[]
  readonly notBefore: CertificateTime
  readonly notAfter: CertificateTime
  readonly extensions: readonly Extension[]
  readonly said: Extensions
}

/** One or more certificates without anything between them. @throws OperandError */
export function parseCertificates(der: Buffer): Certificate[] {
  const reader = new DerReader(der)
  const found: Certificate[] = []
  while (!reader.isEmpty) found.push(parseCertificate(reader.element(tags.sequence).whole))
  return found
}

/** Exactly one. @throws OperandError where Go refuses it. @see RFC 5280, 4.1 */
export function parseCertificate(der: Buffer): Certificate {
  const whole = new DerReader(der)
  const { whole: raw, contents } = whole.element(tags.sequence)
  if (!whole.isEmpty) throw new OperandError('something after a certificate')
  const outer = new DerReader(contents)
  const { whole: rawTbs, contents: tbsContents } = outer.element(tags.sequence)
  const tbs = new DerReader(tbsContents)
  const version = parseVersion(tbs)
  const serialNumber = tbs.integer()
  if (serialNumber < 0n) throw new OperandError('a negative serial number')
  const algorithm = tbs.contents(tags.sequence)
  if (!outer.contents(tags.sequence).equals(algorithm)) throw new OperandError('two signature algorithms')
  const signatureIdentifier = algorithmIdentifier(new DerReader(algorithm))
  const { whole: rawIssuer } = tbs.element(tags.sequence)
  const issuer = parseName(rawIssuer)
  const validity = tbs.inside(tags.sequence)
  const [notBefore, notAfter] = [parseTime(validity), parseTime(validity)]
  const { whole: rawSubject } = tbs.element(tags.sequence)
  const subject = parseName(rawSubject)
  const { whole: rawSpki, contents: spkiContents } = tbs.element(tags.sequence)
  const key = parseSpki(spkiContents, rawSpki)
  const extensions = version > 1 ? parseAllExtensions(tbs, version) : []
  return {
    ...{ raw, rawTbs, rawSpki, rawIssuer, rawSubject, version, serialNumber, issuer, subject },
    ...{ notBefore, notAfter, extensions, ...key },
    said: parseExtensions(extensions),
    signature: rightAligned(outer.bitString()),
    signatureAlgorithm: signatureAlgorithm(signatureIdentifier),
  }
}

/** 1, 2 or 3, written as one less. */
function parseVersion(tbs: DerReader): number {
  const written = tbs.optional(constructed(0))
  const version = written?.int64() ?? 0n
  if (version < 0n || version > 2n || written?.isEmpty === false) throw new OperandError('an unknown version')
  return Number(version) + 1
}

/** A key of a kind that certificates know is read; any other stays without a key. */
export function parseSpki(
  contents: Buffer,
  whole: Buffer,
): Pick<Certificate, 'publicKeyAlgorithm' | 'publicKey'> {
  const spki = new DerReader(contents)
  const identifier = algorithmIdentifier(spki.inside(tags.sequence))
  const bits = spki.bitString()
  const kind = keyKinds.get(identifier.algorithm)
  const publicKeyAlgorithm = kind === undefined ? 0 : publicKeyAlgorithms[kind]
  const publicKey = publicKeyAlgorithm === 0 ? undefined : parsePublicKey(identifier, bits, whole)
  return { publicKeyAlgorithm, ...(publicKey !== undefined && { publicKey }) }
}

function parseAllExtensions(tbs: DerReader, version: number): Extension[] {
  for (const unique of [context(1), context(2)]) if (tbs.nextIs(unique)) tbs.any()
  const found: Extension[] = []
  const list = version === 3 ? tbs.optional(constructed(3))?.inside(tags.sequence) : undefined
  while (list?.isEmpty === false) found.push(parseExtension(list.inside(tags.sequence)))
  assertUnique(found)
  return found
}

/** @throws OperandError where an extension stands twice. */
export function assertUnique(extensions: readonly Extension[]): void {
  const ids = new Set(extensions.map(({ id }) => id.join('.')))
  if (ids.size < extensions.length) throw new OperandError('an extension twice')
}
