import { isDeepStrictEqual } from 'node:util'
import { decodeBase64 } from '#crypto/base64.ts'
import { nextPemBlock, type PemBlock } from '#crypto/pem.ts'
import { entriesOf } from '../values/compare.ts'
import { isArray, type RegoObject, RegoSet, type RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { type Certificate, parseCertificate, parseCertificates } from './crypto/certificate.ts'
import { type ChainOptions, findChain } from './crypto/chain.ts'
import { certificateDocument, extendedDocument } from './crypto/document.ts'
import {
  type PrivateKey,
  parsePkcs1,
  parsePkcs8,
  parseSec1,
  privateJwk,
  privateKeyDocument,
  publicDocument,
} from './crypto/private-key.ts'
import { requestDocument } from './crypto/request.ts'
import { trimmed } from './crypto/trim.ts'
import { anyObject, bigInteger, OperandError, text } from './operands.ts'

const dashes = '-----BEGIN'

function pemBlocks(pem: string): PemBlock[] {
  const blocks: PemBlock[] = []
  for (let found = nextPemBlock(pem); found !== undefined; found = nextPemBlock(found.rest))
    blocks.push(found.block)
  return blocks
}

/** PEM, its base64, or the base64 of DER. @throws OperandError */
function readCertificates(input: string): Certificate[] {
  if (input.startsWith(dashes)) return certificatesInPem(input)
  const bytes = decodeBase64(input, 'standard', 'padded')
  const inner = bytes.toString('latin1')
  return inner.startsWith(dashes) ? certificatesInPem(inner) : parseCertificates(bytes)
}

function certificatesInPem(pem: string): Certificate[] {
  const blocks = pemBlocks(pem)
  if (blocks.some(({ type }) => type !== 'CERTIFICATE')) throw new OperandError('PEM of something else')
  return parseCertificates(Buffer.concat(blocks.map(({ bytes }) => bytes)))
}

/** PEM or the base64 of PEM; keys of a type that is not known are passed over. @throws OperandError */
function readPrivateKeys(input: string): PrivateKey[] {
  return pemBlocks(base64Text(input) ?? input).flatMap(
    ({ type, bytes }) => keyParsers.get(type)?.(bytes) ?? [],
  )
}

const keyParsers: ReadonlyMap<string, (der: Buffer) => PrivateKey> = new Map([
  ['RSA PRIVATE KEY', parsePkcs1],
  ['PRIVATE KEY', parsePkcs8],
  ['EC PRIVATE KEY', (der: Buffer) => parseSec1(der)],
])

function base64Text(input: string): string | undefined {
  try {
    return decodeBase64(input, 'standard', 'padded').toString('latin1')
  } catch {
    // Not base64, so PEM as it stands.
    return undefined
  }
}

/** By their name in OPA, as numbers of Go's `x509.ExtKeyUsage`. */
const usageNames: readonly string[] = [
  'Any',
  'ServerAuth',
  'ClientAuth',
  'CodeSigning',
  'EmailProtection',
  'IPSECEndSystem',
  'IPSECTunnel',
  'IPSECUser',
  'TimeStamping',
  'OCSPSigning',
  'MicrosoftServerGatedCrypto',
  'NetscapeServerGatedCrypto',
  'MicrosoftCommercialCodeSigning',
  'MicrosoftKernelCodeSigning',
].map((name) => `KeyUsage${name}`)

/** @throws OperandError for an option that is not known or of another type. */
function readOptions(nowNs: bigint, operand: RegoValue | undefined): ChainOptions {
  const options = { nowNs, hostName: '', extendedKeyUsages: [] as number[] }
  for (const [name, value] of entriesOf(anyObject(operand))) {
    // A key that is no string is passed over.
    if (typeof name !== 'string') continue
    if (name === 'DNSName') options.hostName = unquoted(text(value))
    else if (name === 'CurrentTime') options.nowNs = int64(value)
    // Go looks at it no longer; chain.ts has a bound of its own.
    else if (name === 'MaxConstraintComparisons') int64(value)
    else if (name === 'KeyUsages') options.extendedKeyUsages = usagesOf(value)
    else throw new OperandError(`no option ${name}`)
  }
  return options
}

function unquoted(value: string): string {
  return trimmed(value, '"')
}

function usagesOf(value: RegoValue): number[] {
  const members = value instanceof RegoSet ? value.members : value
  if (!isArray(members)) throw new OperandError('neither an array nor a set')
  const numbers = members
    .filter((each) => typeof each === 'string')
    .map((each) => usageNames.indexOf(unquoted(each as string)))
  if (numbers.includes(-1)) throw new OperandError('an unknown key usage')
  return numbers
}

function int64(value: RegoValue): bigint {
  const number = bigInteger(value)
  if (BigInt.asIntN(64, number) !== number) throw new OperandError('not an integer of 64 bits')
  return number
}

const invalid: RegoValue = [false, []]

/** `[true, chain]`, leaf first, or `[false, []]`. */
function verified(
  input: string,
  options: () => ChainOptions,
  document: (certificate: Certificate) => RegoObject,
): RegoValue {
  let certificates: Certificate[]
  try {
    certificates = readCertificates(input)
  } catch {
    // What is no certificate is no valid chain.
    return invalid
  }
  const chain = findChain(certificates, options())
  return chain === undefined ? invalid : [true, chain.map(document)]
}

/** Blocks of a PEM operand, or the bytes of a DER one, either of which may stand in base64. */
function blocksOf(input: string, type: string): PemBlock[] {
  if (input.startsWith(`${dashes} `)) return pemBlocks(input)
  const bytes = decodeBase64(input, 'standard', 'padded')
  const inner = bytes.toString('latin1')
  return inner.startsWith(`${dashes} `) ? pemBlocks(inner) : [{ type, bytes }]
}

/** A key in whatever form, as `tls.X509KeyPair` tries them. @throws OperandError */
function anyPrivateKey(der: Buffer): PrivateKey {
  for (const parse of [parsePkcs1, parsePkcs8, parseSec1]) {
    let key: PrivateKey
    try {
      key = parse(der)
    } catch {
      // The next form.
      continue
    }
    if (key.kind === 'x25519') break
    return key
  }
  throw new OperandError('no private key')
}

function keyPair(certificate: string, key: string): RegoObject {
  const certificates = blocksOf(certificate, 'CERTIFICATE').filter(({ type }) => type === 'CERTIFICATE')
  const keyBlock = blocksOf(key, 'PRIVATE KEY').find(({ type }) => /(?:^| )PRIVATE KEY$/.test(type))
  const first = certificates[0]
  if (first === undefined || keyBlock === undefined) throw new OperandError('no certificate or no key')
  const leaf = parseCertificate(first.bytes)
  const privateKey = anyPrivateKey(keyBlock.bytes)
  const isPair = leaf.publicKey?.kind === privateKey.kind
  if (!isPair || !isDeepStrictEqual(leaf.publicKey?.document, publicDocument(privateKey)))
    throw new OperandError('a key of another certificate')
  return {
    Certificate: certificates.map(({ bytes }) => bytes.toString('base64')),
    PrivateKey: privateKeyDocument(privateKey),
    SupportedSignatureAlgorithms: null,
    OCSPStaple: null,
    SignedCertificateTimestamps: null,
    Leaf: certificateDocument(leaf),
  }
}

function request(input: string): RegoObject {
  const isPem = input.startsWith('-----BEGIN CERTIFICATE REQUEST-----')
  const bytes = isPem ? Buffer.from(input, 'latin1') : decodeBase64(input, 'standard', 'padded')
  const block = nextPemBlock(isPem ? input : bytes.toString('latin1'))?.block
  if (block !== undefined && block.type !== 'CERTIFICATE REQUEST')
    throw new OperandError('PEM of something else')
  return requestDocument(block?.bytes ?? bytes)
}

/** `crypto.x509.*` and `crypto.parse_private_keys`: documents as Go's types have them in JSON. @see RFC 5280 */
export const x509Builtins: Family = {
  'crypto.x509.parse_certificates': (_, input) => {
    const certificates = readCertificates(text(input))
    return certificates.map(extendedDocument)
  },
  'crypto.x509.parse_and_verify_certificates': ({ nowNs }, input) =>
    verified(text(input), () => ({ nowNs, hostName: '', extendedKeyUsages: [] }), extendedDocument),
  'crypto.x509.parse_and_verify_certificates_with_options': ({ nowNs }, input, options) => {
    anyObject(options)
    return verified(text(input), () => readOptions(nowNs, options), certificateDocument)
  },
  'crypto.x509.parse_certificate_request': (_, input) => request(text(input)),
  'crypto.x509.parse_keypair': (_, certificate, key) => keyPair(text(certificate), text(key)),
  'crypto.x509.parse_rsa_private_key': (_, input) => {
    const given = text(input)
    if (given === '') throw new OperandError('no key')
    const pem = given.startsWith(dashes)
      ? given
      : decodeBase64(given, 'standard', 'padded').toString('latin1')
    const [first] = readPrivateKeys(pem)
    return first === undefined ? null : privateJwk(first)
  },
  'crypto.parse_private_keys': (_, input) => {
    if (text(input) === '') return null
    return readPrivateKeys(text(input)).map(privateKeyDocument)
  },
}
