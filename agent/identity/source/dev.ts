import { createPrivateKey } from 'node:crypto'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { pause as systemPause } from '#base/pause.ts'
import { nextPemBlock } from '#crypto/pem.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import type { TrustBundle } from '../bundle/trust-bundle.ts'
import { openDevAuthority } from '../dev-ca/authority.ts'
import { leewayMs, renewalMs } from '../dev-ca/rotation.ts'
import { parseSpiffeId, type SpiffeId } from '../spiffe-id.ts'
import { parseX509Svid, type X509Svid } from '../x509/svid.ts'
import { Publisher } from './publisher.ts'
import type { IdentitySource } from './source.ts'
import { waitUntil } from './wait-until.ts'

export interface DevSourceOptions {
  /** Of the development CA; made when it is empty. */
  readonly dir: string
  readonly spiffeId: string
  readonly dnsNames?: readonly string[]
  readonly ttlSeconds: number
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly clock?: Clock
  readonly pause?: typeof systemPause
  /** From 0 to 1. */
  readonly random?: () => number
}

/** After a failure, at most. */
const retryMs = 30_000

/**
 * Our identity from a development CA in a folder, renewed at half of its life. For laptops and tests: whoever reads that
 * folder can be anybody, which is why it says so when it starts.
 *
 * @throws SluiceError where the identity or the CA is not one.
 */
export async function openDevSource(options: DevSourceOptions): Promise<IdentitySource> {
  const {
    dir,
    log,
    dnsNames = [],
    ttlSeconds,
    clock = systemClock,
    pause = systemPause,
    random = Math.random,
  } = options
  const parsed = parseSpiffeId(options.spiffeId)
  if (!parsed.ok)
    throw new SluiceError({
      code: 'config_invalid',
      place: 'identity.source.spiffeId',
      found: `${JSON.stringify(options.spiffeId)}: ${parsed.why}`,
      expected: 'a SPIFFE ID such as spiffe://example.org/ns/a',
    })
  const { id } = parsed
  const publisher = new Publisher({ clock, pause })
  const closing = new AbortController()
  let failure: string | undefined

  const renew = () => publisher.publish(issue(dir, { id, dnsNames, ttlSeconds, clock }))
  renew()
  log.warn(
    { dir, spiffeId: id.text },
    'identities come from a DEVELOPMENT CA: whoever reads its folder can be anybody; never use it in production',
  )

  const rotate = async () => {
    let [issuedMs, nextMs] = [clock.nowMs(), renewalMs(clock.nowMs(), ttlSeconds, random())]
    for (;;) {
      await waitUntil(nextMs, { clock, pause }, closing.signal, issuedMs - leewayMs)
      if (closing.signal.aborted) return
      try {
        renew()
        failure = undefined
        issuedMs = clock.nowMs()
        nextMs = renewalMs(clock.nowMs(), ttlSeconds, random())
        log.info({ spiffeId: id.text }, 'identity renewed by the development CA')
      } catch (thrown) {
        failure = `not renewed: ${messageOf(thrown)}`
        issuedMs = clock.nowMs()
        nextMs = issuedMs + Math.min(retryMs, ttlSeconds * 50)
        log.error({ spiffeId: id.text, why: failure }, 'identity not renewed; the last good one stays')
      }
    }
  }
  const rotating = rotate()

  return {
    current: () => publisher.current(),
    subscribe: (listener) => publisher.subscribe(listener),
    problem: () => {
      const told = [failure, publisher.expiry()].filter((each) => each !== undefined)
      return told.length === 0 ? undefined : told.join('; ')
    },
    [Symbol.asyncDispose]: async () => {
      closing.abort()
      publisher[Symbol.dispose]()
      await rotating
    },
  }
}

/** The CA is read each time: who made another one meanwhile has meant it. */
function issue(
  dir: string,
  {
    id,
    dnsNames,
    ttlSeconds,
    clock,
  }: {
    readonly id: SpiffeId
    readonly dnsNames: readonly string[]
    readonly ttlSeconds: number
    readonly clock: Clock
  },
): { readonly svids: readonly X509Svid[]; readonly bundles: ReadonlyMap<string, TrustBundle> } {
  const { trustDomain } = id
  const { ca, certificate, jwt } = openDevAuthority(dir, { trustDomain, clock })
  const issued = ca.issue({ spiffeId: id.text, dnsNames, ttlSeconds })
  const svid = parseX509Svid({
    chain: [nextPemBlock(issued.certificatePem)?.block.bytes ?? Buffer.alloc(0)],
    privateKey: createPrivateKey(issued.privateKeyPem),
    authorities: () => [certificate],
    nowMs: clock.nowMs(),
  })
  if (!svid.ok) {
    const expected = 'a CA whose certificate and key belong together'
    throw new SluiceError({ code: 'dev_ca_unusable', place: dir, found: svid.why, expected })
  }
  const bundle = { trustDomain, x509Authorities: [certificate], jwtAuthorities: [jwt.key] }
  return { svids: [svid.svid], bundles: new Map([[trustDomain, bundle]]) }
}
