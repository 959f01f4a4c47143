import { hash, type KeyObject, randomBytes, sign } from 'node:crypto'
import { DerReader, tags } from '#crypto/der.ts'
import { derNull } from '#crypto/x509/algorithm.ts'
import {
  bits,
  boolean,
  generalNames,
  implicit,
  integer,
  type Node,
  name,
  type OtherName,
  octetString,
  oid,
  sequence,
  subtrees,
  tagged,
  time,
  toDer,
} from './der.ts'

export type KeyUsage = 'digitalSignature' | 'keyEncipherment' | 'keyAgreement' | 'keyCertSign' | 'cRLSign'

const keyUsageBits: Readonly<Record<KeyUsage, number>> = {
  digitalSignature: 0x80,
  keyEncipherment: 0x20,
  keyAgreement: 0x08,
  keyCertSign: 0x04,
  cRLSign: 0x02,
}

export interface Extension {
  readonly id: string
  readonly isCritical: boolean
  readonly value: Buffer
}

/** URI hosts below a CA. @see RFC 5280, 4.2.1.10 */
export interface UriConstraints {
  readonly permitted?: readonly string[]
  readonly excluded?: readonly string[]
}

export interface Contents {
  /** Common name; empty for none. */
  readonly subject: string
  /** Name of the CA in DER; `undefined` for a self-signed one. */
  readonly issuer: Buffer | undefined
  readonly publicKey: KeyObject
  readonly signer: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly otherNames?: readonly OtherName[]
  readonly isAltNameCritical: boolean
  readonly isCa: boolean
  /** `undefined` for any number. */
  readonly maxPathLength?: number | undefined
  readonly keyUsage: readonly KeyUsage[]
  readonly isKeyUsageCritical: boolean
  readonly extendedKeyUsage: readonly string[]
  readonly uriConstraints?: UriConstraints | undefined
  readonly hasKeyIds: boolean
  /** Behind all others. */
  readonly extensions: readonly Extension[]
}

/** A version 3 certificate in DER. @see RFC 5280, 4.1 */
export function writeCertificate(contents: Contents): Buffer {
  const { signer, publicKey } = contents
  const { identifier, digest } = signatureOf(signer.privateKey)
  const tbs = sequence([
    tagged(0, [integer(Buffer.from([2]))]),
    integer(serialNumber()),
    identifier,
    contents.issuer ?? name(contents.subject),
    sequence([time(contents.notBeforeMs), time(contents.notAfterMs)]),
    name(contents.subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, [sequence(extensionsOf(contents))]),
  ])
  return toDer(sequence([tbs, identifier, bits(sign(digest, toDer(tbs), signer.privateKey))]))
}

/** 128 bits, of which the first is never set: a positive number. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40
  return bytes
}

function extensionsOf(contents: Contents): Node[] {
  const { isCa, maxPathLength, keyUsage, extendedKeyUsage, uriConstraints } = contents
  const { permitted = [], excluded = [] } = uriConstraints ?? {}
  const usage = keyUsage.reduce((flags, each) => flags | keyUsageBits[each], 0)
  const pathLength = isCa && maxPathLength !== undefined ? [integer(Buffer.from([maxPathLength]))] : []
  return [
    extension('2.5.29.19', true, sequence(isCa ? [boolean(true), ...pathLength] : [])),
    ...(keyUsage.length > 0 ? [extension('2.5.29.15', contents.isKeyUsageCritical, bits(usage))] : []),
    ...(extendedKeyUsage.length > 0
      ? [extension('2.5.29.37', false, sequence(extendedKeyUsage.map(oid)))]
      : []),
    extension('2.5.29.17', contents.isAltNameCritical, generalNames(contents)),
    ...(uriConstraints
      ? [extension('2.5.29.30', true, sequence([...subtrees(0, permitted), ...subtrees(1, excluded)]))]
      : []),
    ...(contents.hasKeyIds
      ? [
          extension('2.5.29.14', false, octetString(keyId(contents.publicKey))),
          extension('2.5.29.35', false, sequence([implicit(0, keyId(contents.signer.publicKey))])),
        ]
      : []),
    ...contents.extensions.map(({ id, isCritical, value }) => extension(id, isCritical, value)),
  ]
}

function extension(id: string, isCritical: boolean, value: Node): Node {
  return sequence([oid(id), ...(isCritical ? [boolean(true)] : []), octetString(toDer(value))])
}

function signatureOf(key: KeyObject): { readonly identifier: Node; readonly digest: string | null } {
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return { identifier: sequence([oid('1.3.101.112')]), digest: null }
    case 'rsa':
      return {
        identifier: sequence([oid('1.2.840.113549.1.1.11'), derNull]),
        digest: 'sha256',
      }
    default:
      return { identifier: sequence([oid('1.2.840.10045.4.3.2')]), digest: 'sha256' }
  }
}

/** SHA-1 of the key's bits. @see RFC 5280, 4.2.1.2, method 1 */
function keyId(key: KeyObject): Buffer {
  const fields = new DerReader(key.export({ type: 'spki', format: 'der' })).inside(tags.sequence)
  fields.element(tags.sequence)
  return hash('sha1', fields.bitString().bytes, 'buffer')
}
