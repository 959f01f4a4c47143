import type { StoreFailurePolicy } from '../store/store.ts'

/** What holds for every limit of the service. */
export interface RateLimitSettings {
  /** Nothing is refused; what would have been, stands in the statuses. */
  readonly isShadow: boolean
  /** Every limit is as one in quota mode. */
  readonly isQuota: boolean
  /** Names of headers that tell the client of the limit that is nearest. */
  readonly headers?:
    | { readonly limit: string; readonly remaining: string; readonly reset: string }
    | undefined
  /** Whether Envoy is told what was asked, and what the limits say of themselves. */
  readonly hasMetadata: boolean
  readonly isLeased: boolean
  readonly onStoreFailure: StoreFailurePolicy
}
