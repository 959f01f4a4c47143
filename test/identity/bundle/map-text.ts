import { spiffeBundleText } from '#identity/bundle/bundle.ts'
import type { TrustBundle } from '#identity/bundle/trust-bundle.ts'

/** A map of bundles as a file has it. @see SPIFFE_Trust_Domain_and_Bundle.md, 5 */
export function trustBundleMapText(...bundles: readonly TrustBundle[]): string {
  const members = bundles.map(
    (bundle) => `${JSON.stringify(bundle.trustDomain)}: ${spiffeBundleText(bundle)}`,
  )
  return `{"trust_domains": {${members.join()}}}`
}
