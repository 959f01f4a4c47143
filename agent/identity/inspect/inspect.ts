import { readFileSync } from 'node:fs'
import { messageOf, SluiceError } from '#base/errors.ts'
import { encodePem } from '#crypto/pem.ts'
import { readBundleFile } from '../bundle/bundle-file.ts'
import { pemBlocks } from '../bundle/pem-bundle.ts'
import type { TrustBundle } from '../bundle/trust-bundle.ts'
import { type Certificate, parseCertificate } from '../x509/certificate.ts'
import { findChain } from '../x509/chain.ts'
import { type Leaf, parseLeaf } from '../x509/leaf.ts'

/** One thing that was looked at. */
export interface Inspected {
  readonly what: 'certificate' | 'validity' | 'chain'
  readonly isGood: boolean
  readonly text: string
}

/** The certificates of a PEM file as DER, in their order. @throws SluiceError where it has none. */
export function readCertificates(path: string): readonly [leaf: Buffer, ...others: Buffer[]] {
  const fault = (found: string) =>
    new SluiceError({ code: 'certificate_unreadable', place: path, found, expected: 'certificates in PEM' })
  let found: ReturnType<typeof pemBlocks>
  try {
    found = pemBlocks(readFileSync(path, 'utf8'))
  } catch (thrown) {
    throw fault(messageOf(thrown))
  }
  if (!found.ok) throw fault(found.why)
  const [leaf, ...others] = found.blocks.flatMap(({ type, bytes }) => (type === 'CERTIFICATE' ? [bytes] : []))
  if (leaf === undefined) throw fault('no CERTIFICATE in it')
  return [leaf, ...others]
}

/** The leaf of a PEM file as PEM, which is what Envoy passes, whatever came with it. @throws SluiceError where it has none. */
export function readLeafPem(path: string): string {
  const [leaf] = readCertificates(path)
  return encodePem('CERTIFICATE', leaf)
}

/** The bundle of a trust domain, PEM or JWKS by the name of the file. @throws SluiceError where it is none. */
export function readTrustBundle(trustDomain: string, path: string): TrustBundle {
  const parsed = readBundleFile(trustDomain, path)
  if (parsed.ok) return parsed.bundle
  throw new SluiceError({
    code: 'bundle_unreadable',
    place: path,
    found: parsed.why.startsWith(`${path}: `) ? parsed.why.slice(path.length + 2) : parsed.why,
    expected: 'CA certificates in PEM, or a SPIFFE bundle in a .json or .jwks file',
  })
}

/**
 * Judges a certificate as a caller's would be, and says what was found of each part: the rules of an X509-SVID, its
 * validity, and the way to the bundle of its trust domain over the certificates that came with it.
 *
 * @param chain DER, leaf first
 * @param bundleOf what to verify the chain with; `undefined` where it is not to be looked at
 */
export function inspectChain(
  chain: readonly Buffer[],
  bundleOf: ((trustDomain: string) => TrustBundle | undefined) | undefined,
  nowMs: number,
): readonly Inspected[] {
  const [first, ...others] = chain
  const parsed = parseLeaf(first ?? Buffer.alloc(0))
  if (!parsed.ok) return [{ what: 'certificate', isGood: false, text: parsed.why }]
  const { id, certificate } = parsed.leaf
  const facts = `${id.text}, serial ${certificate.serial}, SHA-256 ${certificate.sha256}`
  return [
    { what: 'certificate', isGood: true, text: facts },
    validity(certificate, nowMs),
    ...(bundleOf === undefined ? [] : [chainOf(parsed.leaf, others, bundleOf(id.trustDomain), nowMs)]),
  ]
}

function validity({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): Inspected {
  const isGood = nowMs >= notBeforeMs && nowMs < notAfterMs
  const time = (ms: number) => new Date(ms).toISOString()
  const state = isGood ? '' : nowMs < notBeforeMs ? ', not valid yet' : ', expired'
  return { what: 'validity', isGood, text: `${time(notBeforeMs)} to ${time(notAfterMs)}${state}` }
}

function chainOf(
  { id, certificate }: Leaf,
  others: readonly Buffer[],
  bundle: TrustBundle | undefined,
  nowMs: number,
): Inspected {
  const bad = (text: string): Inspected => ({ what: 'chain', isGood: false, text })
  if (bundle === undefined) return bad(`no trust bundle of ${id.trustDomain}`)
  let intermediates: Certificate[]
  try {
    intermediates = others.map(parseCertificate)
  } catch (thrown) {
    return bad(`a certificate beside the leaf is none: ${messageOf(thrown)}`)
  }
  const { x509Authorities: authorities } = bundle
  const verdict = findChain(certificate, { intermediates, authorities, nowMs })
  if (!verdict.ok) return bad(verdict.why)
  const between = verdict.chain.length - 2
  const over = between === 0 ? '' : ` over ${between} intermediate${between === 1 ? '' : 's'}`
  return { what: 'chain', isGood: true, text: `signed by the bundle of ${id.trustDomain}${over}` }
}
