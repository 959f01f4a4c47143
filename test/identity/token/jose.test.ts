import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { createTokenVerifier } from '#identity/token/token.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { Random } from '../../harness/random.ts'
import {
  audience,
  createSigner,
  issuerName,
  manualAfter,
  setOf,
  settled,
  signToken,
  someClaims,
  someIssuer,
  startMs,
} from './kit.ts'
import { type Draft, type Oddity, oddities } from './oddities.ts'

/** Two keys of some kinds, so that a token must say which. */
const signers = {
  rsa: createSigner('rsa', 'rsa-1'),
  p256: createSigner('P-256', 'p256-1'),
  p384: createSigner('P-384', 'p384-1'),
  p521: createSigner('P-521', 'p521-1'),
  ed25519: createSigner('ed25519', 'ed-1'),
}
const others = [createSigner('rsa', 'rsa-2'), createSigner('P-256', 'p256-2')]
const strangers = {
  rsa: createSigner('rsa', 'rsa-1'),
  p256: createSigner('P-256', 'p256-1'),
  p384: createSigner('P-384', 'p384-1'),
  p521: createSigner('P-521', 'p521-1'),
  ed25519: createSigner('ed25519', 'ed-1'),
}
const jwks = setOf(...Object.values(signers), ...others)

const families: Readonly<Record<string, keyof typeof signers>> = {
  ...Object.fromEntries(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => [alg, 'rsa'])),
  ES256: 'p256',
  ES384: 'p384',
  ES512: 'p521',
  EdDSA: 'ed25519',
  Ed25519: 'ed25519',
}
const algorithms = Object.keys(families)

interface Case {
  readonly alg: string
  readonly oddities: readonly Oddity[]
  readonly isStranger: boolean
}

function tokenOf({ alg, oddities: applied, isStranger }: Case): string {
  const family = families[alg] as keyof typeof signers
  const signer = (isStranger ? strangers : signers)[family]
  const as = (text: string) => text
  const draft: Draft = {
    header: { alg, kid: signer.kid, typ: 'JWT' },
    claims: someClaims() as Record<string, unknown>,
    signer,
    headerText: as,
    claimsText: as,
    spelling: as,
  }
  for (const oddity of applied) oddity.apply(draft)
  const [header, claims] = [
    draft.headerText(JSON.stringify(draft.header)),
    draft.claimsText(JSON.stringify(draft.claims)),
  ]
  return draft.spelling(signToken(signer, header, claims, alg))
}

const ours = createTokenVerifier({
  issuers: [someIssuer()],
  clock: manualClock(),
  fetch: async () => ({ text: jwks }),
  after: manualAfter().after,
  budget: { perSecond: 1, burst: 1e9 },
})
const theirs = createLocalJWKSet(JSON.parse(jwks))

async function josePasses(token: string): Promise<boolean> {
  try {
    await jwtVerify(token, theirs, {
      issuer: issuerName,
      audience,
      algorithms,
      clockTolerance: 30,
      currentDate: new Date(startMs),
    })
    return true
  } catch {
    return false
  }
}

type Difference = 'none' | 'stricter' | 'looser'

async function differenceOf(each: Case): Promise<{ readonly difference: Difference; readonly told: string }> {
  const token = tokenOf(each)
  const verdict = ours.verify(token, '')
  const isPassed = await josePasses(token)
  const difference = verdict.ok === isPassed ? 'none' : verdict.ok ? 'looser' : 'stricter'
  const names = each.oddities.map(({ name }) => name).join(' + ')
  const says = verdict.ok ? 'good' : `${verdict.reason} (${verdict.why})`
  return {
    difference,
    told: `${each.alg}${each.isStranger ? ' by a stranger' : ''}: ${names}: we say ${says}, jose ${isPassed ? 'passes' : 'refuses'}; ${token.slice(0, 2000)}`,
  }
}

t.before(settled)

t.test('a plain token of every algorithm passes here and there, and a stranger’s does not', async (t) => {
  for (const alg of algorithms) {
    const good = tokenOf({ alg, oddities: [], isStranger: false })
    t.match([ours.verify(good, '').ok, await josePasses(good)], [true, true], alg)
    const bad = tokenOf({ alg, oddities: [], isStranger: true })
    t.match([ours.verify(bad, '').ok, await josePasses(bad)], [false, false], `${alg} by a stranger`)
  }
})

t.test('each oddity alone makes the difference to jose that is wanted, and no other', async (t) => {
  for (const oddity of oddities) {
    const seen = new Set<Difference>()
    const unwanted: string[] = []
    for (const alg of algorithms) {
      const { difference, told } = await differenceOf({ alg, oddities: [oddity], isStranger: false })
      seen.add(difference)
      if (difference !== 'none' && difference !== oddity.wanted?.verdict) unwanted.push(told)
    }
    t.same(unwanted, [], oddity.name)
    if (oddity.wanted) t.ok(seen.has(oddity.wanted.verdict), `${oddity.name}: ${oddity.wanted.why}`)
  }
})

t.test(
  'thousands of tokens that are odd in several ways differ only where one of them is meant to',
  async (t) => {
    const random = new Random(20_261)
    const unwanted: string[] = []
    const counts = { none: 0, stricter: 0, looser: 0 }
    for (let i = 0; i < 3000; i++) {
      const count = 1 + random.below(3)
      const each: Case = {
        alg: random.pick(algorithms),
        oddities: Array.from({ length: count }, () => random.pick(oddities)),
        isStranger: random.below(10) === 0,
      }
      const { difference, told } = await differenceOf(each)
      counts[difference]++
      if (difference !== 'none' && !each.oddities.some(({ wanted }) => wanted?.verdict === difference))
        unwanted.push(told)
    }
    t.same(unwanted, [])
    t.ok(counts.none > 1000 && counts.stricter > 300 && counts.looser > 5, JSON.stringify(counts))
  },
)

t.test('no oddity helps a stranger', async (t) => {
  for (const oddity of oddities) {
    for (const alg of ['RS256', 'ES256', 'EdDSA']) {
      const token = tokenOf({ alg, oddities: [oddity], isStranger: true })
      t.notOk(ours.verify(token, '').ok, `${alg}: ${oddity.name}`)
    }
  }
})
