import t from 'tap'
import type { TokenFacts } from '#decision/exchange.ts'
import { tenantFault } from '#identity/identity.ts'
import { bindTenant } from '#identity/tenant-binding.ts'
import type { Tenant } from '#resources/resources.ts'
import { acme, aToken, someResources } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'

const idp = 'https://idp.example'

const aPeer = (path: string) => ({ spiffeId: `spiffe://example.org/${path}` })

const aTenant = (name: string, more: Partial<Tenant> = {}): Tenant => ({
  ...acme,
  name,
  peers: [`spiffe://example.org/ns/${name}/**`],
  ...more,
})

const gateway = 'spiffe://example.org/gateway'
const tenants: readonly Tenant[] = [
  aTenant('plain'),
  aTenant('acme', { peers: [gateway, 'spiffe://example.org/ns/acme/**'], tokens: [{ issuer: idp }] }),
  aTenant('globex', {
    peers: [gateway, 'spiffe://example.org/ns/globex/**'],
    tokens: [
      { issuer: idp, tenant: ['globex', 'globex-eu'] },
      { issuer: 'https://other.example', subjects: ['robot'] },
    ],
  }),
  aTenant('claimed', { tokens: [{ issuer: idp, claims: { '/org/name': 'initech', roles: ['a', 'b'] } }] }),
  aTenant('svid', {
    peers: [gateway],
    tokens: [{ issuer: 'spiffe://example.org', subjects: ['spiffe://example.org/ns/svid/**'] }],
  }),
]

const bind = (path: string, token?: Partial<TokenFacts>) =>
  bindTenant(
    someResources({ tenants: [...tenants] }),
    aPeer(path),
    token && aToken({ issuer: idp, ...token }),
  )

t.test('a tenant is the one for whom both the peer and the token may act', async (t) => {
  const rows: [name: string, peer: string, token: Partial<TokenFacts> | undefined, tenant: string][] = [
    ['a peer alone, where no token is asked for', 'ns/plain/sa/x', undefined, 'plain'],
    ['the name of the tenant is its claim', 'ns/acme/sa/x', { tenantClaim: 'acme' }, 'acme'],
    ['one of several values', 'ns/globex/sa/x', { tenantClaim: 'globex-eu' }, 'globex'],
    ['a peer of two tenants, of which the token chooses', 'gateway', { tenantClaim: 'globex' }, 'globex'],
    ['and the other', 'gateway', { tenantClaim: 'acme' }, 'acme'],
    [
      'a subject of another issuer',
      'gateway',
      { issuer: 'https://other.example', subject: 'robot' },
      'globex',
    ],
    [
      'claims by pointer and name, one of a list',
      'ns/claimed/sa/x',
      { claims: { org: { name: 'initech' }, roles: ['z', 'b'] } },
      'claimed',
    ],
    [
      'a JWT-SVID by a pattern',
      'gateway',
      { kind: 'jwt-svid', issuer: 'spiffe://example.org', subject: 'spiffe://example.org/ns/svid/sa/y' },
      'svid',
    ],
  ]
  for (const [name, peer, token, tenant] of rows)
    t.match(bind(peer, token), { kind: 'tenant', tenant: { name: tenant } }, name)
})

