import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { Clock } from '#base/clock.ts'
import {
  JWTBundlesResponseSchema,
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
} from '#gen/spiffe/workload/workload_pb.js'
import { createDevCa, type DevCa, type IssueRequest } from '#identity/dev-ca/dev-ca.ts'

export type X509Message = MessageInitShape<typeof X509SVIDResponseSchema>
export type X509Entry = NonNullable<X509Message['svids']>[number]

export const derOf = (pem: string): Buffer => new X509Certificate(pem).raw
export const keyOf = (pem: string): Buffer => createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' })
export const sha256Of = (der: Uint8Array): string => createHash('sha256').update(der).digest('hex')

export const spiffeId = 'spiffe://example.org/ns/acme/sa/app'

/** A CA of a trust domain and what it says by the Workload API. */
export function someCa(
  clock: Clock,
  trustDomain = 'example.org',
): { readonly ca: DevCa; readonly bundle: Buffer } {
  const ca = createDevCa({ trustDomain, clock })
  return { ca, bundle: derOf(ca.bundlePem) }
}

/** An entry that is all right, to change one thing of. */
export function entry(
  { ca, bundle }: ReturnType<typeof someCa>,
  more: Partial<X509Entry> & { readonly issue?: Partial<IssueRequest> } = {},
): X509Entry {
  const { issue, ...rest } = more
  const issued = ca.issue({ spiffeId, ...issue })
  return {
    spiffeId: issue?.spiffeId ?? spiffeId,
    x509Svid: derOf(issued.certificatePem),
    x509SvidKey: keyOf(issued.privateKeyPem),
    bundle,
    ...rest,
  } as X509Entry
}

export function x509Message(message: X509Message): Uint8Array {
  return toBinary(X509SVIDResponseSchema, create(X509SVIDResponseSchema, message))
}

export function x509Bundles(bundles: Readonly<Record<string, Uint8Array>>): Uint8Array {
  return toBinary(X509BundlesResponseSchema, create(X509BundlesResponseSchema, { bundles }))
}

/** JWKS by trust domain ID. */
export function jwtBundles(bundles: Readonly<Record<string, unknown>>): Uint8Array {
  const encoded = Object.entries(bundles).map(([key, value]) => [key, Buffer.from(JSON.stringify(value))])
  return toBinary(
    JWTBundlesResponseSchema,
    create(JWTBundlesResponseSchema, { bundles: Object.fromEntries(encoded) }),
  )
}
