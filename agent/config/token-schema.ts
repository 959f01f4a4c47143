import { z } from 'zod'

const path = z.string().min(1)
export const rsaAndEc = ['RS', 'PS', 'ES'].flatMap((family) =>
  [256, 384, 512].map((bits) => `${family}${bits}`),
)
/** Signatures without a shared secret, by their names in JOSE. */
export const asymmetric = [...rsaAndEc, 'EdDSA', 'Ed25519']

/** Of a client identifier and the like: printable ASCII. */
const visible = z.string().regex(/^[\x21-\x7e]+$/, 'printable ASCII without spaces')

/** An https URL without a user or fragment, or an http one of a loopback address. */
export function isWebUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || url.hash !== '') return false
  // Plain HTTP never leaves the pod.
  return (
    url.protocol === 'https:' || (url.protocol === 'http:' && /^(127\.0\.0\.1|\[::1\])$/.test(url.hostname))
  )
}

const redisUrl = z
  .string()
  .regex(
    /^(rediss?:\/\/[^\s?#]+|unix:(\/\/)?\/[^\s?#]+)$/,
    'redis://host:port/db, rediss://… for TLS, or unix:/path',
  )

/** Base URLs are compared as they are once normal; nothing of them may be left to guess. */
const externalUrl = z
  .string()
  .regex(/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/, 'an http or https URL without a user, query or fragment')

/** What is demanded of every token, whoever issued it. */
export const tokensSchema = z
  .strictObject({
    required: z
      .boolean()
      .default(true)
      .describe('Whether a request must have a token. False: one without is judged without.'),
    realm: z
      .string()
      .regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,200}$/, 'printable ASCII without quotes and backslashes')
      .optional()
      .describe('Told in challenges (`WWW-Authenticate`).'),
    resourceMetadata: z
      .string()
      .refine(isWebUrl, 'an https URL without a user or fragment')
      .refine((text) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(text), 'printable ASCII')
      .optional()
      .describe('URL of the metadata of this resource (RFC 9728), told in challenges.'),
    dpop: z
      .strictObject({
        externalUrl: z
          .union([externalUrl, z.array(externalUrl).min(1)])
          .describe(
            'Where clients believe this server to be (`htu` of their proofs): scheme, authority and any path that a gateway takes away. Several where it has several names.',
          ),
        required: z.boolean().default(false).describe('Take no token without a proof of possession.'),
        iatWindowSeconds: z
          .int()
          .min(1)
          .max(600)
          .default(60)
          .describe('How far the time of a proof may be from now, either way.'),
        algorithms: z
          .array(z.enum(asymmetric))
          .min(1)
          .default(['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'])
          .describe('Signature algorithms of proofs, told in challenges.'),
        nonce: z
          .strictObject({
            secretFile: path.describe(
              'One secret a line, each of at least 32 characters; the first makes nonces, all are taken. The same at every replica.',
            ),
            rotationSeconds: z
              .int()
              .min(10)
              .max(86_400)
              .default(300)
              .describe('For how long one nonce is given out. It is taken for up to twice as long.'),
          })
          .optional()
          .describe('Demand a nonce of ours in each proof.'),
      })
      .optional()
      .describe('Proofs of possession (RFC 9449). Without it the DPoP scheme is refused.'),
    replay: z
      .union([
        z.literal('memory'),
        redisUrl,
        z.strictObject({
          url: redisUrl,
          ca: path
            .optional()
            .describe('PEM of who vouches for a rediss:// server, instead of the public CAs.'),
          timeoutMs: z.int().min(1).max(10_000).default(50).describe('How long one command may take.'),
          maxInFlight: z.int().min(1).max(65_536).default(512).describe('Commands under way at once.'),
        }),
      ])
      .default('memory')
      .describe(
        'Where used proofs are remembered. memory: by each replica for itself, so that a proof can be used once at each; a Redis URL: by all together.',
      ),
    certificateBinding: z
      .strictObject({
        graceSeconds: z
          .int()
          .min(0)
          .max(86_400)
          .default(0)
          .describe(
            'For how long a token that is bound to the certificate before is still taken from the same SPIFFE ID, after that certificate was last seen. 0: not at all.',
          ),
      })
      .prefault({})
      .describe('Tokens that are bound to a client certificate (RFC 8705).'),
  })
  .refine(({ dpop, replay }) => dpop !== undefined || replay === 'memory', {
    path: ['replay'],
    error: 'dpop beside it: only proofs of possession are remembered',
  })
  .describe('How the tokens of `issuers` must come, and be bound to who sends them.')

const clientId = visible.describe('Our name at the issuer.')
const secretFile = path.describe('Read for each call.')

/** How an issuer is asked about its tokens. */
export const introspectionSchema = z
  .strictObject({
    endpoint: z
      .string()
      .refine(isWebUrl, 'an https URL without a user or fragment')
      .describe('The introspection endpoint (RFC 7662).'),
    tokens: z
      .enum(['opaque', 'all'])
      .default('opaque')
      .describe('What is asked about: tokens that are no JWT, or every one that may be of this issuer.'),
    auth: z
      .discriminatedUnion('method', [
        z.strictObject({ method: z.literal('client_secret_basic'), clientId, secretFile }),
        z.strictObject({ method: z.literal('client_secret_post'), clientId, secretFile }),
        z.strictObject({
          method: z.literal('private_key_jwt'),
          clientId,
          keyFile: path.describe('PEM of our private key, read for each call.'),
          algorithm: z.enum(asymmetric).default('ES256'),
          keyId: visible.optional().describe('`kid` of the assertion.'),
          audience: visible.optional().describe('`aud` of the assertion; the issuer if absent.'),
        }),
        z.strictObject({ method: z.literal('tls_client_auth'), clientId }),
      ])
      .describe('How we show the server who asks.'),
    ca: path.optional().describe('PEM of the CAs of that server, instead of the public ones.'),
    certificate: z
      .strictObject({ certFile: path, keyFile: path })
      .optional()
      .describe('PEM files of what we show to the server; read for each connection.'),
    timeoutMs: z.int().min(1).max(10_000).default(100).describe('A call that takes longer has failed.'),
    cacheSeconds: z
      .int()
      .min(0)
      .max(30)
      .default(30)
      .describe('For how long a token that is active is not asked about again; never longer than it lives.'),
    negativeCacheSeconds: z.int().min(0).max(30).default(5).describe('The same of one that is not.'),
    maxConcurrent: z.int().min(1).max(1024).default(32).describe('Calls under way at once.'),
    signed: z
      .boolean()
      .default(false)
      .describe('Take only answers that the issuer signed (RFC 9701), by its keys; needs `jwks`.'),
  })
  .refine(({ auth, certificate }) => auth.method !== 'tls_client_auth' || certificate !== undefined, {
    path: ['certificate'],
    error: 'a certificate, for the method is tls_client_auth',
  })
  .refine(({ endpoint, certificate }) => certificate === undefined || endpoint.startsWith('https:'), {
    path: ['endpoint'],
    error: 'an https URL, for a certificate is shown',
  })