t.test('whoever is not bound is refused, and the reason says by what', async (t) => {
  const rows: [name: string, peer: string, token: Partial<TokenFacts> | undefined, reason: string][] = [
    ['an unknown peer', 'ns/nobody/sa/x', undefined, 'tenant_unknown'],
    ['an unknown peer with a good token', 'ns/nobody/sa/x', { tenantClaim: 'acme' }, 'tenant_unknown'],
    ['no token where one is asked for', 'ns/acme/sa/x', undefined, 'token_missing'],
    [
      'a token for a tenant that asks for none',
      'ns/plain/sa/x',
      { tenantClaim: 'plain' },
      'tenant_binding_missing',
    ],
    ['a claim that nobody has', 'ns/acme/sa/x', { tenantClaim: 'nobody' }, 'tenant_binding_missing'],
    ['no claim at all', 'ns/acme/sa/x', {}, 'tenant_binding_missing'],
    ['the token of another tenant', 'ns/acme/sa/x', { tenantClaim: 'globex' }, 'tenant_binding_mismatch'],
    [
      'the same claim by another issuer',
      'ns/acme/sa/x',
      { issuer: 'https://evil.example', tenantClaim: 'acme' },
      'tenant_binding_missing',
    ],
    [
      'one claim of two',
      'ns/claimed/sa/x',
      { claims: { org: { name: 'initech' } } },
      'tenant_binding_missing',
    ],
    [
      'a claim of another type',
      'ns/claimed/sa/x',
      { claims: { org: { name: 5 }, roles: 'a' } },
      'tenant_binding_missing',
    ],
    [
      'an inherited claim',
      'ns/claimed/sa/x',
      { claims: Object.create({ org: { name: 'initech' }, roles: 'a' }) },
      'tenant_binding_missing',
    ],
    [
      'a subject that looks like a workload in a plain token',
      'gateway',
      { issuer: 'spiffe://example.org', subject: 'spiffe://example.org/ns/svid/sa/y' },
      'tenant_binding_missing',
    ],
    [
      'a JWT-SVID of a neighbour',
      'gateway',
      { kind: 'jwt-svid', issuer: 'spiffe://example.org', subject: 'spiffe://example.org/ns/svid2/sa/y' },
      'tenant_binding_missing',
    ],
  ]
  for (const [name, peer, token, reason] of rows) t.match(bind(peer, token), { kind: 'deny', reason }, name)
})

t.test('two tenants that claim the same request are nobody’s', async (t) => {
  const resources = someResources({
    tenants: [aTenant('a', { peers: [gateway] }), aTenant('b', { peers: [gateway] })],
  })
  t.match(bindTenant(resources, aPeer('gateway'), undefined), {
    kind: 'deny',
    reason: 'tenant_ambiguous',
    detail: 'a, b',
  })
})

t.test(
  'who is bound was claimed by the peer’s patterns and by the token’s rules, whatever both are',
  async (t) => {
    const names = ['a', 'b', 'c']
    const some = fc.uniqueArray(fc.constantFrom(...names))
    fc.assert(
      fc.property(
        fc.array(fc.record({ peers: some, tokens: fc.option(some, { nil: undefined }) }), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.constantFrom(...names),
        fc.option(fc.constantFrom(...names), { nil: undefined }),
        (given, peer, claim) => {
          const declared = given.map(({ peers, tokens }, index) =>
            aTenant(`t${index}`, {
              peers: ['spiffe://example.org/none', ...peers.map((each) => `spiffe://example.org/${each}`)],
              ...(tokens && { tokens: [{ issuer: idp, tenant: ['none', ...tokens] }] }),
            }),
          )
          const token = claim === undefined ? undefined : aToken({ issuer: idp, tenantClaim: claim })
          const binding = bindTenant(someResources({ tenants: declared }), aPeer(peer), token)
          const may = given.flatMap(({ peers, tokens }, index) =>
            peers.includes(peer) && (claim === undefined ? tokens === undefined : tokens?.includes(claim))
              ? [`t${index}`]
              : [],
          )
          const bound = binding.kind === 'tenant' ? [binding.tenant.name] : []
          return may.length === 1 ? bound[0] === may[0] : bound.length === 0
        },
      ),
      { numRuns: 2000 },
    )
    t.pass()
  },
)

t.test('a Tenant whose patterns are none is refused with its place', async (t) => {
  t.equal(tenantFault(aTenant('a')), undefined)
  t.match(tenantFault(aTenant('a', { peers: ['spiffe://example.org/ns*'] })), /Tenant a: peers: the pattern/)
  t.match(
    tenantFault(aTenant('a', { tokens: [{ issuer: idp, subjects: ['spiffe://example.org/**/x'] }] })),
    /Tenant a: tokens.subjects: the pattern/,
  )
})
