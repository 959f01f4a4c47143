import type { TrustBundles } from '../bundle/trust-bundle.ts'
import type { X509Svid } from '../x509/svid.ts'
import { expiryProblem } from './expiry.ts'

/** All that is known of identities at one moment. It replaces whatever was known before: what is absent is gone. */
export interface IdentityState {
  /** Another one for each change of the bundles. */
  readonly generation: number
  /** Our own; the first is the default. Empty where the source takes them back. */
  readonly svids: readonly X509Svid[]
  readonly bundles: TrustBundles
}

/** Where our own identity and the trust bundles come from: SPIRE, files, the development CA. */
export interface IdentitySource extends AsyncDisposable {
  /** `undefined` until the first one is complete. */
  current(): IdentityState | undefined
  /** Calls after each change, and at once where there is a state already. */
  subscribe(listener: (state: IdentityState) => void): Disposable
  /** Why what is known is not there, not fresh, or about to expire; `undefined` when all is well. */
  problem(): string | undefined
}

/**
 * Why nobody new should be sent here: we have no identity to show, or one that ends soon. Whoever is here is served on.
 * `undefined` where nothing is known yet, which is another matter.
 */
export function identityEnd(state: IdentityState | undefined, nowMs: number): string | undefined {
  if (state === undefined) return undefined
  if (state.svids.length === 0) return 'no identity of our own'
  for (const svid of state.svids) {
    const problem = expiryProblem(svid, nowMs)
    if (problem !== undefined) return problem
  }
  return undefined
}
