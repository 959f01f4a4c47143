import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Verdict } from '#decision/verdict.ts'
import type { Decided } from '#policy/decided.ts'
import { openPolicy, type Policy } from '#policy/policy.ts'
import { firstDifference } from '#policy/shadow/difference.ts'
import { createShadowQueue } from '#policy/shadow/queue.ts'
import { type AccessPolicy, noResources } from '#resources/resources.ts'
import { buildBundle } from '../../harness/opa.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { validExchange } from '../exchange.ts'

const decision = 'envoy/authz/allow'
const quiet = () => {}
const rules = {
  'base.rego':
    'package envoy.authz\n\ndefault allow := true\n\nallow := false if input.parsed_path == ["base"]\n',
  'finance.rego': `package finance

allow := {"allowed": input.parsed_path != ["finance"], "headers": {"x-by": "finance"}, "http_status": 402}
`,
  'research.rego': 'package research\n\nallow := {"allowed": true, "headers": {"x-by": "research"}}\n',
  'gold.rego':
    'package gold\n\nallow := {"allowed": true, "quotas": {"q/a": 50, "q/b": 7}, "request_headers_to_remove": []}\n',
  'silver.rego': 'package silver\n\nallow := {"allowed": true, "quotas": {"q/a": 20, "q/c": 1}}\n',
  'broken.rego': 'package broken\n\nallow := "nonsense"\n',
}

/** A bundle of the rules with every decision as an entrypoint. */
async function bundleOf(files: Readonly<Record<string, string>>, revision: string): Promise<Buffer> {
  const annotated = Object.fromEntries(
    Object.entries(files).map(([name, text]) => [
      name,
      name === 'base.rego' ? text : text.replace('\nallow :=', '\n# METADATA\n# entrypoint: true\nallow :='),
    ]),
  )
  return buildBundle({ files: annotated, revision })
}
const whole = await bundleOf(rules, 'whole')

const accessPolicy = (name: string, more: Partial<AccessPolicy> = {}): AccessPolicy => ({
  name,
  tenants: ['*'],
  models: ['*'],
  decision: `${name}/allow`,
  mode: 'enforce',
  ...more,
})
const withPolicies = (path: string, ...accessPolicies: AccessPolicy[]) =>
  validExchange({ path, resources: { ...noResources, epoch: 1, accessPolicies } })

async function opened(
  more: Partial<Parameters<typeof openPolicy>[0]>,
  use: (policy: Policy, ask: (x: ReturnType<typeof validExchange>) => Verdict) => Promise<void>,
) {
  using folder = temporaryFolder()
  const file = join(folder.path, 'bundle.tar.gz')
  writeFileSync(file, whole)
  await using policy = await openPolicy({ source: { file }, decision, onLoad: quiet, ...more })
  await use(policy, (x) => policy.stage.request?.(x) as Verdict)
}

t.test('every AccessPolicy for a request must allow beside the base decision', async (t) => {
  await opened({}, async (_, ask) => {
    const finance = accessPolicy('finance')
    t.match(ask(withPolicies('/x', finance)), {
      kind: 'allow',
      mutations: { setHeaders: [['x-by', 'finance']] },
    })
    t.match(ask(withPolicies('/finance', finance)), {
      kind: 'deny',
      reason: 'policy_denied',
      own: { httpStatus: 402 },
    })
    t.match(ask(withPolicies('/base', finance)), { kind: 'deny', reason: 'policy_denied' })
    t.match(ask(withPolicies('/x', finance, accessPolicy('research'))), {
      kind: 'allow',
      mutations: {
        setHeaders: [
          ['x-by', 'finance'],
          ['x-by', 'research'],
        ],
      },
    })
    t.match(ask(withPolicies('/x', accessPolicy('broken'))), {
      kind: 'error',
      reason: 'policy_result_invalid',
    })
    const x = withPolicies('/x', accessPolicy('nowhere'))
    t.match(ask(x), {
      kind: 'error',
      reason: 'policy_failed',
      cause: { message: /no entrypoint nowhere\/allow/ },
    })
    t.match(x.policy, { isAllowed: false })
  })
})

t.test(
  'of the limits that several policies hand in the least counts, and what is only tried hands none in',
  async (t) => {
    await opened({}, async (_, ask) => {
      const quotas = (...policies: AccessPolicy[]) => {
        const x = withPolicies('/x', ...policies)
        t.equal(ask(x).kind, 'allow')
        return x.policy?.quotas
      }
      t.equal(quotas(), undefined)
      t.equal(quotas(accessPolicy('finance')), undefined)
      const [gold, silver] = [accessPolicy('gold'), accessPolicy('silver')]
      const all = new Map([
        ['q/a', 20],
        ['q/b', 7],
        ['q/c', 1],
      ])
      t.same(quotas(gold, silver), all)
      t.same(quotas(silver, gold), all)
      const tried = withPolicies('/x', gold, accessPolicy('silver', { mode: 'shadow' }))
      t.equal(ask(tried).kind, 'allow')
      await new Promise(setImmediate)
      t.same(tried.policy?.quotas, new Map(Object.entries({ 'q/a': 50, 'q/b': 7 })))
    })
  },
)

