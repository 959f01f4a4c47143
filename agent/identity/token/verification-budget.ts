import { LRUCache } from 'lru-cache'

export interface BudgetOptions {
  /** Signatures that prove wrong and are paid for each second, for one peer. */
  readonly perSecond: number
  /** The same at once. */
  readonly burst: number
}

interface Account {
  /** What was spent and is not earned again yet. */
  spent: number
  atUs: number
}

const maxPeers = 4096

/**
 * How many wrong signatures one peer may make us check, or what costs as much. Who has spent it is refused before, so that
 * junk from one peer takes no time from the others. Good tokens are free.
 */
export class VerificationBudget {
  readonly #options: BudgetOptions
  readonly #accounts = new LRUCache<string, Account>({ max: maxPeers })

  constructor(options: BudgetOptions) {
    this.#options = options
  }

  isSpent(peer: string, nowUs: number): boolean {
    const account = this.#accounts.peek(peer)
    return account !== undefined && this.#owed(account, nowUs) + 1 > this.#options.burst
  }

  charge(peer: string, signatures: number, nowUs: number): void {
    const account = this.#accounts.get(peer)
    if (account === undefined) {
      this.#accounts.set(peer, { spent: signatures, atUs: nowUs })
      return
    }
    account.spent = this.#owed(account, nowUs) + signatures
    account.atUs = nowUs
  }

  #owed({ spent, atUs }: Account, nowUs: number): number {
    return Math.max(0, spent - ((nowUs - atUs) / 1e6) * this.#options.perSecond)
  }
}
