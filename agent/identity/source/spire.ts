import { type Clock, systemClock } from '#base/clock.ts'
import { SluiceError } from '#base/errors.ts'
import { pause as systemPause } from '#base/pause.ts'
import type { GrpcClient } from '#grpc/client.ts'
import type { Status } from '#grpc/service.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import type { TrustBundle } from '../bundle/trust-bundle.ts'
import { grpcTarget, parseEndpointAddress } from '../workload-api/address.ts'
import { createWorkloadApiClient, type WorkloadApiClient } from '../workload-api/client.ts'
import { type JwtAuthorities, parseJwtBundlesResponse } from '../workload-api/jwt-bundles.ts'
import { createJwtCache, type FetchedJwtSvid } from '../workload-api/jwt-cache.ts'
import { maxMessageBytes, statusCode } from '../workload-api/protocol.ts'
import type { StreamWatcher } from '../workload-api/watch.ts'
import {
  type Authorities,
  type Parsed,
  parseX509BundlesResponse,
  parseX509SvidResponse,
  type X509Update,
} from '../workload-api/x509-messages.ts'
import { Publisher } from './publisher.ts'
import type { IdentitySource } from './source.ts'

/** A source that can also get us tokens. */
export interface SpireSource extends IdentitySource, Pick<WorkloadApiClient, 'validateJwtSvid'> {
  /** A token to show to `audience`, kept until half of its life is over. */
  fetchJwtSvid(audience: string): Promise<FetchedJwtSvid>
}

export interface SpireSourceOptions {
  /** `unix:///path` or `tcp://IP:port`. */
  readonly socket: string
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly clock?: Clock
  readonly pause?: typeof systemPause
  readonly connect?: (target: string) => GrpcClient
}

/** What one stream said last. */
interface Channel<T> {
  readonly name: string
  /** Without it there is no state at all; the others add to it. */
  readonly isMain: boolean
  value: T | undefined
  /** It has said something, be it no. */
  isSettled: boolean
  /** What was wrong with what it said. */
  refusal: string | undefined
  /** Why it says nothing more. */
  lost: string | undefined
}

/**
 * Our identities and trust bundles from a SPIFFE Workload API, such as that of a SPIRE agent. Each message replaces what was
 * known, so that what is taken back is gone at once; one that is not in order changes nothing. A Workload API that does not
 * answer takes nothing back: what was known holds until it expires.
 *
 * Resolves before the first message; where nobody answers, there is no state until somebody does.
 *
 * @throws SluiceError where the socket is none.
 * @see SPIFFE_Workload_API.md
 */
export async function openSpireSource(options: SpireSourceOptions): Promise<SpireSource> {
  const { socket, log, clock = systemClock, pause = systemPause } = options
  const parsed = parseEndpointAddress(socket)
  if (!parsed.ok)
    throw new SluiceError({
      code: 'config_invalid',
      place: 'identity.source.socket',
      found: `${JSON.stringify(socket)}: ${parsed.why}`,
      expected: 'unix:///path or tcp://IP:port',
    })
  const client = (options.connect ?? (await connector()))(grpcTarget(parsed.address))
  const closing = new AbortController()
  const api = createWorkloadApiClient({ client, clock, pause, signal: closing.signal })
  const publisher = new Publisher({ clock, pause })
  publisher.subscribe(({ svids, bundles }) => {
    const identities = svids.map(({ id, chain: [leaf] }) => ({ id: id.text, notAfterMs: leaf?.notAfterMs }))
    log.info({ identities, trustDomains: [...bundles.keys()] }, 'identities and trust bundles in force')
  })
  const tokens = createJwtCache({ fetch: (audience) => api.fetchJwtSvid(audience), clock })

  const x509 = channel<X509Update>('FetchX509SVID', true)
  const x509Bundles = channel<Authorities>('FetchX509Bundles', false)
  const jwtBundles = channel<JwtAuthorities>('FetchJWTBundles', false)
  const channels = [x509, x509Bundles, jwtBundles]

  const changed = () => {
    if (channels.some(({ isSettled }) => !isSettled)) return
    const authorities = x509.value?.authorities ?? x509Bundles.value
    publisher.publish({
      svids: x509.value?.svids ?? [],
      bundles: joinBundles(authorities, jwtBundles.value),
    })
  }
  const onX509End = () => {
    if (x509.value === undefined) tokens.clear()
  }

  const follow = <T>(of: Channel<T>, parse: (message: Buffer) => Parsed<T>): StreamWatcher => ({
    onMessage: (message) => {
      if (of.lost !== undefined) log.info({ stream: of.name }, 'the Workload API answers again')
      of.lost = undefined
      take(of, parse(message), log)
      changed()
    },
    onEnd: (status) => {
      end(of, status, log)
      onX509End()
      changed()
    },
  })
  const running = Promise.all([
    api.watchX509Svids(follow(x509, (message) => parseX509SvidResponse(message, clock.nowMs()))),
    api.watchX509Bundles(follow(x509Bundles, parseX509BundlesResponse)),
    api.watchJwtBundles(follow(jwtBundles, parseJwtBundlesResponse)),
  ])

  return {
    current: () => publisher.current(),
    subscribe: (listener) => publisher.subscribe(listener),
    problem: () => {
      const lost = x509.lost === undefined ? undefined : `the Workload API does not answer (${x509.lost})`
      const refusals = channels.map(({ refusal }) => refusal)
      const expiry = publisher.expiry()
      // Who has what is valid for long need not know that nobody answers at the moment.
      const isLostTold = expiry !== undefined || publisher.current() === undefined
      const told = [...refusals, expiry, isLostTold ? lost : undefined].filter((each) => each !== undefined)
      if (told.length > 0) return told.join('; ')
      return publisher.current() === undefined ? 'the Workload API has not said anything yet' : undefined
    },
    fetchJwtSvid: (audience) => tokens.get(audience),
    validateJwtSvid: (token, audience) => api.validateJwtSvid(token, audience),
    [Symbol.asyncDispose]: async () => {
      closing.abort()
      publisher[Symbol.dispose]()
      await running
      client[Symbol.dispose]()
    },
  }
}

