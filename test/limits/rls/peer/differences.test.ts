import { join } from 'node:path'
import t from 'tap'
import { RateLimitResponse_RateLimit_Unit as Unit } from '#gen/envoy/service/ratelimit/v3/rls_pb.js'
import { differences } from '#limits/rls/rls.ts'
import { readRules } from '../../../../agent/limits/rls/rules.ts'
import { type RateLimitQuestion, rateLimitClient } from '../../../harness/rate-limit-client.ts'
import { startRatelimit } from '../../../harness/ratelimit.ts'
import { temporaryFolder } from '../../../harness/temp.ts'
import { startValkey } from '../../../harness/valkey.ts'
import { file } from '../kit.ts'
import { type Told, toldOf } from './told.ts'
import { startTrio } from './trio.ts'

const rules = JSON.stringify({
  domain: 'models',
  descriptors: [
    { key: 'one', rate_limit: { unit: 'year', requests_per_unit: 1 } },
    { key: 'five', rate_limit: { unit: 'year', requests_per_unit: 5 } },
    {
      key: 'a',
      rate_limit: { unit: 'year', requests_per_unit: 5 },
      descriptors: [{ key: 'c', rate_limit: { unit: 'year', requests_per_unit: 5 } }],
    },
    { key: 'p', value: 'q', rate_limit: { unit: 'year', requests_per_unit: 5 } },
    { key: 'quota', quota_mode: true, rate_limit: { unit: 'year', requests_per_unit: 1 } },
  ],
})

type Descriptor = NonNullable<RateLimitQuestion['descriptors']>[number]

/** `key=value,key=value` */
function descriptor(path: string, more: object = {}): Descriptor {
  const entries = path === '' ? [] : path.split(',').map((entry) => entry.split('='))
  return { entries: entries.map(([key = '', value = '']) => ({ key, value })), ...more } as Descriptor
}

const look = { hitsAddend: 0n }
/** `ok: ok 4, over 0`, or the status. */
const text = ({ code, statuses }: Told) =>
  statuses.length === 0
    ? code
    : `${code}: ${statuses.map((each) => `${each.code} ${each.remaining}`).join(', ')}`

interface Probe {
  readonly name: string
  readonly questions: readonly (readonly Descriptor[])[]
  /** The answer to the last question. */
  readonly theirs: string
  readonly fixed: string
  /** The same as theirs where it is absent. */
  readonly strict?: string
}

const probes: readonly Probe[] = [
  {
    name: 'partial_charge',
    questions: [
      [descriptor('one=pc')],
      [descriptor('one=pc'), descriptor('five=pc')],
      [descriptor('five=pc')],
    ],
    theirs: 'ok: ok 3',
    fixed: 'ok: ok 4',
  },
  {
    name: 'exhausted_look',
    questions: [[descriptor('one=el')], [descriptor('one=el', look)]],
    theirs: 'ok: ok 0',
    fixed: 'over: over 0',
  },
  {
    name: 'shared_counter',
    questions: [[descriptor('a=b_c_d')], [descriptor('a=b,c=d')]],
    theirs: 'ok: ok 3',
    fixed: 'ok: ok 4',
  },
  {
    name: 'joined_lookup',
    questions: [[descriptor('p_q=x')]],
    theirs: 'ok: ok 4',
    fixed: 'ok: ok 0',
  },
  {
    name: 'remaining_of_refused',
    questions: [[descriptor('five=rr', { hitsAddend: 6n })]],
    theirs: 'over: over 0',
    fixed: 'over: over 5',
  },
  {
    name: 'repeated_descriptor',
    questions: [[descriptor('five=rd'), descriptor('five=rd')]],
    theirs: 'ok: ok 4, ok 3',
    fixed: 'ok: ok 3, ok 3',
  },
  {
    name: 'negative_hits',
    questions: [
      [descriptor('five=nh', { hitsAddend: 2n })],
      [descriptor('five=nh', { hitsAddend: 2n, isNegativeHits: true })],
    ],
    theirs: 'ok: ok 1',
    fixed: 'ok: ok 5',
  },
  {
    name: 'huge_addend',
    questions: [[descriptor('five=ha', { hitsAddend: 2n ** 63n })]],
    theirs: 'status 2',
    strict: 'over: over 0',
    fixed: 'over: over 5',
  },
  {
    name: 'unit_multiplier',
    questions: [
      [descriptor('five=um', { limit: { requestsPerUnit: 9, unit: Unit.YEAR } })],
      [descriptor('five=um', { limit: { requestsPerUnit: 9, unit: Unit.YEAR, unitMultiplier: 5 } })],
    ],
    theirs: 'ok: ok 7',
    strict: 'ok: ok 8',
    fixed: 'ok: ok 8',
  },
  {
    name: 'quota_mode',
    questions: [[descriptor('quota=qm')], [descriptor('quota=qm')]],
    theirs: 'ok: ok 0',
    fixed: 'over: over 0',
  },
  { name: 'empty_descriptor', questions: [[descriptor('')]], theirs: 'ok: ok 0', fixed: 'status 3' },
  { name: 'invalid_code', questions: [[]], theirs: 'status 2', strict: 'status 3', fixed: 'status 3' },
  {
    name: 'bounds',
    questions: [Array.from({ length: 65 }, (_, index) => descriptor(`none=${index}`))],
    theirs: `ok: ${Array.from({ length: 65 }, () => 'ok 0').join(', ')}`,
    strict: 'status 3',
    fixed: 'status 3',
  },
]

