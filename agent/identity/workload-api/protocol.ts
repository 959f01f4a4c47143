import type { Metadata } from '#grpc/service.ts'

/** The service has no package. */
const service = '/SpiffeWorkloadAPI'

export const paths = {
  fetchX509Svid: `${service}/FetchX509SVID`,
  fetchX509Bundles: `${service}/FetchX509Bundles`,
  fetchJwtSvid: `${service}/FetchJWTSVID`,
  fetchJwtBundles: `${service}/FetchJWTBundles`,
  validateJwtSvid: `${service}/ValidateJWTSVID`,
} as const

/** What keeps a request that somebody was tricked into sending from being one: it says that it was meant. */
export const securityHeader = { name: 'workload.spiffe.io', value: 'true' } as const

export const callMetadata: Metadata = [[securityHeader.name, securityHeader.value]]

/** What the standard gives a meaning. @see google.rpc.Code */
export const statusCode = {
  invalidArgument: 3,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
} as const

/** Hundreds of federated trust domains fit. */
export const maxMessageBytes = 4 << 20
