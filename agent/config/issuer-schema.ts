import { z } from 'zod'
import { asymmetric, introspectionSchema, isWebUrl, rsaAndEc } from './token-schema.ts'

const path = z.string().min(1)
const seconds = (least: number, most: number, fallback: number) =>
  z.int().min(least).max(most).default(fallback)

const webUrl = z.string().refine(isWebUrl, 'an https URL without a user or fragment')

const issuer = z.strictObject({
  issuer: z
    .string()
    .min(1)
    .describe('`iss` of its tokens, to the letter; for JWT-SVIDs the trust domain, `spiffe://example.org`.'),
  audience: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .describe('What a token must be meant for (`aud`): one of these.'),
  profile: z
    .enum(['jwt', 'at+jwt', 'jwt-svid'])
    .default('jwt')
    .describe(
      'jwt: what most issuers make; at+jwt: access tokens of RFC 9068 only; jwt-svid: of SPIFFE workloads, with the keys of the trust domain.',
    ),
  algorithms: z
    .array(z.enum(asymmetric))
    .min(1)
    .default(asymmetric)
    .describe('Signature algorithms; a key must be one for it besides.'),
  jwks: z
    .union([
      z.strictObject({ file: path.describe('A JWK set, watched for changes.') }),
      z.strictObject({ url: webUrl.describe('Where the JWK set is.') }),
      z.strictObject({
        discovery: z
          .enum(['oidc', 'oauth'])
          .describe('Found by the issuer: OpenID Connect Discovery, or RFC 8414.'),
      }),
    ])
    .optional()
    .describe('Where the keys come from. Needed, and only there, unless the profile is jwt-svid.'),
  tenantClaim: z
    .string()
    .min(1)
    .optional()
    .describe('The claim that names the tenant: a name, or a JSON pointer such as /organization/id.'),
  userClaim: z
    .string()
    .min(1)
    .default('sub')
    .describe('The claim that names the user, written likewise. Of a JWT-SVID it is always `sub`.'),
  maxLifetimeSeconds: seconds(1, 31_536_000, 86_400).describe('A token that lives longer is refused.'),
  clockSkewSeconds: seconds(0, 60, 30).describe('By how much clocks may differ.'),
  requireBinding: z
    .boolean()
    .default(false)
    .describe('Refuse tokens that are not bound to a certificate or key (`cnf`).'),
  refreshSeconds: seconds(30, 86_400, 300).describe(
    'Keys are fetched again within this time; sooner where the server says so (max-age).',
  ),
  cooldownSeconds: seconds(1, 3600, 30).describe(
    'At most one more fetch in this time because of tokens that name unknown keys.',
  ),
  staleSeconds: seconds(0, 604_800, 3600).describe(
    'How long the last good keys stay in force where they cannot be fetched; then tokens are refused (503).',
  ),
  allowedHosts: z
    .array(z.string().regex(/^[^\s/@?#]+$/, 'a host, or host:port'))
    .default([])
    .describe('Hosts that keys may be fetched from, besides the one of `jwks.url` or the issuer.'),
  allowPrivateAddresses: z
    .boolean()
    .default(false)
    .describe('Whether those hosts may have private or loopback addresses. Link-local ones never.'),
  ca: path.optional().describe('PEM of the CAs of that server, instead of the public ones.'),
  persist: path
    .optional()
    .describe('A file where the last good keys are kept for a start without the server.'),
  introspection: introspectionSchema
    .optional()
    .describe('Ask the issuer about its tokens (RFC 7662). At most one issuer is asked.'),
})

type Issuer = z.infer<typeof issuer>

const trustDomainId = /^spiffe:\/\/[a-z0-9._-]{1,255}$/

/** What the fields of an issuer need of each other. */
const needs: readonly {
  readonly field: keyof Issuer
  readonly message: string
  readonly isMet: (issuer: Issuer) => boolean
}[] = [
  {
    field: 'issuer',
    message: 'a trust domain such as spiffe://example.org, for its profile is jwt-svid',
    isMet: ({ profile, issuer: name }) => profile !== 'jwt-svid' || trustDomainId.test(name),
  },
  {
    field: 'jwks',
    message: 'none: the keys of JWT-SVIDs are the bundle of their trust domain',
    isMet: ({ profile, jwks }) => profile !== 'jwt-svid' || jwks === undefined,
  },
  {
    field: 'jwks',
    message: 'file, url or discovery; or introspection instead',
    isMet: ({ profile, jwks, introspection }) =>
      profile === 'jwt-svid' || jwks !== undefined || introspection !== undefined,
  },
  {
    field: 'jwks',
    message: 'file, url or discovery, for the answers of introspection must be signed',
    isMet: ({ jwks, introspection }) => introspection?.signed !== true || jwks !== undefined,
  },
  {
    field: 'introspection',
    message: 'none: JWT-SVIDs are checked with the bundle of their trust domain',
    isMet: ({ profile, introspection }) => profile !== 'jwt-svid' || introspection === undefined,
  },
  {
    field: 'issuer',
    message: 'an https URL without a user, query or fragment, for its keys are found by it',
    isMet: ({ issuer: name, jwks }) =>
      jwks === undefined || !('discovery' in jwks) || (isWebUrl(name) && !name.includes('?')),
  },
  {
    field: 'algorithms',
    message: `one of ${rsaAndEc.join(', ')}, which are all that JWT-SVIDs know`,
    isMet: ({ profile, algorithms: names }) =>
      profile !== 'jwt-svid' || names.some((name) => rsaAndEc.includes(name)),
  },
  {
    field: 'cooldownSeconds',
    message: 'at most refreshSeconds',
    isMet: ({ cooldownSeconds, refreshSeconds }) => cooldownSeconds <= refreshSeconds,
  },
]

/** Whose tokens are accepted. Each has its own keys, and no key is good for another. */
export const issuersSchema = z
  .array(issuer)
  .min(1)
  .superRefine((issuers, context) => {
    const names = new Set<string>()
    for (const [index, each] of issuers.entries()) {
      for (const { field, message, isMet } of needs)
        if (!isMet(each)) context.addIssue({ code: 'custom', path: [index, field], message })
      if (names.has(each.issuer))
        context.addIssue({
          code: 'custom',
          path: [index, 'issuer'],
          message: 'another issuer than those before',
        })
      names.add(each.issuer)
      if (each.introspection !== undefined && issuers.findIndex((other) => other.introspection) !== index)
        context.addIssue({
          code: 'custom',
          path: [index, 'introspection'],
          message: 'none, for another issuer has it: a token that nobody here can read says not whose it is',
        })
    }
  })