/** What cannot be seen from outside without another clock. */
const unseen = ['window_name', 'own_clock']

const valkey = await startValkey()
t.teardown(() => valkey[Symbol.asyncDispose]())

t.test('each documented difference is there, in the answers of both', async (t) => {
  await using trio = await startTrio({ files: { 'rules.yaml': rules }, valkeyPort: valkey.port })
  for (const { name, questions, theirs, fixed, strict = theirs } of probes) {
    let answers: readonly string[] = []
    for (const descriptors of questions) {
      const all = await trio.ask({ domain: 'models', descriptors: [...descriptors] })
      answers = [all.theirs, all.strict, all.fixed].map((answer) => text(toldOf(answer)))
    }
    t.strictSame(answers, [theirs, strict, fixed], name)
  }
})

t.test('a limit of an unknown unit ends the peer, and is refused here', async (t) => {
  await using trio = await startTrio({ files: { 'rules.yaml': rules }, valkeyPort: valkey.port })
  const unknown = descriptor('five=uu', { limit: { requestsPerUnit: 1, unit: Unit.UNKNOWN } })
  const { theirs, strict, fixed } = await trio.ask({ domain: 'models', descriptors: [unknown] })
  t.strictSame(
    [theirs, strict, fixed].map((answer) => text(toldOf(answer))),
    ['status 14', 'status 3', 'status 3'],
  )
})

interface ConfigProbe {
  readonly name: string
  readonly config: string
  readonly path: string
  /** Whether a limit is found. */
  readonly theirs: boolean
  readonly strict: boolean | 'refused'
  readonly fixed: boolean | 'refused'
}

const limit = 'rate_limit: {unit: year, requests_per_unit: 5}'
const configs: readonly ConfigProbe[] = [
  {
    name: 'inner_star',
    config: `[{key: k, value: "a*c", ${limit}}]`,
    path: 'k=abc',
    theirs: false,
    strict: false,
    fixed: true,
  },
  {
    name: 'star_in_key',
    config: `[{key: "k*", ${limit}}]`,
    path: 'kk=abc',
    theirs: true,
    strict: true,
    fixed: 'refused',
  },
  {
    name: 'missing_number',
    config: '[{key: k, rate_limit: {unit: year}}]',
    path: 'k=v',
    theirs: true,
    strict: true,
    fixed: 'refused',
  },
  {
    name: 'misplaced_key',
    config: '[{key: k, unit: year, requests_per_unit: 5}]',
    path: 'k=v',
    theirs: false,
    strict: 'refused',
    fixed: 'refused',
  },
  {
    name: 'repeated_key',
    config: `[{key: j, key: k, ${limit}}]`,
    path: 'k=v',
    theirs: true,
    strict: 'refused',
    fixed: 'refused',
  },
  {
    name: 'more_documents',
    config: `[{key: k, ${limit}}]\n---\ndomain: second`,
    path: 'k=v',
    theirs: true,
    strict: true,
    fixed: true,
  },
  {
    name: 'unlimited_unit',
    config: '[{key: k, rate_limit: {unlimited: true, unit: yaer}}]',
    path: 'k=v',
    theirs: false,
    strict: false,
    fixed: 'refused',
  },
]

t.test('each documented difference is there, in how configurations are read', async (t) => {
  using folder = temporaryFolder()
  const textOf = ({ name, config }: ConfigProbe) => `domain: ${name}\ndescriptors: ${config}\n`
  await using peer = await startRatelimit({
    folder: join(folder.path, 'peer'),
    files: Object.fromEntries(configs.map((each) => [`${each.name}.yaml`, textOf(each)])),
    valkeyPort: valkey.port,
  })
  using client = rateLimitClient(peer.address)
  for (const probe of configs) {
    const path = descriptor(probe.path)
    const answer = toldOf(await client.ask({ domain: probe.name, descriptors: [path] }))
    t.equal(answer.statuses[0]?.limit !== '', probe.theirs, `${probe.name}: theirs`)
    for (const compat of ['strict', 'fixed'] as const) {
      const read = () => readRules([file(textOf(probe))], { compat, mergeDomains: false })
      if (probe[compat] === 'refused') t.throws(read, `${probe.name}: ${compat} refuses it`)
      else t.ok(read().domains.has(probe.name), `${probe.name}: ${compat} reads it`)
    }
  }
})

t.test('a folder without files limits nothing there, and is refused here', async (t) => {
  using folder = temporaryFolder()
  await using peer = await startRatelimit({
    folder: join(folder.path, 'peer'),
    files: {},
    valkeyPort: valkey.port,
  })
  using client = rateLimitClient(peer.address)
  const answer = toldOf(await client.ask({ domain: 'models', descriptors: [descriptor('k=v')] }))
  t.match(answer, { statuses: [{ limit: '' }] })
  for (const compat of ['strict', 'fixed'] as const)
    t.throws(() => readRules([folder.path], { compat, mergeDomains: false }), { message: /nothing/ })
})

t.test('every row of the table is probed, and none twice', async (t) => {
  const probed = [...probes, ...configs].map(({ name }) => name)
  t.strictSame(
    [...probed, 'unknown_unit', 'no_files', ...unseen].sort(),
    differences.map(({ name }) => name).sort(),
  )
})
