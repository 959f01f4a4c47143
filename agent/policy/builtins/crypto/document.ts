import { oidText, parseOid } from '#crypto/der.ts'
import { integerOf, type RegoObject, type RegoValue } from '../../values/value.ts'
import { type GoUrl, textOf, urlText } from '../go-url.ts'
import { shown } from '../network.ts'
import type { Certificate } from './certificate.ts'
import type { Extension, PolicyConstraint, SubjectAltNames } from './extensions.ts'
import { nameDocument } from './name.ts'
import type { AddressRange } from './name-constraints.ts'
import { timeText } from './time.ts'

/** Go's `x509.Certificate` as JSON. */
export function certificateDocument(certificate: Certificate): RegoObject {
  const { said } = certificate
  const { nameConstraints: names } = said
  return {
    Raw: base64(certificate.raw),
    RawTBSCertificate: base64(certificate.rawTbs),
    RawSubjectPublicKeyInfo: base64(certificate.rawSpki),
    RawSubject: base64(certificate.rawSubject),
    RawIssuer: base64(certificate.rawIssuer),
    Signature: base64(certificate.signature),
    SignatureAlgorithm: certificate.signatureAlgorithm.number,
    PublicKeyAlgorithm: certificate.publicKeyAlgorithm,
    PublicKey: certificate.publicKey?.document ?? null,
    Version: certificate.version,
    SerialNumber: integerOf(certificate.serialNumber),
    Issuer: nameDocument(certificate.issuer),
    Subject: nameDocument(certificate.subject),
    NotBefore: timeText(certificate.notBefore),
    NotAfter: timeText(certificate.notAfter),
    KeyUsage: said.keyUsage,
    Extensions: extensionDocuments(certificate.extensions),
    ExtraExtensions: null,
    UnhandledCriticalExtensions: listed(said.unhandled),
    ExtKeyUsage: listed(said.extendedKeyUsages),
    UnknownExtKeyUsage: listed(said.unknownExtendedKeyUsages),
    BasicConstraintsValid: said.basicConstraintsValid,
    IsCA: said.isCa,
    MaxPathLen: integerOf(said.maxPathLength),
    MaxPathLenZero: said.basicConstraintsValid && said.maxPathLength === 0n,
    SubjectKeyId: base64(said.subjectKeyId),
    AuthorityKeyId: base64(said.authorityKeyId),
    OCSPServer: listed(said.ocspServers),
    IssuingCertificateURL: listed(said.issuingCertificateUrls),
    ...namesDocument(said),
    PermittedDNSDomainsCritical: names?.isCritical ?? false,
    PermittedDNSDomains: listed(names?.permitted.dnsDomains),
    ExcludedDNSDomains: listed(names?.excluded.dnsDomains),
    PermittedIPRanges: listed(names?.permitted.ipRanges.map(rangeDocument)),
    ExcludedIPRanges: listed(names?.excluded.ipRanges.map(rangeDocument)),
    PermittedEmailAddresses: listed(names?.permitted.emailAddresses),
    ExcludedEmailAddresses: listed(names?.excluded.emailAddresses),
    PermittedURIDomains: listed(names?.permitted.uriDomains),
    ExcludedURIDomains: listed(names?.excluded.uriDomains),
    CRLDistributionPoints: listed(said.crlDistributionPoints),
    PolicyIdentifiers: said.policies?.flatMap(arcs) ?? null,
    Policies: listed(said.policies?.map(oidText)),
    ...constraintDocument('InhibitAnyPolicy', said.inhibitAnyPolicy),
    ...constraintDocument('InhibitPolicyMapping', said.inhibitPolicyMapping),
    ...constraintDocument('RequireExplicitPolicy', said.requireExplicitPolicy),
    PolicyMappings: listed(
      said.policyMappings.map(({ issuer, subject }) => ({
        IssuerDomainPolicy: oidText(issuer),
        SubjectDomainPolicy: oidText(subject),
      })),
    ),
  }
}

/** OPA adds the URLs as text. */
export function extendedDocument(certificate: Certificate): RegoObject {
  const texts = certificate.said.urls.map((url) => urlText(url))
  return { ...certificateDocument(certificate), URIStrings: listed(texts) }
}

export function namesDocument({ dnsNames, emailAddresses, ipAddresses, urls }: SubjectAltNames): RegoObject {
  return {
    DNSNames: listed(dnsNames),
    EmailAddresses: listed(emailAddresses),
    IPAddresses: listed(ipAddresses.map(addressText)),
    URIs: listed(urls.map(urlDocument)),
  }
}

export function extensionDocuments(extensions: readonly Extension[]): RegoValue {
  return listed(
    extensions.map(({ id, critical, value }) => ({ Id: id, Critical: critical, Value: base64(value) })),
  )
}

/** Octets as Go's JSON has them. */
export function base64(octets: Buffer): string
export function base64(octets: Buffer | undefined): string | null
export function base64(octets: Buffer | undefined): string | null {
  return octets?.toString('base64') ?? null
}

/** A list that was never begun is null. */
function listed(items: readonly RegoValue[] | undefined): RegoValue {
  return items === undefined || items.length === 0 ? null : items
}

function constraintDocument(name: string, { value, isSet }: PolicyConstraint): RegoObject {
  return { [name]: integerOf(value), [`${name}Zero`]: isSet && value === 0n }
}

/** Empty where an arc is too large for Go's older type, which leaves it out. */
function arcs(policy: Buffer): RegoValue[] {
  try {
    return [parseOid(policy)]
  } catch {
    return []
  }
}

function rangeDocument({ address, mask }: AddressRange): RegoObject {
  return { IP: addressText(address), Mask: base64(mask) }
}

/** An IPv4 address in an IPv6 one is shown as what it is. */
function addressText(address: Buffer): string {
  const value = BigInt(`0x${address.toString('hex')}`)
  const isMapped = address.length === 16 && value >> 32n === 0xffffn
  return address.length === 4 || isMapped ? shown(32, value & 0xffff_ffffn) : shown(128, value)
}

/** Go's `url.URL` as JSON, whose user has no member that is seen. */
function urlDocument(url: GoUrl): RegoObject {
  return {
    Scheme: url.scheme,
    Opaque: textOf(url.opaque),
    User: url.user === undefined ? null : {},
    Host: textOf(url.host),
    Path: textOf(url.path),
    RawPath: textOf(url.rawPath),
    OmitHost: url.isHostOmitted,
    ForceQuery: url.hasEmptyQuery,
    RawQuery: textOf(url.rawQuery),
    Fragment: textOf(url.fragment),
    RawFragment: textOf(url.rawFragment),
  }
}
