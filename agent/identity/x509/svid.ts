import { createPublicKey, type KeyObject } from 'node:crypto'
import { messageOf } from '#base/errors.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import { findChain, signingFault } from './chain.ts'
import { parseLeaf } from './leaf.ts'

/** An identity of our own: a chain and the key that belongs to it. */
export interface X509Svid {
  readonly id: SpiffeId
  /** Leaf first. */
  readonly chain: readonly Certificate[]
  readonly privateKey: KeyObject
  /** What the Workload API says it is for; empty where it says nothing. */
  readonly hint: string
}

export type ParsedSvid =
  | { readonly ok: true; readonly svid: X509Svid }
  | { readonly ok: false; readonly why: string }

/** Certificates of one chain. */
const maxChain = 5

/**
 * Puts a chain and a private key together where they fit: the leaf keeps the rules of an X509-SVID, every other
 * certificate may sign, the key is the leaf's, the chain ends at one of the authorities, and nothing has expired.
 * A pair that does not fit is never used.
 *
 * @see X509-SVID.md
 */
export function parseX509Svid(given: {
  /** DER, leaf first. */
  readonly chain: readonly Buffer[]
  readonly privateKey: KeyObject
  readonly hint?: string
  /** Of the trust domain of the leaf, for which it is asked. */
  readonly authorities: (trustDomain: string) => readonly Certificate[] | undefined
  readonly nowMs: number
}): ParsedSvid {
  const [first, ...others] = given.chain
  if (first === undefined) return no('no certificate')
  if (given.chain.length > maxChain) return no(`a chain of ${given.chain.length} certificates`)
  const parsed = parseLeaf(first)
  if (!parsed.ok) return no(parsed.why)
  const { id, certificate } = parsed.leaf
  let intermediates: Certificate[]
  try {
    intermediates = others.map(parseCertificate)
  } catch (thrown) {
    return no(messageOf(thrown))
  }
  const { privateKey, hint = '' } = given
  const svid: X509Svid = { id, chain: [certificate, ...intermediates], privateKey, hint }
  const fault = svidFault(svid, { authorities: given.authorities(id.trustDomain), nowMs: given.nowMs })
  return fault === undefined ? { ok: true, svid } : no(fault)
}

/**
 * Why a pair cannot be used at a time, with what is known of its own trust domain then; `undefined` when it can. The
 * rules of its leaf were looked at when it was parsed.
 */
export function svidFault(
  { id, chain, privateKey }: X509Svid,
  at: { readonly authorities: readonly Certificate[] | undefined; readonly nowMs: number },
): string | undefined {
  const [certificate, ...intermediates] = chain
  if (certificate === undefined) return 'no certificate'
  try {
    const own = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
    if (!own.equals(certificate.publicKey().export({ type: 'spki', format: 'der' })))
      return 'the private key does not belong to the certificate'
  } catch (thrown) {
    return messageOf(thrown)
  }
  const fault = intermediates.map(signingFault).find((each) => each !== undefined)
  if (fault !== undefined) return `the chain: ${fault}`
  const { authorities, nowMs } = at
  if (nowMs >= certificate.notAfterMs) return 'the certificate has expired'
  if (nowMs < certificate.notBeforeMs) return 'the certificate is not valid yet'
  if (authorities === undefined) return `no trust bundle for ${id.trustDomain}`
  const verdict = findChain(certificate, { intermediates, authorities, nowMs })
  return verdict.ok ? undefined : verdict.why
}

const no = (why: string): ParsedSvid => ({ ok: false, why })

/** When the first certificate of a pair's chain expires, milliseconds since the epoch. */
export function expiresAtMs({ chain }: X509Svid): number {
  return Math.min(...chain.map(({ notAfterMs }) => notAfterMs))
}
