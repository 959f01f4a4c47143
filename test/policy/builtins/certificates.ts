import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { bits, boolean, implicit, integer, type Node, octetString, oid, toDer } from '#identity/dev-ca/der.ts'

/** A universal or context tag over octets, for what the writer of the dev CA has no need of. */
export function raw(tag: number, contents: Buffer | string): Buffer {
  const bytes = Buffer.from(contents)
  const length =
    bytes.length < 0x80
      ? Buffer.from([bytes.length])
      : bytes.length < 0x100
        ? Buffer.from([0x81, bytes.length])
        : Buffer.from([0x82, bytes.length >> 8, bytes.length & 0xff])
  return Buffer.concat([Buffer.from([tag]), length, bytes])
}

export const seq = (...items: readonly Buffer[]) => raw(0x30, Buffer.concat(items))
export const set = (...items: readonly Buffer[]) => raw(0x31, Buffer.concat(items))
export const der = (node: Node) => toDer(node)
export const id = (dotted: string) => der(oid(dotted))
export const int = (value: number) => raw(2, Buffer.from([value]))

export interface Identity {
  readonly name: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export function identity(name: string, curve = 'prime256v1'): Identity {
  return { name, ...generateKeyPairSync('ec', { namedCurve: curve }) }
}

export function extension(dotted: string, value: Buffer, critical = false): Buffer {
  return seq(id(dotted), ...(critical ? [der(boolean(true))] : []), der(octetString(value)))
}

export const basicConstraints = (isCa: boolean, pathLength?: number) =>
  extension(
    '2.5.29.19',
    seq(...(isCa ? [der(boolean(true))] : []), ...(pathLength === undefined ? [] : [int(pathLength)])),
    true,
  )
export const keyUsage = (octet: number) => extension('2.5.29.15', der(bits(octet)), true)
export const extendedKeyUsage = (...usages: readonly string[]) =>
  extension('2.5.29.37', seq(...usages.map(id)))
export const usages = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const

/** A general name: 1 mail, 2 DNS, 6 URI, 7 address. */
export const named = (tag: number, value: string | Buffer) => der(implicit(tag, Buffer.from(value)))
export const altNames = (...names: readonly Buffer[]) => extension('2.5.29.17', seq(...names))

export function nameConstraints(
  permitted: readonly Buffer[],
  excluded: readonly Buffer[],
  critical = true,
): Buffer {
  const subtrees = (tag: number, names: readonly Buffer[]) =>
    names.length === 0 ? [] : [raw(0xa0 | tag, Buffer.concat(names.map((name) => seq(name))))]
  return extension('2.5.29.30', seq(...subtrees(0, permitted), ...subtrees(1, excluded)), critical)
}

export const policies = (...all: readonly string[]) =>
  extension('2.5.29.32', seq(...all.map((policy) => seq(id(policy)))))
export const policyMappings = (...pairs: readonly (readonly [string, string])[]) =>
  extension('2.5.29.33', seq(...pairs.map(([from, to]) => seq(id(from), id(to)))))
export const policyConstraints = (explicit?: number, mapping?: number) =>
  extension(
    '2.5.29.36',
    seq(
      ...(explicit === undefined ? [] : [raw(0x80, Buffer.from([explicit]))]),
      ...(mapping === undefined ? [] : [raw(0x81, Buffer.from([mapping]))]),
    ),
    true,
  )
export const inhibitAnyPolicy = (count: number) => extension('2.5.29.54', int(count), true)

export const commonName = (text: string) => seq(set(seq(id('2.5.4.3'), raw(0x0c, text))))

export interface Request {
  readonly subject: Identity
  readonly issuer: Identity
  readonly extensions?: readonly Buffer[]
  readonly notBefore?: Buffer
  readonly notAfter?: Buffer
  readonly serial?: Buffer
  /** One less than the version's name; none is written for version 1. */
  readonly version?: number
  readonly subjectName?: Buffer
  readonly issuerName?: Buffer
  /** The algorithm identifier and what signs. */
  readonly algorithm?: Buffer
  readonly digest?: string | null
  readonly spki?: Buffer
}

export const past = raw(0x17, '200101000000Z')
export const future = raw(0x17, '490101000000Z')

/** A certificate, valid unless its request says otherwise. */
export function issue(request: Request): Buffer {
  const { subject, issuer, extensions = [], version = 2 } = request
  const algorithm = request.algorithm ?? seq(id('1.2.840.10045.4.3.2'))
  const tbs = seq(
    ...(version === 0 ? [] : [raw(0xa0, int(version))]),
    request.serial ?? der(integer(Buffer.from('0102030405060708090a0b0c0d0e0f', 'hex'))),
    algorithm,
    request.issuerName ?? commonName(issuer.name),
    seq(request.notBefore ?? past, request.notAfter ?? future),
    request.subjectName ?? commonName(subject.name),
    request.spki ?? subject.publicKey.export({ format: 'der', type: 'spki' }),
    ...(extensions.length === 0 ? [] : [raw(0xa3, seq(...extensions))]),
  )
  const digest = request.digest === undefined ? 'sha256' : request.digest
  return seq(tbs, algorithm, der(bits(sign(digest, tbs, issuer.privateKey))))
}

export const one = identity('one')
export const bitString = (...octets: readonly number[]) => raw(3, Buffer.from(octets))

/** A signing request with the attributes given. */
export const requestOf = (attributes: readonly Buffer[], subject = commonName('r'), key = one) => {
  const info = seq(
    int(0),
    subject,
    key.publicKey.export({ format: 'der', type: 'spki' }),
    raw(0xa0, Buffer.concat(attributes)),
  )
  return seq(info, seq(id('1.2.840.10045.4.3.2')), bitString(0, ...sign('sha256', info, key.privateKey)))
}

/** The attribute that asks for extensions. */
export const asked = (...extensions: readonly Buffer[]) =>
  seq(id('1.2.840.113549.1.9.14'), set(seq(...extensions)))

export function pem(...ders: readonly Buffer[]): string {
  return ders
    .map(
      (each) =>
        `-----BEGIN CERTIFICATE-----\n${each.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
    )
    .join('')
}
