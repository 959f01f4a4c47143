import type { Clock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import { parseSpiffeBundle } from '../bundle/bundle.ts'
import { readBundleFile } from '../bundle/bundle-file.ts'
import { isOlder, verifiesTheSame } from '../bundle/bundle-set.ts'
import type { TrustBundle } from '../bundle/trust-bundle.ts'
import type { Certificate } from '../x509/certificate.ts'
import { type Connect, connectSpiffe, connectWeb } from './connect.ts'
import type { FederatedEndpoint } from './federation.ts'
import { fetchBundleText } from './fetch.ts'

export interface PollOptions {
  readonly clock: Clock
  /** The newest bundle of a trust domain from elsewhere: what an endpoint is known by that is of another one. */
  readonly bundleFor: (trustDomain: string) => TrustBundle | undefined
  /** Calls back after a while; by default with a timer that keeps no process alive. */
  readonly schedule?: (callback: () => void, delayMs: number) => Disposable
  readonly random?: () => number
  /** PEM of CAs in place of the web's, for tests. */
  readonly webRoots?: string
  readonly onChange?: () => void
}

export interface Poll extends AsyncDisposable {
  readonly trustDomain: string
  /** The last good one. */
  bundle(): TrustBundle | undefined
  problem(): string | undefined
}

/** Where a bundle has no refresh hint. @see SPIFFE_Federation.md, 4.1 */
const defaultIntervalSeconds = 300
/** What an endpoint says must neither flood it nor let a revocation wait for days. */
const [minIntervalSeconds, maxIntervalSeconds] = [30, 3600]
/** Until the first answer. */
const firstRetrySeconds = 5
const timeoutMs = 15_000

/** Asks one endpoint again and again. */
export function pollEndpoint(trustDomain: string, endpoint: FederatedEndpoint, options: PollOptions): Poll {
  const { clock, schedule = afterwards, random = Math.random, onChange } = options
  const { origin, pathname } = new URL(endpoint.url)
  // Without the query, which may be secret.
  const place = `${origin}${pathname}`
  const stopping = new AbortController()
  let latest: TrustBundle | undefined
  let trouble: string | undefined = 'not asked yet'
  let goodAtMs: number | undefined
  let failures = 0
  let timer: Disposable | undefined
  /** The file that the endpoint was first known by; when a person changes it, it is the newest bundle again. */
  let bootstrap: TrustBundle | undefined
  const endpointDomain = /^spiffe:\/\/([^/]+)/.exec(endpoint.endpointSpiffeId ?? '')?.[1] ?? ''
  const isSelfServing = endpointDomain === trustDomain

  const take = (bundle: TrustBundle) => {
    const hasChanged = latest === undefined || !verifiesTheSame(latest, bundle)
    latest = bundle
    if (hasChanged) onChange?.()
  }

  /** @throws Error where the file cannot be read and there is nothing else to know the endpoint by. */
  const readBootstrap = () => {
    if (endpoint.bundle === undefined) return
    const read = readBundleFile(endpointDomain, endpoint.bundle)
    if (!read.ok && bootstrap === undefined) throw new Error(read.why)
    if (!read.ok || (bootstrap !== undefined && verifiesTheSame(bootstrap, read.bundle))) return
    bootstrap = read.bundle
    if (isSelfServing) take(read.bundle)
  }

  const authorities = (): readonly Certificate[] | undefined =>
    (isSelfServing ? latest : (options.bundleFor(endpointDomain) ?? bootstrap))?.x509Authorities

  const connect: Connect =
    endpoint.profile === 'https_spiffe'
      ? connectSpiffe({ endpointSpiffeId: endpoint.endpointSpiffeId ?? '', authorities, clock })
      : connectWeb({ roots: options.webRoots })

  /** @throws Error */
  const ask = async (): Promise<void> => {
    readBootstrap()
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(timeoutMs)])
    const parsed = parseSpiffeBundle(trustDomain, await fetchBundleText(endpoint.url, { connect, signal }))
    if (!parsed.ok) throw new Error(parsed.why)
    if (latest !== undefined && isOlder(parsed.bundle, latest))
      throw new Error(`a bundle of sequence ${parsed.bundle.sequence} after one of ${latest.sequence}`)
    take(parsed.bundle)
  }

  const turn = async (): Promise<void> => {
    try {
      await ask()
      trouble = undefined
      goodAtMs = clock.nowMs()
      failures = 0
    } catch (thrown) {
      if (stopping.signal.aborted) return
      trouble = messageOf(thrown)
      failures++
    }
    timer = schedule(run, nextDelaySeconds() * 1000 * (0.9 + 0.2 * random()))
  }

  const nextDelaySeconds = (): number => {
    if (goodAtMs === undefined)
      return Math.min(defaultIntervalSeconds, firstRetrySeconds * 2 ** Math.min(failures - 1, 10))
    const hint = latest?.refreshHintSeconds ?? defaultIntervalSeconds
    return Math.min(maxIntervalSeconds, Math.max(minIntervalSeconds, hint))
  }

  let running: Promise<void>
  const run = () => {
    running = turn()
  }
  run()
  return {
    trustDomain,
    bundle: () => latest,
    problem: () => {
      if (trouble === undefined) return undefined
      const since =
        goodAtMs === undefined ? '' : `; its bundle is ${Math.floor((clock.nowMs() - goodAtMs) / 1000)} s old`
      return `${trustDomain}: ${place}: ${trouble}${since}`
    },
    [Symbol.asyncDispose]: async () => {
      stopping.abort(new Error('stopped'))
      timer?.[Symbol.dispose]()
      await running
    },
  }
}

function afterwards(callback: () => void, delayMs: number): Disposable {
  const timer = setTimeout(callback, delayMs).unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
