import type { TrustBundle, TrustBundles } from '../bundle/trust-bundle.ts'
import { expiresAtMs, type X509Svid } from '../x509/svid.ts'
import { expiryProblem } from './expiry.ts'
import type { IdentityState } from './source.ts'
import { type Timing, waitUntil } from './wait-until.ts'

type Contents = Pick<IdentityState, 'svids' | 'bundles'>

/**
 * Holds what a source knows now and tells those who listen of each change. What has expired is not known any more, whether
 * there is anything in its place or not.
 */
export class Publisher implements Disposable {
  readonly #timing: Timing
  readonly #listeners = new Set<(state: IdentityState) => void>()
  #state: IdentityState | undefined
  #svidsAre = ''
  #bundlesAre = ''
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
  publish(contents: Contents): void {
    this.#expired = []
    this.#replace(contents)
    this.#dropExpired()
  }

  subscribe(listener: (state: IdentityState) => void): Disposable {
    this.#listeners.add(listener)
    const state = this.current()
    if (state !== undefined) listener(state)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** What has expired or is about to. */
  expiry(): string | undefined {
    this.#dropExpired()
    const nowMs = this.#timing.clock.nowMs()
    for (const svid of [...this.#expired, ...(this.#state?.svids ?? [])]) {
      const problem = expiryProblem(svid, nowMs)
      if (problem !== undefined) return problem
    }
    return undefined
  }

  [Symbol.dispose](): void {
    this.#timer.abort()
    this.#listeners.clear()
  }

  #dropExpired(): void {
    const { svids = [], bundles } = this.#state ?? {}
    const nowMs = this.#timing.clock.nowMs()
    const expired = svids.filter((svid) => expiresAtMs(svid) <= nowMs)
    if (expired.length === 0 || bundles === undefined) return
    this.#expired = [...this.#expired, ...expired]
    this.#replace({ svids: svids.filter((svid) => !expired.includes(svid)), bundles })
  }

  #replace({ svids, bundles }: Contents): void {
    const [svidsAre, bundlesAre] = [svids.map(svidText).join(), bundlesText(bundles)]
    const before = this.#state
    const areBundlesOther = before === undefined || bundlesAre !== this.#bundlesAre
    if (!areBundlesOther && svidsAre === this.#svidsAre) return
    this.#svidsAre = svidsAre
    this.#bundlesAre = bundlesAre
    const generation = (before?.generation ?? 0) + (areBundlesOther ? 1 : 0)
    const state = { generation, svids, bundles }
    this.#state = state
    this.#awaitExpiry(svids)
    for (const listener of this.#listeners) {
      // One of them may have had it replaced.
      if (this.#state !== state) return
      listener(state)
    }
  }

  #awaitExpiry(svids: readonly X509Svid[]): void {
    this.#timer.abort()
    this.#timer = new AbortController()
    if (svids.length === 0) return
    const { signal } = this.#timer
    waitUntil(Math.min(...svids.map(expiresAtMs)), this.#timing, signal).then(() => {
      if (!signal.aborted) this.#dropExpired()
    })
  }
}

function svidText({ chain, hint }: X509Svid): string {
  return `${chain.map(({ sha256 }) => sha256).join('+')} ${hint}`
}

function bundlesText(bundles: TrustBundles): string {
  return [...bundles.values()].map(bundleText).sort().join('\n')
}

function bundleText({ trustDomain, x509Authorities, jwtAuthorities }: TrustBundle): string {
  const keys = jwtAuthorities.map(
    ({ keyId, publicKey }) =>
      `${JSON.stringify(keyId)}${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`,
  )
  return [trustDomain, ...x509Authorities.map(({ sha256 }) => sha256), ...keys].join(' ')
}
