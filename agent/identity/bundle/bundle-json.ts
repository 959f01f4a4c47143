import { parseWithSource } from '#base/raw-json.ts'
import { parseStrictJson } from '#base/strict-json.ts'

/** Far more than the largest trust domain's keys. */
export const maxBundleCharacters = 1 << 20

export type BundleJson =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly why: string }

const digits = /^\d{1,20}$/

/**
 * Reads the JSON of a bundle or of a map of bundles. A member that stands twice is refused wherever it is: it could make
 * another bundle count than the one that was looked at. `spiffe_sequence` comes as a bigint, for it has 64 bits.
 *
 * @see SPIFFE_Trust_Domain_and_Bundle.md, 4.1.1 and 6.3
 */
export function readBundleJson(text: string): BundleJson {
  if (text.length > maxBundleCharacters) return { ok: false, why: 'a bundle of over 1 MiB' }
  const strict = parseStrictJson(text)
  if (!strict.ok) return { ok: false, why: `not JSON that has one meaning: ${strict.why}` }
  const value = parseWithSource(text, (key, plain, { source }) =>
    key === 'spiffe_sequence' && source !== undefined && digits.test(source) ? BigInt(source) : plain,
  )
  return { ok: true, value }
}