t.test(
  'an AccessPolicy is for the tenants, models and routes that it names, and for what is not known',
  async (t) => {
    const denied = { path: '/finance' }
    const rows: [name: string, policy: Partial<AccessPolicy>, change: object, isFor: boolean][] = [
      ['its tenant', { tenants: ['acme'] }, {}, true],
      ['another tenant', { tenants: ['globex'] }, {}, false],
      ['no tenant', { tenants: ['acme'] }, { tenant: undefined }, false],
      ['its model', { models: ['fr*'] }, {}, true],
      ['another model', { models: ['ocr'] }, {}, false],
      ['no model known', { models: ['ocr'] }, { call: { protocol: 'v2-grpc', verb: 'infer' } }, true],
      ['a route not known', { routes: ['grpc'] }, {}, true],
    ]
    await opened({}, async (_, ask) => {
      for (const [name, policy, change, isFor] of rows) {
        const resources = { ...noResources, epoch: 1, accessPolicies: [accessPolicy('finance', policy)] }
        const verdict = ask(validExchange({ ...denied, ...change, resources }))
        t.equal(verdict.kind, isFor ? 'deny' : 'allow', name)
      }
      const x = withPolicies('/finance', accessPolicy('finance', { routes: ['http'] }))
      const onRoute = (routeName: string) => ask({ ...x, request: { ...x.request, routeName } }).kind
      t.equal(onRoute('http'), 'deny')
      t.equal(onRoute('grpc'), 'allow')
    })
  },
)

t.test('in shadow mode an AccessPolicy is asked, counted and logged, and changes nothing', async (t) => {
  const told: string[] = []
  const events: Decided[] = []
  await opened(
    {
      onShadow: (policy, kind) => void told.push(`${policy} ${kind}`),
      sink: (event) => void events.push(event),
    },
    async (_, ask) => {
      const shadows = ['finance', 'broken', 'nowhere'].map((name) => accessPolicy(name, { mode: 'shadow' }))
      const verdict = ask(withPolicies('/finance', ...shadows))
      t.equal(verdict.kind, 'allow')
      t.notMatch(verdict, { mutations: { setHeaders: [['x-by', 'finance']] } })
      t.same(told, [], 'the answer does not wait')
      await eventually('all three', () => told.length === 3)
      t.same(told, ['finance deny', 'broken error', 'nowhere error'])
      t.same(
        events.map(({ path, shadow }) => [path, shadow]),
        [
          [decision, undefined],
          ['finance/allow', { policy: 'finance' }],
          ['broken/allow', { policy: 'broken' }],
          ['nowhere/allow', { policy: 'nowhere' }],
        ],
      )
    },
  )
})

t.test('a candidate is asked beside the policy in force; what differs is counted and logged', async (t) => {
  using folder = temporaryFolder()
  const file = join(folder.path, 'candidate.tar.gz')
  const changed = { ...rules, 'base.rego': rules['base.rego'].replace('["base"]', '["other"]') }
  writeFileSync(file, await bundleOf(changed, 'next'))
  const outcomes: string[] = []
  const events: Decided[] = []
  await opened(
    {
      sink: (event) => void events.push(event),
      candidate: {
        source: { file },
        samplePpm: 1_000_000,
        onLoad: quiet,
        onOutcome: (outcome) => void outcomes.push(outcome),
      },
    },
    async (_, ask) => {
      t.equal(ask(withPolicies('/x')).kind, 'allow')
      t.equal(ask(withPolicies('/base')).kind, 'deny')
      t.equal(ask(withPolicies('/other')).kind, 'allow')
      await eventually('three comparisons', () => outcomes.length === 3)
      t.same(outcomes, ['same', 'different', 'different'])
      t.match(
        events.filter(({ shadow }) => shadow !== undefined),
        [
          {
            result: true,
            revisions: { policy: 'next' },
            shadow: { candidate: { enforced: false, difference: '' } },
          },
          {
            result: false,
            revisions: { policy: 'next' },
            shadow: { candidate: { enforced: true, difference: '' } },
          },
        ],
      )
    },
  )
})

t.test('a candidate that is not there is told of and harms nobody', async (t) => {
  using folder = temporaryFolder()
  const outcomes: string[] = []
  const problems: (string | undefined)[] = []
  const candidate = {
    source: { file: join(folder.path, 'none.tar.gz') },
    samplePpm: 1_000_000,
    onLoad: ({ problem }: { readonly problem?: string }) => void problems.push(problem),
    onOutcome: (outcome: string) => void outcomes.push(outcome),
  }
  await opened({ candidate }, async (policy, ask) => {
    t.equal(ask(withPolicies('/x')).kind, 'allow')
    t.same(outcomes, ['absent'])
    t.match(problems, [/ENOENT/])
    t.ok(policy.isReady())
  })
})

t.test('a full queue drops, a piece that fails stops nothing, and one runs a turn', async (t) => {
  const turns: (() => void)[] = []
  const failures: unknown[] = []
  const ran: number[] = []
  const queue = createShadowQueue({
    maxWaiting: 2,
    defer: (run) => void turns.push(run),
    onFailure: (cause) => void failures.push(cause),
  })
  t.ok(queue.offer(() => void ran.push(1)))
  t.ok(
    queue.offer(() => {
      throw new Error('boom')
    }),
  )
  t.notOk(queue.offer(() => void ran.push(3)))
  for (let turn = 0; turn < 3; turn++) {
    turns.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.same(ran, [1])
  t.match(failures, [{ message: 'boom' }])
  t.ok(queue.offer(() => void ran.push(4)))
  turns.shift()?.()
  t.same(ran, [1, 4])
})

t.test('the first difference of two documents has a pointer', async (t) => {
  const rows: [a: unknown, b: unknown, wanted: string | undefined][] = [
    [true, true, undefined],
    [true, false, ''],
    [undefined, true, ''],
    [{ a: { 'b/~': [1, 2] } }, { a: { 'b/~': [1, 3] } }, '/a/b~1~0/1'],
    [{ a: 1 }, { a: 1, b: 2 }, '/b'],
    [[1], [1, 2], '/1'],
    [[1, 2], [1], '/1'],
    [{ a: [] }, { a: {} }, '/a'],
    [{ a: null }, {}, '/a'],
  ]
  for (const [a, b, wanted] of rows) t.equal(firstDifference(a as never, b as never), wanted)
})
