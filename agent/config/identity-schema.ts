import { z } from 'zod'
import { tenantHeaders } from './tenant-headers.ts'

const path = z.string().min(1)
const trustDomain = z
  .string()
  .max(255)
  .regex(/^[a-z0-9._-]+$/, 'a trust domain name, without spiffe://')
const spiffeId = z.string().regex(/^spiffe:\/\/[^/]+\/\S+$/, 'a SPIFFE ID such as spiffe://example.org/ns/a')
const bundleFiles = z
  .record(trustDomain, path)
  .refine((files) => Object.keys(files).length > 0, 'at least one trust domain')

const spire = z.strictObject({
  type: z.literal('spire'),
  socket: z
    .string()
    .regex(
      /^(unix:\/\/\/\S+|tcp:\/\/(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:]+\]):\d{1,5})$/,
      'unix:///path or tcp://IP:port',
    )
    .optional()
    .describe('Where the SPIFFE Workload API is; SPIFFE_ENDPOINT_SOCKET if absent.'),
})

const files = z.strictObject({
  type: z.literal('files'),
  certificate: path.describe('PEM chain, leaf first.'),
  privateKey: path.describe('PEM of the key of that certificate.'),
  trustBundles: bundleFiles.describe(
    'By trust domain: PEM of CA certificates, or a SPIFFE bundle (JWKS) where the name ends in .json or .jwks.',
  ),
})

const dev = z.strictObject({
  type: z.literal('dev'),
  dir: path.describe('Where the development CA keeps its certificate and key; made when it is empty.'),
  spiffeId: spiffeId.describe('Our own identity; its trust domain is that of the CA.'),
  dnsNames: z
    .array(z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'a DNS name'))
    .default([])
    .describe('Names that clients which know no SPIFFE find in our certificate, such as localhost.'),
  ttlSeconds: z.int().min(60).max(86_400).default(3600).describe('How long an identity is valid.'),
})

const federated = z.strictObject({
  url: z.url({ protocol: /^https$/ }).describe('The bundle endpoint of the other trust domain.'),
  profile: z
    .enum(['https_web', 'https_spiffe'])
    .describe('How the endpoint is known: by the public CAs of the web, or by its SPIFFE ID.'),
  endpointSpiffeId: spiffeId.optional().describe('For https_spiffe: who the endpoint must be.'),
  bundle: path.optional().describe('For https_spiffe: the first bundle to know the endpoint by.'),
})

/** Who we are, whose workloads are known, and how a caller is proven. */
export const identitySchema = z.strictObject({
  trustDomains: z
    .array(trustDomain)
    .min(1)
    .describe('SPIFFE trust domains whose workloads may call; every other is refused.'),
  tenantHeaders,
  source: z
    .discriminatedUnion('type', [spire, files, dev])
    .optional()
    .describe(
      'Where our own identity and the trust bundles come from. With one, the agent checks the chain of every caller itself, and serves Envoy its certificates (SDS).',
    ),
  federation: z
    .record(trustDomain, federated)
    .optional()
    .describe('Bundle endpoints of other trust domains (SPIFFE Federation).'),
  trustBundleMap: path
    .optional()
    .describe('A SPIFFE trust bundle map: bundles of other trust domains in one file, watched.'),
  peerChain: z
    .enum(['bundle', 'envoy'])
    .default('bundle')
    .describe(
      'bundle: a caller whose issuer is not known from the bundles or our own chain is refused. envoy: where an intermediate CA is not known here, what Envoy says of the chain is believed.',
    ),
  trustedForwarders: z
    .array(z.string())
    .default([])
    .describe(
      'SPIFFE ID patterns of the gateways whose x-forwarded-client-cert is read, as evidence of the hop before.',
    ),
})
