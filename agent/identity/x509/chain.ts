import { isSignedWith } from '#crypto/x509/signature-algorithm.ts'
import { type Certificate, keyUsages } from './certificate.ts'
import { constraintFault } from './name-constraints.ts'

/** Certificates of CAs between a leaf and an authority. */
const maxIntermediates = 3
/** Whoever mixes certificates of one name must not make this slow. */
const maxSignatures = 32

export type ChainVerdict =
  | { readonly ok: true; readonly chain: readonly Certificate[] }
  /** `stranger`: nobody by the name of its issuer is known; `broken`: somebody is, and did not sign it so. */
  | { readonly ok: false; readonly kind: 'stranger' | 'broken'; readonly why: string }

export interface ChainOptions {
  /** Those that came with the leaf, and those known otherwise. Nobody trusts them. */
  readonly intermediates: readonly Certificate[]
  /** Of the leaf's own trust domain, and of no other: bundles are never merged. */
  readonly authorities: readonly Certificate[]
  readonly nowMs: number
}

/**
 * The way from a leaf to one of the authorities: issuer's name, signature, validity, CA flag, certificate signing, path
 * length, name constraints, no unknown critical extension. Every candidate of a name is tried, for SPIRE's CAs all have
 * the same. The leaf's own rules and its validity are looked at elsewhere.
 *
 * @see RFC 5280, 6; X509-SVID.md, 5
 */
export function findChain(leaf: Certificate, options: ChainOptions): ChainVerdict {
  const search = { signatures: 0, fault: undefined as string | undefined }
  const chain = climb([leaf], options, search)
  if (chain !== undefined) return { ok: true, chain }
  return search.fault === undefined
    ? { ok: false, kind: 'stranger', why: 'its issuer is not known' }
    : { ok: false, kind: 'broken', why: search.fault }
}

function climb(
  chain: readonly Certificate[],
  options: ChainOptions,
  search: { signatures: number; fault: string | undefined },
): readonly Certificate[] | undefined {
  const last = chain.at(-1) as Certificate
  for (const [candidates, isEnd] of [
    [options.authorities, true],
    [options.intermediates, false],
  ] as const) {
    for (const candidate of candidates) {
      if (!candidate.subject.equals(last.issuer) || chain.includes(candidate)) continue
      if (!isKeyOf(last, candidate)) {
        search.fault ??= notSigned
        continue
      }
      if (++search.signatures > maxSignatures) {
        search.fault = 'too many candidates for its issuer'
        return undefined
      }
      const fault = issuerFault(candidate, chain, options.nowMs)
      if (fault !== undefined) {
        search.fault ??= fault
        continue
      }
      if (isEnd) return [...chain, candidate]
      if (chain.length > maxIntermediates) continue
      const found = climb([...chain, candidate], options, search)
      if (found !== undefined) return found
      search.fault ??= 'the issuer of its issuer is not known'
    }
  }
  return undefined
}

/** Why a certificate by the right name did not issue what a chain ends in. */
function issuerFault(issuer: Certificate, chain: readonly Certificate[], nowMs: number): string | undefined {
  const [leaf, last] = [chain[0] as Certificate, chain.at(-1) as Certificate]
  const fault = signingFault(issuer)
  if (fault !== undefined) return fault
  if (nowMs < issuer.notBeforeMs || nowMs >= issuer.notAfterMs) return 'a CA is not valid at this time'
  if (issuer.maxPathLength !== undefined && chain.length - 1 > issuer.maxPathLength)
    return 'more CAs than one of them permits'
  if (issuer.nameConstraints !== undefined) {
    const wrong = constraintFault(issuer.nameConstraints, leaf.altNames)
    if (wrong !== undefined) return wrong
  }
  const { keyKind, publicKey: verifying } = issuer
  const { tbs: signed, signature, signatureAlgorithm } = last
  const isSigned =
    keyKind !== undefined &&
    isSignedWith(signatureAlgorithm, { key: { kind: keyKind, verifying }, signed, signature })
  return isSigned ? undefined : notSigned
}

const notSigned = 'a CA by that name did not sign it'

/** Whether the issuer's key can be the one that a certificate names, where both name theirs. Spares the signature. */
function isKeyOf({ authorityKeyId }: Certificate, { subjectKeyId }: Certificate): boolean {
  return authorityKeyId === undefined || subjectKeyId === undefined || authorityKeyId.equals(subjectKeyId)
}

/** Why a certificate may not sign others; `undefined` when it may. @see X509-SVID.md, 3.2, 4.1 and 4.3 */
export function signingFault(certificate: Certificate): string | undefined {
  if (!certificate.isCa) return 'its issuer is no CA'
  if (certificate.keyUsage?.bits.has(keyUsages.keyCertSign) !== true)
    return 'its issuer may not sign certificates'
  if (certificate.unknownCritical.length > 0) return 'a CA has a critical extension that is not understood'
  const uris = certificate.altNames.filter(({ tag }) => tag === 6)
  if (uris.some(({ text }) => /^spiffe:\/\/[^/]*\/./.test(text)))
    return 'its issuer is a workload by its SPIFFE ID'
  return undefined
}
