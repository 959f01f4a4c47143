import type { TrustBundles } from '../bundle/trust-bundle.ts'

/** Bundles of other trust domains, beside those that come with our own identity. */
export interface BundleLayer extends AsyncDisposable {
  current(): TrustBundles
  /** Calls after each change. */
  subscribe(listener: () => void): Disposable
  problem(): string | undefined
}
