import { LRUCache } from 'lru-cache'
import { type Bucket, charge, type Rate, refund, smallRateOf, waitUs } from '#base/gcra.ts'

export interface BudgetOptions {
  /** Signatures that prove wrong and are paid for each second, for one peer. */
  readonly perSecond: number
  /** The same at once. */
  readonly burst: number
}

const maxPeers = 4096

/**
 * How many wrong signatures one peer may make us check, or what costs as much. Who has spent it is refused before, so that
 * junk from one peer takes no time from the others. Good tokens are free.
 */
export class VerificationBudget {
  readonly #rate: Rate
  readonly #buckets = new LRUCache<string, Bucket>({ max: maxPeers })

  constructor({ perSecond, burst }: BudgetOptions) {
    this.#rate = smallRateOf({ rate: perSecond, windowMs: 1000, burst })
  }

  isSpent(peer: string, nowUs: number): boolean {
    const bucket = this.#buckets.peek(peer)
    return bucket !== undefined && waitUs(bucket, this.#rate, nowUs) > 0
  }

  charge(peer: string, signatures: number, nowUs: number): void {
    let bucket = this.#buckets.get(peer)
    if (bucket === undefined) {
      bucket = { level: 0, atUs: 0 }
      this.#buckets.set(peer, bucket)
    }
    for (let each = 0; each < signatures; each++) charge(bucket, this.#rate, nowUs)
  }

  /** Gives back one that was charged at a time and proved to be none. */
  refund(peer: string, chargedAtUs: number, nowUs: number): void {
    const bucket = this.#buckets.peek(peer)
    if (bucket !== undefined) refund(bucket, this.#rate, chargedAtUs, nowUs)
  }
}
