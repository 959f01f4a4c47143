import { systemClock } from '#base/clock.ts'
import { SluiceError } from '#base/errors.ts'
import type { TrustBundle } from '../bundle/trust-bundle.ts'
import type { BundleLayer } from '../source/bundle-layer.ts'
import { Subscribers } from '../source/subscribers.ts'
import { type Poll, type PollOptions, pollEndpoint } from './poll.ts'

/** Where the bundle of another trust domain is, and how the endpoint is known. */
export interface FederatedEndpoint {
  readonly url: string
  readonly profile: 'https_web' | 'https_spiffe'
  /** For `https_spiffe`: who the endpoint must be. */
  readonly endpointSpiffeId?: string | undefined
  /** For `https_spiffe`: a file with the first bundle to know the endpoint by. */
  readonly bundle?: string | undefined
}

/**
 * Keeps the bundles of other trust domains fresh from their endpoints, each asked as often as its bundle says. Whatever an
 * endpoint does, the last good bundle stays, and `problem()` says since when.
 *
 * @throws SluiceError for an endpoint whose URL carries user info.
 * @see SPIFFE_Federation.md
 */
export function openFederation(
  endpoints: Readonly<Record<string, FederatedEndpoint>>,
  options: Partial<Omit<PollOptions, 'onChange'>> = {},
): BundleLayer {
  const subscribers = new Subscribers<void>()
  for (const [trustDomain, { url }] of Object.entries(endpoints)) checkUrl(trustDomain, url)
  const polls = Object.entries(endpoints).map(([trustDomain, endpoint]) =>
    pollEndpoint(trustDomain, endpoint, {
      ...{ clock: systemClock, bundleFor: () => undefined },
      ...options,
      onChange: () => subscribers.tell(),
    }),
  )
  return {
    current: () =>
      new Map(
        polls.map((poll) => [poll.trustDomain, poll.bundle()]).filter((entry) => entry[1] !== undefined) as [
          string,
          TrustBundle,
        ][],
      ),
    subscribe: (listener) => subscribers.add(listener, undefined),
    problem: () => {
      const said = polls.map((poll) => poll.problem()).filter((each) => each !== undefined)
      return said.length === 0 ? undefined : said.join('; ')
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(polls.map((poll: Poll) => poll[Symbol.asyncDispose]()))
    },
  }
}

function checkUrl(trustDomain: string, url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 'https:' && parsed.username === '' && parsed.password === '') return
  throw new SluiceError({
    code: 'federation_url_invalid',
    place: `identity.federation.${trustDomain}.url`,
    // Not the text itself, which may have a password in it.
    found: parsed === undefined ? 'no URL' : parsed.protocol === 'https:' ? 'user info' : parsed.protocol,
    expected: 'https:// and no user info',
  })
}
