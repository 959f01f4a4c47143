import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '#base/clock.ts'
import {
  bits,
  boolean,
  generalNames,
  implicit,
  integer,
  name,
  octetString,
  oid,
  sequence,
  tagged,
  time,
  toDer,
} from './der.ts'

export interface Issued {
  readonly certificatePem: string
  /** PKCS #8. */
  readonly privateKeyPem: string
}

export interface IssueRequest {
  readonly spiffeId: string
  readonly ttlSeconds?: number
  readonly dnsNames?: readonly string[]
  /** What no real CA should do; to see it refused. */
  readonly wrong?: {
    readonly uris?: readonly string[]
    readonly isCa?: boolean
    /** Names of RFC 5280, 4.2.1.3. */
    readonly keyUsage?: readonly KeyUsage[]
    readonly isKeyUsageCritical?: boolean
    readonly extendedKeyUsage?: readonly string[]
    readonly notBeforeMs?: number
  }
}

export type KeyUsage = 'digitalSignature' | 'keyEncipherment' | 'keyAgreement' | 'keyCertSign' | 'cRLSign'

const keyUsageBits: Readonly<Record<KeyUsage, number>> = {
  digitalSignature: 0x80,
  keyEncipherment: 0x20,
  keyAgreement: 0x08,
  keyCertSign: 0x04,
  cRLSign: 0x02,
}

const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'
const dayMs = 86_400_000

/** A certificate authority for laptops and tests: EC P-256, one level, no revocation. It never poses as more. */
export interface DevCa {
  readonly trustDomain: string
  /** The CA certificate. */
  readonly bundlePem: string
  issue(request: IssueRequest): Issued
  /** Writes `<prefix>.pem` and `<prefix>.key` (0600), each in one step. */
  write(prefix: string, issued: Issued): void
}

export function createDevCa(options: { readonly trustDomain: string; readonly clock?: Clock }): DevCa {
  const { certificatePem, key } = selfSigned(options.trustDomain, options.clock ?? systemClock)
  return devCa({ ...options, bundlePem: certificatePem, key })
}

/** The CA kept in a folder (`ca.pem`, `ca.key`); made there when the folder has none. */
export function openDevCa(
  folder: string,
  options: { readonly trustDomain: string; readonly clock?: Clock },
): DevCa {
  const [certificatePath, keyPath] = [join(folder, 'ca.pem'), join(folder, 'ca.key')]
  if (!existsSync(certificatePath) || !existsSync(keyPath)) {
    const { certificatePem, key } = selfSigned(options.trustDomain, options.clock ?? systemClock)
    writeWhole(keyPath, key.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600)
    writeWhole(certificatePath, certificatePem, 0o644)
  }
  return devCa({
    ...options,
    bundlePem: readFileSync(certificatePath, 'utf8'),
    key: createPrivateKey(readFileSync(keyPath)),
  })
}

function selfSigned(
  trustDomain: string,
  clock: Clock,
): { readonly certificatePem: string; readonly key: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const certificatePem = certificate({
    subject: `Sluice development CA ${randomBytes(4).toString('hex')}`,
    issuer: undefined,
    publicKey,
    signer: privateKey,
    notBeforeMs: clock.nowMs() - dayMs,
    notAfterMs: clock.nowMs() + 365 * dayMs,
    uris: [`spiffe://${trustDomain}`],
    dnsNames: [],
    isCa: true,
    keyUsage: ['keyCertSign', 'cRLSign'],
    isKeyUsageCritical: true,
    extendedKeyUsage: [],
  })
  return { certificatePem, key: privateKey }
}

function devCa(options: {
  readonly trustDomain: string
  readonly clock?: Clock
  readonly bundlePem: string
  readonly key: KeyObject
}): DevCa {
  const { bundlePem, key, trustDomain, clock = systemClock } = options
  const issuer = new X509Certificate(bundlePem).subject.replace(/^CN=/, '')
  return {
    trustDomain,
    bundlePem,
    issue: ({ spiffeId, ttlSeconds = 3600, dnsNames = [], wrong = {} }) => {
      const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
      const notBeforeMs = wrong.notBeforeMs ?? clock.nowMs() - 60_000
      const certificatePem = certificate({
        subject: 'workload',
        issuer,
        publicKey: pair.publicKey,
        signer: key,
        notBeforeMs,
        notAfterMs: Math.max(notBeforeMs, wrong.notBeforeMs ?? clock.nowMs()) + ttlSeconds * 1000,
        uris: wrong.uris ?? [spiffeId],
        dnsNames,
        isCa: wrong.isCa ?? false,
        keyUsage: wrong.keyUsage ?? ['digitalSignature'],
        isKeyUsageCritical: wrong.isKeyUsageCritical ?? true,
        extendedKeyUsage: wrong.extendedKeyUsage ?? [serverAuth, clientAuth],
      })
      return {
        certificatePem,
        privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
    write: (prefix, issued) => {
      writeWhole(`${prefix}.pem`, issued.certificatePem, 0o644)
      writeWhole(`${prefix}.key`, issued.privateKeyPem, 0o600)
    },
  }
}

/** RFC 5280, 4.2.1.2, method 1: SHA-1 of the key's bits, for P-256 the last 65 octets of its SPKI. */
function keyId(key: KeyObject): Buffer {
  return hash('sha1', key.export({ type: 'spki', format: 'der' }).subarray(-65), 'buffer')
}

/** Writes a file in one step: nobody reads half of it. */
export function writeWhole(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true })
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, text, { mode })
  chmodSync(draft, mode)
  renameSync(draft, path)
}

interface Contents {
  readonly subject: string
  /** Common name of the CA; `undefined` for a self-signed one. */
  readonly issuer: string | undefined
  readonly publicKey: KeyObject
  readonly signer: KeyObject
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly isCa: boolean
  readonly keyUsage: readonly KeyUsage[]
  readonly isKeyUsageCritical: boolean
  readonly extendedKeyUsage: readonly string[]
}

/** RFC 5280, 4.1: a version 3 certificate, signed with ECDSA and SHA-256. */
function certificate(contents: Contents): string {
  const algorithm = sequence([oid('1.2.840.10045.4.3.2')])
  const extension = (id: string, isCritical: boolean, value: Parameters<typeof toDer>[0]) =>
    sequence([oid(id), ...(isCritical ? [boolean(true)] : []), octetString(toDer(value))])
  const usage = contents.keyUsage.reduce((flags, each) => flags | keyUsageBits[each], 0)
  const extensions = [
    extension('2.5.29.19', true, sequence(contents.isCa ? [boolean(true)] : [])),
    ...(contents.keyUsage.length > 0
      ? [extension('2.5.29.15', contents.isKeyUsageCritical, bits(usage))]
      : []),
    ...(contents.extendedKeyUsage.length > 0
      ? [extension('2.5.29.37', false, sequence(contents.extendedKeyUsage.map(oid)))]
      : []),
    extension('2.5.29.17', false, generalNames(contents)),
    extension('2.5.29.14', false, octetString(keyId(contents.publicKey))),
    extension('2.5.29.35', false, sequence([implicit(0, keyId(createPublicKey(contents.signer)))])),
  ]
  const tbs = sequence([
    tagged(0, [integer(Buffer.from([2]))]),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name(contents.issuer ?? contents.subject),
    sequence([time(contents.notBeforeMs), time(contents.notAfterMs)]),
    name(contents.subject),
    contents.publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, [sequence(extensions)]),
  ])
  const signature = sign('sha256', toDer(tbs), contents.signer)
  const der = toDer(sequence([tbs, algorithm, bits(signature)]))
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()}\n-----END CERTIFICATE-----\n`
}
