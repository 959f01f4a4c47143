import t from 'tap'
import type { Verdict } from '#decision/verdict.ts'
import { pick, placeOf } from '#traffic/pick.ts'
import { createTrafficStage } from '#traffic/traffic.ts'
import { anExchange, fraudRoute, someRequest } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'

const split = (candidatePpm: number) => [
  { version: '2', weight: candidatePpm },
  { version: '1', weight: 1_000_000 - candidatePpm },
]
const choose = (more: Parameters<typeof anExchange>[0] = {}) => {
  const x = anExchange(more)
  return { x, verdict: createTrafficStage().request?.(x) as Verdict }
}

t.test('the shares of many keys are those of the weights', async (t) => {
  for (const ppm of [0, 1000, 100_000, 500_000, 1_000_000]) {
    const keys = 50_000
    let candidates = 0
    for (let i = 0; i < keys; i++) if (pick(split(ppm), 'salt', `key-${i}`) === '2') candidates++
    const share = ppm / 1_000_000
    const tolerance = 5 * Math.sqrt(keys * share * (1 - share))
    t.ok(Math.abs(candidates - keys * share) <= tolerance, `${candidates} of ${keys} at ${ppm} ppm`)
  }
})

t.test('everybody keeps the place that they have always had', async (t) => {
  // Computed with another implementation of the docstring's formula; to change one of them is to move every user.
  const rows: [salt: string, key: string, place: number][] = [
    ['fraud', 'acme/s1', 257_889],
    ['fraud', 'r-1', 41_001],
    ['', '', 792_286],
    ['naïve', 'ü', 181_181],
  ]
  for (const [salt, key, place] of rows) t.equal(placeOf(salt, key), place, `${salt} ${key}`)
})

t.test('growing a candidate moves nobody back, shrinking moves nobody onto it', async () => {
  const ppm = fc.integer({ min: 0, max: 1_000_000 })
  fc.assert(
    fc.property(ppm, ppm, fc.string(), fc.string(), (a, b, salt, key) => {
      const [small, large] = a < b ? [a, b] : [b, a]
      return pick(split(small), salt, key) !== '2' || pick(split(large), salt, key) === '2'
    }),
  )
})

t.test('salt and key cannot be mistaken for one another', async (t) => {
  const places = new Set<string>()
  const many = Array.from({ length: 1000 }, (_, index) => ({ version: String(index), weight: 1000 }))
  for (const [salt, key] of [
    ['a', 'bc'],
    ['ab', 'c'],
    ['abc', ''],
    ['', 'abc'],
  ] as const)
    places.add(pick(many, salt, key))
  t.equal(places.size, 4)
})

t.test('weights that do not add up are a bug, not a silent choice', async (t) => {
  t.throws(() => {
    for (let i = 0; i < 1000; i++) pick([{ version: '1', weight: 1 }], 's', String(i))
  }, RangeError)
})

t.test('the first step of the key ladder that is there decides, and the answer says which', async (t) => {
  const peer = {
    spiffeId: 'spiffe://td/a',
    trustDomain: 'td',
    path: ['a'],
    certificateSha256: '',
    notAfterMs: 0,
  }
  const session = someRequest({ headers: [['x-session-id', 's1']] })
  t.equal(choose({ request: session, peer }).x.route?.key, 'session')
  t.equal(choose({ peer }).x.route?.key, 'user')
  t.equal(choose().x.route?.key, 'tenant')
  const { tenant: _, ...nobody } = anExchange()
  t.equal(choose({ ...nobody, tenant: undefined as never }).x.route?.key, 'request')
  t.match(choose({ request: session }).verdict, {
    kind: 'allow',
    mutations: {
      modelVersion: /^[12]$/,
      addResponseHeaders: [
        ['x-sluice-model-version', /^[12]$/],
        ['x-sluice-split-key', 'session'],
      ],
    },
  })
})

t.test('a session of one tenant is not that of another', async (t) => {
  const route = { ...fraudRoute, versions: split(500_000) }
  const request = someRequest({ headers: [['x-session-id', 's']] })
  const seen = new Set<string | undefined>()
  for (let i = 0; i < 64; i++) {
    const { x } = choose({ modelRoute: route, request, tenant: { name: `t${i}`, peers: [], models: [] } })
    seen.add(x.route?.version)
  }
  t.equal(seen.size, 2)
})

t.test('a version that the client names stands if the route has it', async (t) => {
  const call = { protocol: 'v2-http', verb: 'infer', model: 'fraud' } as const
  t.same(choose({ call: { ...call, version: '2' } }).x.route, { version: '2', by: 'asked' })
  t.match(choose({ call: { ...call, version: '3' } }).verdict, {
    kind: 'deny',
    reason: 'version_unavailable',
  })
})

t.test('a pin beats the split', async (t) => {
  const modelRoute = { ...fraudRoute, versions: split(1_000_000), pins: [{ tenant: 'acme', version: '1' }] }
  t.match(choose({ modelRoute }).x.route, { version: '1', by: 'pin' })
})

t.test(
  'what is not computed by a version is not split, and a model without a route is left alone',
  async (t) => {
    t.equal(choose({ call: { protocol: 'v2-http', verb: 'model_ready', model: 'fraud' } }).x.route, undefined)
    const { modelRoute: _, ...without } = anExchange()
    const x = { ...without }
    const verdict = createTrafficStage().request?.(x) as Verdict
    t.equal(verdict.kind, 'allow')
    t.equal(x.route, undefined)
  },
)

t.test(
  "no version can be written into a call of OpenAI's API, which names none: it is refused",
  async (t) => {
    const { x, verdict } = choose({ call: { protocol: 'openai', verb: 'generate', model: 'fraud' } })
    t.match(verdict, { kind: 'deny', reason: 'version_required' })
    t.equal(x.route, undefined)
  },
)

t.test('ext_authz cannot choose: the client has to name the version', async (t) => {
  t.match(choose({ request: someRequest({ api: 'ext_authz' }) }).verdict, {
    kind: 'deny',
    reason: 'version_required',
  })
})
