import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { encodePem, nextPemBlock } from '#crypto/pem.ts'
import { type Certificate, parseCertificate } from '../x509/certificate.ts'
import { type Extension, type KeyUsage, type UriConstraints, writeCertificate } from './certificate-writer.ts'
import type { OtherName } from './der.ts'
import { leewayMs } from './rotation.ts'

export interface Issued {
  /** The leaf first, then the intermediates where there are some. */
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
    /** Common name; no workload of a real one has one. */
    readonly subject?: string
    readonly otherNames?: readonly OtherName[]
    readonly isAltNameCritical?: boolean
    readonly isCa?: boolean
    /** Names of RFC 5280, 4.2.1.3. */
    readonly keyUsage?: readonly KeyUsage[]
    readonly isKeyUsageCritical?: boolean
    readonly extendedKeyUsage?: readonly string[]
    readonly notBeforeMs?: number
    readonly hasKeyIds?: boolean
    readonly extensions?: readonly Extension[]
  }
}

/** How a CA differs from the usual one; for tests. */
export interface CaProfile {
  readonly commonName?: string
  /** CAs that may stand below it: none by default. */
  readonly maxPathLength?: number | undefined
  readonly keyType?: keyof typeof keyPairs
  readonly uriConstraints?: UriConstraints
  readonly ttlSeconds?: number
  readonly wrong?: {
    readonly uris?: readonly string[]
    readonly isCa?: boolean
    readonly keyUsage?: readonly KeyUsage[]
    readonly notBeforeMs?: number
    readonly hasKeyIds?: boolean
    readonly extensions?: readonly Extension[]
  }
}

const keyPairs = {
  p256: () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  p384: () => generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ed25519: () => generateKeyPairSync('ed25519'),
}

const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'
const dayMs = 86_400_000

/**
 * A certificate authority for laptops and tests: EC P-256, one level, no revocation. It never poses as more. What it issues
 * is what the X509-SVID standard asks for, and passes OpenSSL's strict checks.
 */
export interface DevCa {
  readonly trustDomain: string
  /** The CA certificate; of an intermediate the one that it leads to. */
  readonly bundlePem: string
  /** Its own certificate. */
  readonly certificatePem: string
  issue(request: IssueRequest): Issued
  /** A CA below this one, which must permit it. Its certificate comes with what it issues. */
  intermediate(profile?: CaProfile): DevCa
  /** Writes `<prefix>.pem` and `<prefix>.key` (0600), each in one step. */
  write(prefix: string, issued: Issued): void
}

type CaOptions = { readonly trustDomain: string; readonly clock?: Clock }

export function createDevCa({ trustDomain, clock = systemClock, ...profile }: CaOptions & CaProfile): DevCa {
  const { certificatePem, key } = newCa({ trustDomain, clock, profile })
  return devCa({ trustDomain, clock, chain: [certificatePem], key })
}

/**
 * The CA kept in a folder (`ca.pem`, `ca.key`); made there when the folder has neither. One without the other is left as it
 * is: somebody may have issued from it.
 *
 * @throws SluiceError where what is there is no CA of that trust domain, has expired or cannot be read.
 */
export function openDevCa(folder: string, { trustDomain, clock = systemClock }: CaOptions): DevCa {
  try {
    return readOrMake(folder, { trustDomain, clock })
  } catch (cause) {
    throw new SluiceError({
      code: 'dev_ca_unusable',
      place: folder,
      found: messageOf(cause),
      expected: `a development CA of ${trustDomain}, or a folder in which one can be made`,
      cause,
    })
  }
}

function readOrMake(folder: string, { trustDomain, clock }: Required<CaOptions>): DevCa {
  const [certificatePath, keyPath] = [join(folder, 'ca.pem'), join(folder, 'ca.key')]
  const [hasCertificate, hasKey] = [existsSync(certificatePath), existsSync(keyPath)]
  if (hasCertificate !== hasKey) throw new Error(hasKey ? 'ca.key without ca.pem' : 'ca.pem without ca.key')
  if (!hasKey) {
    const { certificatePem, key } = newCa({ trustDomain, clock, profile: {} })
    writeWhole(keyPath, key.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600)
    writeWhole(certificatePath, certificatePem, 0o644)
  }
  const certificatePem = readFileSync(certificatePath, 'utf8')
  const certificate = orName('ca.pem', () => new X509Certificate(certificatePem))
  const key = orName('ca.key', () => createPrivateKey(readFileSync(keyPath)))
  if (!certificate.checkPrivateKey(key)) throw new Error('ca.key is not the key of ca.pem')
  const { altNames, notAfterMs } = orName('ca.pem', () => parseCertificate(certificate.raw))
  const [name] = altNames.filter(({ tag }) => tag === 6)
  if (name?.text !== `spiffe://${trustDomain}`) throw new Error(`a CA of ${name?.text ?? 'nobody'}`)
  if (clock.nowMs() >= notAfterMs) throw new Error('a CA that has expired: remove it for a new one')
  return devCa({ trustDomain, clock, chain: [certificatePem], key })
}

