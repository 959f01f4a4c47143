import { isSameBundles } from '../bundle/bundle-set.ts'
import { expiresAtMs, type X509Svid } from '../x509/svid.ts'
import type { IdentityState } from './source.ts'
import { Subscribers } from './subscribers.ts'
import { type Timing, waitUntil } from './wait-until.ts'

/** Less of its life than this is left, and somebody should know that there is no other: what rotates does so at a half. */
const scarcePart = 0.1

type Contents = Pick<IdentityState, 'svids' | 'bundles'>

/**
 * Holds what a source knows now and tells those who listen of each change. What has expired is not known any more, whether
 * there is anything in its place or not.
 */
export class Publisher implements Disposable {
  readonly #timing: Timing
  readonly #subscribers = new Subscribers<IdentityState>()
  #state: IdentityState | undefined
  /** Of the first that ends. */
  #endMs = Number.POSITIVE_INFINITY
  #expired: readonly X509Svid[] = []
  #timer = new AbortController()

  constructor(timing: Timing) {
    this.#timing = timing
  }

  current(): IdentityState | undefined {
    this.#dropExpired()
    return this.#state
  }

  /** Replaces everything. Nobody hears of what is as it was. */
  publish({ svids, bundles }: Contents): void {
    const { alive, expired } = this.#byExpiry(svids)
    this.#expired = expired
    this.#replace({ svids: alive, bundles })
  }

  subscribe(listener: (state: IdentityState) => void): Disposable {
    return this.#subscribers.add(listener, this.current())
  }

  /** What has expired or is about to. */
  expiry(): string | undefined {
    this.#dropExpired()
    const [gone] = this.#expired
    if (gone !== undefined) return `${gone.id.text} has expired`
    const nowMs = this.#timing.clock.nowMs()
    for (const svid of this.#state?.svids ?? []) {
      const leftMs = expiresAtMs(svid) - nowMs
      const lifeMs = expiresAtMs(svid) - (svid.chain[0]?.notBeforeMs ?? 0)
      if (leftMs < lifeMs * scarcePart)
        return `${svid.id.text} expires in ${Math.ceil(leftMs / 1000)} s and was not renewed`
    }
    return undefined
  }

  [Symbol.dispose](): void {
    this.#timer.abort()
    this.#subscribers.clear()
  }

  #dropExpired(): void {
    // Asked for with each request.
    if (this.#state === undefined || this.#timing.clock.nowMs() < this.#endMs) return
    const { svids, bundles } = this.#state
    const { alive, expired } = this.#byExpiry(svids)
    this.#expired = [...this.#expired, ...expired]
    this.#replace({ svids: alive, bundles })
  }

  #byExpiry(svids: readonly X509Svid[]): {
    readonly alive: readonly X509Svid[]
    readonly expired: readonly X509Svid[]
  } {
    const nowMs = this.#timing.clock.nowMs()
    return {
      alive: svids.filter((svid) => expiresAtMs(svid) > nowMs),
      expired: svids.filter((svid) => expiresAtMs(svid) <= nowMs),
    }
  }

  #replace({ svids, bundles }: Contents): void {
    const before = this.#state
    const areBundlesOther = before === undefined || !isSameBundles(bundles, before.bundles)
    if (!areBundlesOther && isSameSvids(svids, before.svids)) return
    const generation = (before?.generation ?? 0) + (areBundlesOther ? 1 : 0)
    this.#state = { generation, svids, bundles }
    this.#awaitExpiry(svids)
    this.#subscribers.tell(this.#state)
  }

  #awaitExpiry(svids: readonly X509Svid[]): void {
    this.#timer.abort()
    this.#timer = new AbortController()
    this.#endMs = Math.min(...svids.map(expiresAtMs))
    if (svids.length === 0) return
    const { signal } = this.#timer
    waitUntil(this.#endMs, this.#timing, signal).then(() => {
      if (!signal.aborted) this.#dropExpired()
    })
  }
}

function isSameSvids(some: readonly X509Svid[], others: readonly X509Svid[]): boolean {
  return (
    some.length === others.length && some.every((svid, index) => isSameSvid(svid, others[index] as X509Svid))
  )
}

function isSameSvid({ chain, hint }: X509Svid, other: X509Svid): boolean {
  return (
    hint === other.hint &&
    chain.length === other.chain.length &&
    chain.every(({ sha256 }, index) => sha256 === other.chain[index]?.sha256)
  )
}