/** Who needs no Workload API does not pay for the library either. */
async function connector(): Promise<NonNullable<SpireSourceOptions['connect']>> {
  const { openGrpcClient } = await import('#grpc/client.ts')
  return (target) => openGrpcClient({ target, maxMessageBytes })
}

function channel<T>(name: string, isMain: boolean): Channel<T> {
  return { name, isMain, value: undefined, isSettled: false, refusal: undefined, lost: undefined }
}

function take<T>(of: Channel<T>, parsed: Parsed<T>, log: SpireSourceOptions['log']): void {
  if (parsed.ok) {
    of.value = parsed.value
    of.isSettled = true
    of.refusal = undefined
    return
  }
  of.refusal = `${of.name} was refused: ${parsed.why}`
  // X.509 does not wait for JWT to be in order.
  if (!of.isMain) of.isSettled = true
  log.error(
    { stream: of.name, why: parsed.why },
    'a message of the Workload API is refused; the last good one stays',
  )
}

function end<T>(of: Channel<T>, { code, message }: Status, log: SpireSourceOptions['log']): void {
  const about = { stream: of.name, code, message }
  switch (code) {
    case statusCode.permissionDenied:
      if (!of.isSettled || of.value !== undefined)
        log.error(about, 'the Workload API has nothing for this process; what it gave is not used any more')
      of.value = undefined
      of.isSettled = true
      of.refusal = `${of.name}: nothing is registered for this process (${message})`
      of.lost = undefined
      return
    case statusCode.unimplemented:
      log.warn(about, 'the Workload API does not implement this and is not asked again')
      of.value = undefined
      of.isSettled = true
      of.refusal = of.isMain ? `${of.name} is not implemented` : undefined
      of.lost = undefined
      return
    case statusCode.invalidArgument:
      log.error(about, 'the Workload API does not understand this process and is not asked again')
      of.refusal = `${of.name} ended for good (${message})`
      if (!of.isMain) of.isSettled = true
      return
    case statusCode.resourceExhausted:
      // A message that is too large, by our own word.
      log.error(about, 'a message of the Workload API is refused; the last good one stays')
      of.refusal = `${of.name} was refused: ${message}`
      if (!of.isMain) of.isSettled = true
      return
    default:
      if (of.lost === undefined) log.warn(about, 'the Workload API does not answer; it is asked again')
      of.lost = `status ${code}: ${message}`
  }
}

function joinBundles(
  authorities: Authorities | undefined,
  jwtAuthorities: JwtAuthorities | undefined,
): ReadonlyMap<string, TrustBundle> {
  const domains = new Set([...(authorities?.keys() ?? []), ...(jwtAuthorities?.keys() ?? [])])
  const bundle = (trustDomain: string): TrustBundle => ({
    trustDomain,
    x509Authorities: authorities?.get(trustDomain) ?? [],
    jwtAuthorities: jwtAuthorities?.get(trustDomain) ?? [],
  })
  return new Map([...domains].map((each) => [each, bundle(each)]))
}
