import { MalformedError } from '#base/malformed.ts'
import { constructed, DerReader, tags } from '#crypto/der.ts'
import { algorithmIdentifier } from '#crypto/x509/algorithm.ts'
import {
  isSignedWith,
  type SignatureAlgorithm,
  signatureAlgorithm,
} from '#crypto/x509/signature-algorithm.ts'
import { parseProfiledTime } from '#crypto/x509/time.ts'
import { type Certificate, keyUsages } from './certificate.ts'

/** A list of revoked certificates as far as it is judged. Nobody trusts it before its signature was looked at. */
export interface Crl {
  readonly issuer: Buffer
  readonly tbs: Buffer
  readonly signature: Buffer
  readonly signatureAlgorithm: SignatureAlgorithm
  /** Lower-case hex, as of a certificate. */
  readonly revokedSerials: ReadonlySet<string>
}

/** Of a workload's CA, whose certificates live for hours. */
const maxCrlBytes = 1 << 20

/**
 * Reads one list in the distinguished encoding. A list that speaks of part of the certificates or of other issuers' ones
 * has a critical extension that says so, and is refused: whoever reads it otherwise reads it wrong.
 *
 * @throws MalformedError
 * @see RFC 5280, 5
 */
export function parseCrl(der: Buffer): Crl {
  if (der.length > maxCrlBytes) throw new MalformedError('a revocation list of over 1 MiB')
  const reader = new DerReader(der)
  const outer = reader.inside(tags.sequence)
  if (!reader.isEmpty) throw new MalformedError('something after a revocation list')
  const { whole: tbs, contents } = outer.element(tags.sequence)
  const fields = new DerReader(contents)
  if (fields.nextIs(tags.integer) && fields.int64() !== 1n)
    throw new MalformedError('not a version 2 revocation list')
  const innerAlgorithm = fields.element(tags.sequence)
  const { whole: issuer } = fields.element(tags.sequence)
  parseProfiledTime(fields)
  if (fields.nextIs(tags.utcTime) || fields.nextIs(tags.generalizedTime)) parseProfiledTime(fields)
  const revokedSerials = fields.nextIs(tags.sequence)
    ? readRevoked(fields.inside(tags.sequence))
    : new Set<string>()
  refuseCritical(fields.optional(constructed(0))?.inside(tags.sequence))
  const outerAlgorithm = outer.element(tags.sequence)
  if (!outerAlgorithm.whole.equals(innerAlgorithm.whole)) throw new MalformedError('two signature algorithms')
  const { bytes: signature, unused } = outer.bitString()
  if (!fields.isEmpty || !outer.isEmpty || unused !== 0)
    throw new MalformedError('a revocation list that is none')
  return {
    ...{ issuer, tbs, signature, revokedSerials },
    signatureAlgorithm: signatureAlgorithm(algorithmIdentifier(new DerReader(outerAlgorithm.contents))),
  }
}

function readRevoked(list: DerReader): ReadonlySet<string> {
  const serials = new Set<string>()
  while (!list.isEmpty) {
    const entry = list.inside(tags.sequence)
    serials.add(entry.contents(tags.integer).toString('hex'))
    parseProfiledTime(entry)
    refuseCritical(entry.optional(tags.sequence))
    if (!entry.isEmpty) throw new MalformedError('a revoked certificate that is none')
  }
  return serials
}

function refuseCritical(extensions: DerReader | undefined): void {
  while (extensions?.isEmpty === false) {
    const extension = extensions.inside(tags.sequence)
    const id = extension.oid().join('.')
    const isCritical = extension.nextIs(tags.boolean) ? extension.boolean() : false
    if (isCritical)
      throw new MalformedError(`a revocation list with a critical extension that is not understood: ${id}`)
  }
}

/** Whether an issuer that is one of the authorities, and may, has revoked a certificate. */
export function isRevoked(
  certificate: Certificate,
  crls: readonly Crl[],
  authorities: readonly Certificate[],
): boolean {
  return crls.some(
    (crl) =>
      crl.issuer.equals(certificate.issuer) &&
      crl.revokedSerials.has(certificate.serial) &&
      authorities.some((each) => isIssuedBy(crl, each)),
  )
}

function isIssuedBy(crl: Crl, { subject, keyUsage, keyKind, publicKey }: Certificate): boolean {
  if (!subject.equals(crl.issuer) || keyUsage?.bits.has(keyUsages.cRLSign) !== true) return false
  const { tbs: signed, signature, signatureAlgorithm } = crl
  return (
    keyKind !== undefined &&
    isSignedWith(signatureAlgorithm, { key: { kind: keyKind, verifying: publicKey }, signed, signature })
  )
}
