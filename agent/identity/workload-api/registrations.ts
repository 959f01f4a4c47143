import { createPrivateKey } from 'node:crypto'
import { create, toBinary } from '@bufbuild/protobuf'
import { nextPemBlock } from '#crypto/pem.ts'
import {
  JWTBundlesResponseSchema,
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
} from '#gen/spiffe/workload/workload_pb.js'
import { spiffeBundleText } from '../bundle/bundle.ts'
import type { DevAuthority } from '../dev-ca/authority.ts'
import { leewayMs, renewalMs } from '../dev-ca/rotation.ts'
import { type Timing, waitUntil } from '../source/wait-until.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { trustDomainId } from './trust-domain-id.ts'

/** An identity that everybody on the socket is given. */
export interface Registration {
  readonly id: SpiffeId
  /** What it is for. */
  readonly hint?: string
}

/** What the streams send; `undefined` where nobody is registered. */
export interface Messages {
  readonly x509Svids: Uint8Array
  readonly x509Bundles: Uint8Array
  readonly jwtBundles: Uint8Array
}

/** Keeps identities of a development CA for those that are registered, fresh at every time. */
export interface Registrations extends AsyncDisposable {
  current(): readonly Registration[]
  /** In place of those before. */
  replace(registrations: readonly Registration[]): void
  messages(): Messages | undefined
  /** Tells of each change. */
  subscribe(listener: () => void): Disposable
}

export function openRegistrations(
  first: readonly Registration[],
  options: Timing & {
    readonly authority: DevAuthority
    readonly ttlSeconds: number
    /** From 0 to 1. */
    readonly random: () => number
  },
): Registrations {
  const { authority, clock, random, ttlSeconds } = options
  const listeners = new Set<() => void>()
  const closing = new AbortController()
  const bundles = bundleMessages(authority)
  let registrations: readonly Registration[] = []
  let messages: Messages | undefined
  let [issuedMs, nextMs] = [0, 0]

  const issue = () => {
    const x509Svids = svidMessage(authority, registrations, ttlSeconds)
    messages = registrations.length === 0 ? undefined : { ...bundles, x509Svids }
    issuedMs = clock.nowMs()
    nextMs = renewalMs(issuedMs, ttlSeconds, random())
    for (const listener of listeners) listener()
  }
  const replace = (others: readonly Registration[]) => {
    registrations = others
    issue()
  }
  const rotate = async () => {
    while (!closing.signal.aborted) {
      const dueMs = nextMs
      await waitUntil(dueMs, options, closing.signal, issuedMs - leewayMs)
      // Others may have been registered while it waited.
      if (!closing.signal.aborted && nextMs === dueMs) issue()
    }
  }
  replace(first)
  const rotating = rotate()
  return {
    current: () => registrations,
    replace,
    messages: () => messages,
    subscribe: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.asyncDispose]: async () => {
      closing.abort()
      await rotating
    },
  }
}

function bundleMessages({ ca, certificate, jwt }: DevAuthority): Omit<Messages, 'x509Svids'> {
  const key = trustDomainId(ca.trustDomain)
  const jwks = spiffeBundleText({
    trustDomain: ca.trustDomain,
    x509Authorities: [],
    jwtAuthorities: [jwt.key],
  })
  const x509 = create(X509BundlesResponseSchema, { bundles: { [key]: certificate.der } })
  const jwtBundles = create(JWTBundlesResponseSchema, { bundles: { [key]: Buffer.from(jwks) } })
  return {
    x509Bundles: toBinary(X509BundlesResponseSchema, x509),
    jwtBundles: toBinary(JWTBundlesResponseSchema, jwtBundles),
  }
}

function svidMessage(
  { ca, certificate }: DevAuthority,
  registrations: readonly Registration[],
  ttlSeconds: number,
): Uint8Array {
  const svids = registrations.map(({ id, hint = '' }) => {
    const issued = ca.issue({ spiffeId: id.text, ttlSeconds })
    return {
      spiffeId: id.text,
      x509Svid: nextPemBlock(issued.certificatePem)?.block.bytes ?? Buffer.alloc(0),
      x509SvidKey: createPrivateKey(issued.privateKeyPem).export({ type: 'pkcs8', format: 'der' }),
      bundle: certificate.der,
      hint,
    }
  })
  return toBinary(X509SVIDResponseSchema, create(X509SVIDResponseSchema, { svids }))
}