/** OpenSSL's words do not say what it was reading. */
function orName<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new Error(`${name}: ${messageOf(cause)}`, { cause })
  }
}

interface Signer {
  readonly certificate: Certificate
  readonly key: KeyObject
}

/** A CA, signed by itself or by another one. */
function newCa(options: {
  readonly trustDomain: string
  readonly clock: Clock
  readonly profile: CaProfile
  readonly signer?: Signer
}): { readonly certificatePem: string; readonly key: KeyObject } {
  const { trustDomain, clock, profile, signer } = options
  const { commonName, maxPathLength = 0, keyType = 'p256', ttlSeconds = 365 * 86_400, wrong = {} } = profile
  const { publicKey, privateKey } = keyPairs[keyType]()
  const notBeforeMs = wrong.notBeforeMs ?? clock.nowMs() - dayMs
  const der = writeCertificate({
    subject: commonName ?? `Sluice development CA ${randomBytes(4).toString('hex')}`,
    issuer: signer?.certificate.subject,
    publicKey,
    signer: signer
      ? { privateKey: signer.key, publicKey: createPublicKey(signer.key) }
      : { privateKey, publicKey },
    notBeforeMs,
    notAfterMs: notBeforeMs + dayMs + ttlSeconds * 1000,
    uris: wrong.uris ?? [`spiffe://${trustDomain}`],
    dnsNames: [],
    isAltNameCritical: false,
    isCa: wrong.isCa ?? true,
    maxPathLength,
    keyUsage: wrong.keyUsage ?? ['keyCertSign', 'cRLSign'],
    isKeyUsageCritical: true,
    extendedKeyUsage: [],
    uriConstraints: profile.uriConstraints,
    hasKeyIds: wrong.hasKeyIds ?? true,
    extensions: wrong.extensions ?? [],
  })
  return { certificatePem: encodePem('CERTIFICATE', der), key: privateKey }
}

function devCa(options: {
  readonly trustDomain: string
  readonly clock: Clock
  /** Its own certificate first, the self-signed one last. */
  readonly chain: readonly string[]
  readonly key: KeyObject
}): DevCa {
  const { chain, key, trustDomain, clock } = options
  const certificatePem = chain[0] as string
  const signer: Signer = {
    certificate: parseCertificate(nextPemBlock(certificatePem)?.block.bytes ?? Buffer.alloc(0)),
    key,
  }
  return {
    trustDomain,
    bundlePem: chain.at(-1) as string,
    certificatePem,
    issue: (request) => {
      const { publicKey, privateKey } = keyPairs.p256()
      const leaf = newLeaf(request, { signer, publicKey, clock })
      return {
        certificatePem: [encodePem('CERTIFICATE', leaf), ...chain.slice(0, -1)].join(''),
        privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
    intermediate: (profile = {}) => {
      const below = newCa({ trustDomain, clock, profile, signer })
      return devCa({ trustDomain, clock, chain: [below.certificatePem, ...chain], key: below.key })
    },
    write: (prefix, issued) => {
      writeWhole(`${prefix}.pem`, issued.certificatePem, 0o644)
      writeWhole(`${prefix}.key`, issued.privateKeyPem, 0o600)
    },
  }
}

function newLeaf(
  { spiffeId, ttlSeconds = 3600, dnsNames = [], wrong = {} }: IssueRequest,
  {
    signer,
    publicKey,
    clock,
  }: { readonly signer: Signer; readonly publicKey: KeyObject; readonly clock: Clock },
): Buffer {
  const notBeforeMs = wrong.notBeforeMs ?? clock.nowMs() - leewayMs
  const { subject = '' } = wrong
  return writeCertificate({
    subject,
    issuer: signer.certificate.subject,
    publicKey,
    signer: { privateKey: signer.key, publicKey: createPublicKey(signer.key) },
    notBeforeMs,
    notAfterMs: Math.max(notBeforeMs, wrong.notBeforeMs ?? clock.nowMs()) + ttlSeconds * 1000,
    uris: wrong.uris ?? [spiffeId],
    dnsNames,
    ...(wrong.otherNames && { otherNames: wrong.otherNames }),
    isAltNameCritical: wrong.isAltNameCritical ?? subject === '',
    isCa: wrong.isCa ?? false,
    keyUsage: wrong.keyUsage ?? ['digitalSignature'],
    isKeyUsageCritical: wrong.isKeyUsageCritical ?? true,
    extendedKeyUsage: wrong.extendedKeyUsage ?? [serverAuth, clientAuth],
    hasKeyIds: wrong.hasKeyIds ?? true,
    extensions: wrong.extensions ?? [],
  })
}

/** Writes a file in one step: nobody reads half of it. */
export function writeWhole(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true })
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, text, { mode })
  chmodSync(draft, mode)
  renameSync(draft, path)
}
