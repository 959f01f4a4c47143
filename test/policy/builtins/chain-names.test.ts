import t from 'tap'
import {
  altNames,
  inhibitAnyPolicy,
  nameConstraints,
  named,
  policies,
  policyConstraints,
  policyMappings,
  seq,
} from './certificates.ts'
import { type ChainCase, ca, chain, judgeChains } from './chains.ts'

function constrained(constraints: Buffer, ...names: readonly Buffer[]): Buffer[] {
  return chain({ middle: { extensions: [ca, constraints] }, leaf: { extensions: [altNames(...names)] } })
}
const dns = (name: string) => named(2, name)
const mail = (name: string) => named(1, name)
const uri = (name: string) => named(6, name)
const ip = (...octets: readonly number[]) => named(7, Buffer.from(octets))

const cases: readonly ChainCase[] = [
  // Name constraints
  [
    'a name below the permitted one',
    constrained(nameConstraints([dns('example.com')], []), dns('a.example.com')),
    true,
  ],
  ['the permitted name', constrained(nameConstraints([dns('example.com')], []), dns('EXAMPLE.com')), true],
  [
    'a name that ends like it',
    constrained(nameConstraints([dns('example.com')], []), dns('badexample.com')),
    false,
  ],
  [
    'the name behind a dot',
    constrained(nameConstraints([dns('.example.com')], []), dns('example.com')),
    false,
  ],
  [
    'a name below the name behind a dot',
    constrained(nameConstraints([dns('.example.com')], []), dns('a.example.com')),
    true,
  ],
  ['an excluded name', constrained(nameConstraints([], [dns('example.com')]), dns('a.example.com')), false],
  [
    'a name that is not excluded',
    constrained(nameConstraints([], [dns('example.com')]), dns('a.example.org')),
    true,
  ],
  [
    'a permitted name that is excluded',
    constrained(nameConstraints([dns('example.com')], [dns('a.example.com')]), dns('a.example.com')),
    false,
  ],
  [
    'a wildcard over an excluded name',
    constrained(nameConstraints([], [dns('a.example.com')]), dns('*.example.com')),
    false,
  ],
  [
    'a wildcard below an excluded name',
    constrained(nameConstraints([], [dns('example.com')]), dns('*.example.com')),
    false,
  ],
  [
    'a wildcard over a permitted name',
    constrained(nameConstraints([dns('a.example.com')], []), dns('*.example.com')),
    false,
  ],
  ['every name', constrained(nameConstraints([dns('')], []), dns('a.example.com')), true],
  ['no name', constrained(nameConstraints([], [dns('')]), dns('a.example.com')), false],
  ['a name of another kind', constrained(nameConstraints([dns('example.com')], []), mail('a@b.c')), true],
  [
    'a permitted mail domain',
    constrained(nameConstraints([mail('example.com')], []), mail('a@Example.com')),
    true,
  ],
  [
    'another mail domain',
    constrained(nameConstraints([mail('example.com')], []), mail('a@example.org')),
    false,
  ],
  [
    'a permitted mailbox',
    constrained(nameConstraints([mail('a@example.com')], []), mail('a@EXAMPLE.com')),
    true,
  ],
  [
    'another mailbox',
    constrained(nameConstraints([mail('a@example.com')], []), mail('b@example.com')),
    false,
  ],
  [
    'a mailbox in quotes',
    constrained(nameConstraints([mail('example.com')], []), mail('"a b\\"c"@example.com')),
    true,
  ],
  [
    'a mailbox that is none',
    constrained(nameConstraints([dns('example.com')], []), mail('a..b@example.com')),
    false,
  ],
  [
    'a permitted address',
    constrained(nameConstraints([ip(10, 0, 0, 0, 255, 0, 0, 0)], []), ip(10, 1, 2, 3)),
    true,
  ],
  [
    'another address',
    constrained(nameConstraints([ip(10, 0, 0, 0, 255, 0, 0, 0)], []), ip(11, 1, 2, 3)),
    false,
  ],
  [
    'an IPv4 address in an IPv6 one',
    constrained(
      nameConstraints([ip(...Array(32).fill(0))], []),
      ip(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4),
    ),
    false,
  ],
  [
    'a mask with a gap',
    constrained(nameConstraints([ip(10, 0, 0, 0, 255, 0, 255, 0)], []), ip(10, 1, 2, 3)),
    false,
  ],
  [
    'a permitted URI',
    constrained(nameConstraints([uri('example.com')], []), uri('spiffe://a.example.com/x')),
    true,
  ],
  [
    'another URI',
    constrained(nameConstraints([uri('example.com')], []), uri('spiffe://example.org/x')),
    false,
  ],
  [
    'a URI with a port',
    constrained(nameConstraints([uri('example.com')], []), uri('https://Example.com:443/x')),
    true,
  ],
  ['a URI without a host', constrained(nameConstraints([uri('example.com')], []), uri('urn:a:b')), false],
  [
    'a URI of an address',
    constrained(nameConstraints([dns('example.com')], []), uri('https://[::1]:80/x')),
    false,
  ],
  [
    'constraints of a directory name',
    constrained(nameConstraints([named(4, seq())], []), dns('a.example.com')),
    false,
  ],
  [
    'the same where they are not critical',
    constrained(nameConstraints([named(4, seq())], [], false), dns('a.example.com')),
    true,
  ],
  ['empty constraints', constrained(nameConstraints([], []), dns('a.example.com')), false],
  [
    'constraints of the root',
    chain({
      root: { extensions: [ca, nameConstraints([dns('example.com')], [])] },
      leaf: { extensions: [altNames(dns('example.org'))] },
    }),
    false,
  ],
  [
    'constraints in the leaf',
    chain({
      leaf: { extensions: [nameConstraints([dns('example.com')], []), altNames(dns('example.org'))] },
    }),
    true,
  ],
  [
    'a leaf without names',
    chain({ middle: { extensions: [ca, nameConstraints([dns('example.com')], [])] } }),
    true,
  ],
  // Policies
  [
    'an explicit policy that nobody has',
    chain({ middle: { extensions: [ca, policyConstraints(0)] } }),
    false,
  ],
  [
    'an explicit policy that all have',
    chain({
      middle: { extensions: [ca, policies('1.2.3'), policyConstraints(0)] },
      leaf: { extensions: [policies('1.2.3')] },
    }),
    true,
  ],
  [
    'an explicit policy, and another in the leaf',
    chain({
      middle: { extensions: [ca, policies('1.2.3'), policyConstraints(0)] },
      leaf: { extensions: [policies('1.2.4')] },
    }),
    false,
  ],
  [
    'any policy between',
    chain({
      middle: { extensions: [ca, policies('2.5.29.32.0'), policyConstraints(0)] },
      leaf: { extensions: [policies('1.2.4')] },
    }),
    true,
  ],
  [
    'any policy, inhibited',
    chain({
      root: { extensions: [ca, inhibitAnyPolicy(0)] },
      middle: { extensions: [ca, policies('2.5.29.32.0'), policyConstraints(0), inhibitAnyPolicy(0)] },
      leaf: { extensions: [policies('2.5.29.32.0')] },
    }),
    false,
  ],
  ['an explicit policy later', chain({ middle: { extensions: [ca, policyConstraints(5)] } }), true],
  [
    'a policy of another name',
    chain({
      middle: {
        extensions: [ca, policies('1.2.3'), policyMappings(['1.2.3', '1.2.4']), policyConstraints(0)],
      },
      leaf: { extensions: [policies('1.2.4')] },
    }),
    true,
  ],
  [
    'a mapping from any policy',
    chain({
      middle: { extensions: [ca, policies('1.2.3'), policyMappings(['2.5.29.32.0', '1.2.4'])] },
      leaf: { extensions: [policies('1.2.4')] },
    }),
    false,
  ],
  [
    'a mapping that is inhibited',
    chain({
      middle: {
        extensions: [ca, policies('1.2.3'), policyMappings(['1.2.3', '1.2.4']), policyConstraints(0, 0)],
      },
      leaf: { extensions: [policies('1.2.4')] },
    }),
    true,
  ],
  ['an explicit policy of the leaf', chain({ leaf: { extensions: [policyConstraints(0)] } }), false],
]

t.test(`${cases.length} chains with name constraints or policies are as valid as opa finds them`, (t) =>
  judgeChains(t, cases),
)
