import { isSignedWith } from '#crypto/x509/signature-algorithm.ts'
import type { Certificate } from './certificate.ts'
import { isNamed } from './host-name.ts'
import { areNamesPermitted, maxComparisons, type NamedCertificate } from './name-constraints.ts'
import { arePoliciesValid } from './policies.ts'

export interface ChainOptions {
  readonly nowNs: bigint
  readonly hostName: string
  /** Go's numbers of what the chain must be good for, one of them; 0 is anything, and none at all a TLS server. */
  readonly extendedKeyUsages: readonly number[]
}

const anyUsage = 0
const serverAuth = 1
/** Signatures checked for one chain; whoever mixes certificates of one name must not make it slow. Go has the same. */
const maxSignatures = 100

interface Search {
  readonly root: Certificate
  readonly intermediates: readonly Certificate[]
  readonly options: ChainOptions
  signatures: number
}

/**
 * The first chain, leaf first, from the last of the certificates over those between to the first, the root. The checks
 * are those of Go's `Certificate.Verify`: issuer and signature, validity, CA flag and path length, certificate signing
 * among the key usages, unknown critical extensions, host name, certificate policies, extended key usages, name
 * constraints. SHA-1 is no signature. Undefined where there is none.
 *
 * @see RFC 5280, 6
 */
export function findChain(
  certificates: readonly Certificate[],
  options: ChainOptions,
): readonly Certificate[] | undefined {
  const [root, leaf] = [certificates[0], certificates.at(-1)]
  if (root === undefined || leaf === undefined || certificates.length < 2) return undefined
  if (!isValid(leaf, 'leaf', [], options)) return undefined
  if (options.hostName !== '' && !isNamed(leaf, options.hostName)) return undefined
  const intermediates = withoutRepeats(certificates.slice(1, -1))
  const chains = leaf.raw.equals(root.raw)
    ? [[leaf]]
    : chainsFrom([leaf], { root, intermediates, options, signatures: 0 })
  const budget = { left: maxComparisons }
  return chains.find(
    (chain) =>
      arePoliciesValid(chain) &&
      isGoodFor(chain, options.extendedKeyUsages) &&
      areNamesPermitted(chain.map(named), budget),
  )
}

/** Every chain that begins with this one and ends in the root. */
function chainsFrom(chain: readonly Certificate[], search: Search): Certificate[][] {
  const last = chain.at(-1) as Certificate
  const found: Certificate[][] = []
  for (const [kind, candidates] of [
    ['root', [search.root]],
    ['intermediate', search.intermediates],
  ] as const) {
    for (const candidate of inOrderOfLikelihood(last, candidates)) {
      if (++search.signatures > maxSignatures) return found
      if (candidate.publicKey === undefined || isAlreadyIn(candidate, chain)) continue
      if (!isIssuedBy(last, candidate) || !isValid(candidate, kind, chain, search.options)) continue
      if (kind === 'root') found.push([...chain, candidate])
      else found.push(...chainsFrom([...chain, candidate], search))
    }
  }
  return found
}

/** Those whose key identifier is the one that the certificate names come first. */
function inOrderOfLikelihood(certificate: Certificate, candidates: readonly Certificate[]): Certificate[] {
  const wanted = certificate.said.authorityKeyId ?? Buffer.alloc(0)
  const rank = ({ said }: Certificate) => {
    const has = said.subjectKeyId ?? Buffer.alloc(0)
    if (has.equals(wanted)) return 0
    return has.length === 0 || wanted.length === 0 ? 1 : 2
  }
  return candidates
    .filter((candidate) => candidate.rawSubject.equals(certificate.rawIssuer))
    .sort((a, b) => rank(a) - rank(b))
}

/** The same name and key twice would be a loop that cross-signatures make. */
function isAlreadyIn(candidate: Certificate, chain: readonly Certificate[]): boolean {
  const names = altNames(candidate.extensions)
  for (const each of chain) {
    if (!candidate.rawSubject.equals(each.rawSubject) || !candidate.rawSpki.equals(each.rawSpki)) continue
    const others = altNames(each.extensions)
    if (names === undefined || others === undefined) return names === others
    if (names.equals(others)) return true
  }
  return false
}

const certificateSign = 1 << 5

function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  const { said, version, publicKey } = issuer
  if (said.basicConstraintsValid ? !said.isCa : version === 3) return false
  if (said.keyUsage !== 0 && (said.keyUsage & certificateSign) === 0) return false
  if (publicKey === undefined) return false
  const { rawTbs: signed, signature, signatureAlgorithm } = certificate
  return isSignedWith(signatureAlgorithm, { key: publicKey, signed, signature })
}

/** In itself, at its place behind a chain. */
function isValid(
  certificate: Certificate,
  kind: 'leaf' | 'intermediate' | 'root',
  chain: readonly Certificate[],
  { nowNs }: ChainOptions,
): boolean {
  const { said, notBefore, notAfter, rawSubject } = certificate
  const child = chain.at(-1)
  if (said.unhandled.length > 0 || (child !== undefined && !child.rawIssuer.equals(rawSubject))) return false
  if (nowNs < nanoseconds(notBefore.ms) || nowNs > nanoseconds(notAfter.ms)) return false
  if (kind === 'intermediate' && !(said.basicConstraintsValid && said.isCa)) return false
  const isLimited = said.basicConstraintsValid && said.maxPathLength >= 0n
  return !isLimited || BigInt(chain.length - 1) <= said.maxPathLength
}

function nanoseconds(ms: number): bigint {
  return BigInt(ms) * 1_000_000n
}

/** Each certificate may narrow what those below it are good for. */
function isGoodFor(chain: readonly Certificate[], usages: readonly number[]): boolean {
  if (usages.includes(anyUsage)) return true
  let left = usages.length === 0 ? [serverAuth] : usages
  for (const { said } of chain) {
    const { extendedKeyUsages: has, unknownExtendedKeyUsages: others } = said
    if (has.length + others.length === 0 || has.includes(anyUsage)) continue
    left = left.filter((usage) => has.includes(usage))
  }
  return left.length > 0
}

function altNames(extensions: Certificate['extensions']): Buffer | undefined {
  return extensions.find(({ id }) => id.join('.') === '2.5.29.17')?.value
}

function named({ said, extensions }: Certificate): NamedCertificate {
  return { ...said, hasAltNames: altNames(extensions) !== undefined }
}

function withoutRepeats(certificates: readonly Certificate[]): Certificate[] {
  return [...new Map(certificates.map((each) => [each.raw.toString('latin1'), each])).values()]
}
