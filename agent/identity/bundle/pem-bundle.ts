import { messageOf } from '#base/errors.ts'
import { nextPemBlock, type PemBlock } from '#crypto/pem.ts'
import { type Certificate, parseCertificate } from '../x509/certificate.ts'
import type { ParsedBundle } from './bundle.ts'
import { maxBundleCharacters } from './bundle-json.ts'

export type PemBlocks =
  | { readonly ok: true; readonly blocks: readonly PemBlock[] }
  | { readonly ok: false; readonly why: string }

/**
 * Every block of a PEM text; text between them is passed over. What begins like a block and is none is not: half of it may
 * have been written yet.
 */
export function pemBlocks(text: string): PemBlocks {
  if (text.length > maxBundleCharacters) return { ok: false, why: 'over 1 MiB of PEM' }
  const begun = text.split('-----BEGIN ').length - 1
  const blocks: PemBlock[] = []
  let rest = text
  for (let found = nextPemBlock(rest); found !== undefined; found = nextPemBlock(rest)) {
    blocks.push(found.block)
    rest = found.rest
  }
  return begun === blocks.length && begun > 0
    ? { ok: true, blocks }
    : { ok: false, why: begun === 0 ? 'no PEM' : 'a PEM block that is broken or half written' }
}

/**
 * Reads the CA certificates of a trust domain. A text without any is no bundle: an empty file is what a write begins
 * with. To revoke a trust domain, take its file out of the configuration or write a SPIFFE bundle without keys.
 */
export function parsePemBundle(trustDomain: string, text: string): ParsedBundle {
  const found = pemBlocks(text)
  if (!found.ok) return found
  const x509Authorities: Certificate[] = []
  for (const [index, { type, bytes }] of found.blocks.entries()) {
    if (type !== 'CERTIFICATE') return { ok: false, why: `block ${index} is ${type}, not CERTIFICATE` }
    try {
      x509Authorities.push(parseCertificate(bytes))
    } catch (thrown) {
      return { ok: false, why: `block ${index} is no certificate: ${messageOf(thrown)}` }
    }
  }
  return { ok: true, bundle: { trustDomain, x509Authorities, jwtAuthorities: [] } }
}
