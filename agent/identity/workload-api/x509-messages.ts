import { createPrivateKey, type KeyObject } from 'node:crypto'
import { fromBinary } from '@bufbuild/protobuf'
import { messageOf } from '#base/errors.ts'
import {
  X509BundlesResponseSchema,
  type X509SVID,
  type X509SVIDResponse,
  X509SVIDResponseSchema,
} from '#gen/spiffe/workload/workload_pb.js'
import { parseSpiffeId } from '../spiffe-id.ts'
import type { Certificate } from '../x509/certificate.ts'
import { type Crl, isRevoked, parseCrl } from '../x509/crl.ts'
import { parseX509Svid, type X509Svid } from '../x509/svid.ts'
import { parseAuthorities, splitDer } from './certificates.ts'
import { parseTrustDomainId } from './trust-domain-id.ts'

/** By the name of the trust domain. */
export type Authorities = ReadonlyMap<string, readonly Certificate[]>

/** The whole of one message: whatever a message before said and this one does not is gone. */
export interface X509Update {
  /** The first is the default; of those with one hint, the first only. At least one. */
  readonly svids: readonly X509Svid[]
  /** Our own trust domain's and those that ours is federated with. */
  readonly authorities: Authorities
}

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string }

const maxSvids = 128
const maxBundles = 4096

const no = (why: string) => ({ ok: false, why }) as const

/** Reads an `X509SVIDResponse`. Anything wrong in it, and nothing of it counts. */
export function parseX509SvidResponse(bytes: Uint8Array, nowMs: number): Parsed<X509Update> {
  let message: X509SVIDResponse
  let crls: readonly Crl[]
  try {
    message = fromBinary(X509SVIDResponseSchema, bytes)
    crls = message.crl.map((each) => parseCrl(Buffer.from(each)))
  } catch (thrown) {
    return no(messageOf(thrown))
  }
  if (message.svids.length === 0) return no('no identity')
  if (message.svids.length > maxSvids) return no(`more than ${maxSvids} identities`)
  const authorities = new Map<string, readonly Certificate[]>()
  for (const svid of message.svids) {
    const id = parseSpiffeId(svid.spiffeId)
    if (!id.ok) return no(`the identity ${quoted(svid.spiffeId)}: ${id.why}`)
    const fault = addAuthorities(authorities, id.id.trustDomain, svid.bundle)
    if (fault !== undefined) return no(fault)
  }
  const svids: X509Svid[] = []
  const hints = new Set<string>()
  for (const each of message.svids) {
    if (each.hint !== '' && hints.has(each.hint)) continue
    hints.add(each.hint)
    const svid = parseSvid(each, { authorities, crls, nowMs })
    if (!svid.ok) return no(`the identity ${each.spiffeId}: ${svid.why}`)
    svids.push(svid.value)
  }
  const fault = addAll(authorities, message.federatedBundles)
  return fault === undefined ? { ok: true, value: { svids, authorities } } : no(fault)
}

/** Reads an `X509BundlesResponse`. */
export function parseX509BundlesResponse(bytes: Uint8Array): Parsed<Authorities> {
  const authorities = new Map<string, readonly Certificate[]>()
  try {
    const { bundles, crl } = fromBinary(X509BundlesResponseSchema, bytes)
    for (const each of crl) parseCrl(Buffer.from(each))
    const fault = addAll(authorities, bundles)
    return fault === undefined ? { ok: true, value: authorities } : no(fault)
  } catch (thrown) {
    return no(messageOf(thrown))
  }
}

function parseSvid(
  { spiffeId, x509Svid, x509SvidKey, hint }: X509SVID,
  known: { readonly authorities: Authorities; readonly crls: readonly Crl[]; readonly nowMs: number },
): Parsed<X509Svid> {
  let chain: readonly Buffer[]
  let privateKey: KeyObject
  try {
    chain = splitDer(x509Svid)
  } catch (thrown) {
    return no(messageOf(thrown))
  }
  try {
    privateKey = createPrivateKey({ key: Buffer.from(x509SvidKey), format: 'der', type: 'pkcs8' })
  } catch {
    // What OpenSSL says of it may be logged; what it is of may not.
    return no('the private key is no PKCS #8 key')
  }
  const parsed = parseX509Svid({
    ...{ chain, privateKey, hint, nowMs: known.nowMs },
    authorities: (trustDomain) => known.authorities.get(trustDomain),
  })
  if (!parsed.ok) return parsed
  const { id, chain: certificates } = parsed.svid
  if (id.text !== spiffeId) return no(`the certificate is of ${id.text}`)
  const authorities = known.authorities.get(id.trustDomain) ?? []
  if (certificates.some((each) => isRevoked(each, known.crls, authorities)))
    return no('the certificate is revoked')
  return { ok: true, value: parsed.svid }
}

function addAll(
  authorities: Map<string, readonly Certificate[]>,
  bundles: Readonly<Record<string, Uint8Array>>,
): string | undefined {
  const entries = Object.entries(bundles)
  if (entries.length > maxBundles) return `more than ${maxBundles} trust bundles`
  for (const [key, bytes] of entries) {
    const id = parseTrustDomainId(key)
    if (!id.ok) return `the trust bundle ${quoted(key)}: ${id.why}`
    const fault = addAuthorities(authorities, id.trustDomain, bytes)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** One trust domain has one bundle, however often it stands there. */
function addAuthorities(
  authorities: Map<string, readonly Certificate[]>,
  trustDomain: string,
  bytes: Uint8Array,
): string | undefined {
  const parsed = parseAuthorities(bytes)
  if (!parsed.ok) return `the trust bundle of ${trustDomain}: ${parsed.why}`
  const before = authorities.get(trustDomain)
  if (before !== undefined && !isSame(before, parsed.certificates))
    return `two trust bundles of ${trustDomain}`
  authorities.set(trustDomain, parsed.certificates)
  return undefined
}

function isSame(one: readonly Certificate[], other: readonly Certificate[]): boolean {
  return one.length === other.length && one.every(({ sha256 }, index) => sha256 === other[index]?.sha256)
}

/** A text from outside, as a log may have it. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200))
}
