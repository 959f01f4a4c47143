import t from 'tap'
import { asked, built, said } from './kit.ts'

const work = await built({
  'ann.json': asked('ann'),
  'ann.case.yaml': 'base: ann.json\ncases:\n  - name: ann\n    expect: { verdict: { allowed: true } }\n',
  'event.json': {
    ...{ decision_id: '1', path: 'envoy/authz/allow', timestamp: '2026-03-02T09:00:00Z' },
    ...{ input: asked('ann'), result: { allowed: false } },
  },
  'next/authz.rego':
    'package envoy.authz\n\n# METADATA\n# entrypoint: true\nallow := count(sprintf("%d", [count(data.users)])) == 1\n',
  'next/data.json': { users: ['zoe'] },
})
t.teardown(() => work[Symbol.dispose]())
await work.build('policy', '--target', 'plan', '-o', 'plan.tar.gz')
await work.build('policy', '--target', 'both', '-o', 'both.tar.gz')
await work.build('next', '--target', 'plan', '-o', 'next.tar.gz')

t.test('verify shows the same of a plan as of a module, but what only a module has', async (t) => {
  const facts = async (...args: string[]) =>
    JSON.parse((await work.policy('verify', ...args, '--json')).stdout) as Record<string, unknown>[]
  const [wasm, plan] = [await facts('bundle.tar.gz'), await facts('plan.tar.gz')]
  t.match(plan, [{ engine: 'compiled', entrypoints: ['envoy/authz/allow'], result: { allowed: false } }])
  for (const key of ['decision', 'revision', 'roots', 'entrypoints', 'builtins', 'dataBytes', 'result'])
    t.same(plan[0]?.[key], wasm[0]?.[key], key)
  t.ok(Number(plan[0]?.['planBytes']) > 0)
  t.notOk('wasmBytes' in (plan[0] ?? {}))
  t.same((await facts('next.tar.gz'))[0]?.['builtins'], { native: ['count', 'equal'], host: ['sprintf'] })
  t.match(await facts('both.tar.gz'), [{ engine: 'wasm' }, { engine: 'compiled' }], 'and of both, both')
  t.match(await facts('both.tar.gz', '--engine', 'compiled'), [{ engine: 'compiled' }])
  const text = (await work.policy('verify', 'both.tar.gz')).stdout
  for (const row of [/^engine +wasm$/m, /^wasm +[\d.]+ KiB$/m, /^engine +compiled$/m, /^plan +[\d.]+ KiB$/m])
    t.match(text, row)
})

const verbs: [args: readonly string[], stdout: RegExp][] = [
  [['verify'], /^engine +compiled$/m],
  [['eval', '-i', 'ann.json'], /"x-user": "ann"/],
  [['bench', '-i', 'ann.json', '-n', '10'], /^engine +compiled$/m],
  [['test', 'ann.case.yaml'], /PASS: 1\/1/],
  [['replay', 'event.json'], /^now .*"allowed":true/m],
  [['diff', 'next.tar.gz', '--inputs', 'ann.json'], /1 asked, 1 decided differently/],
]

for (const [[verb = '', ...rest], stdout] of verbs) {
  t.test(`${verb} takes a plan, and the engine that is asked for`, async (t) => {
    for (const args of [['plan.tar.gz'], ['both.tar.gz', '--engine', 'compiled']]) {
      // What follows the bundle may be a list, so that options stand first.
      const [bundle = '', ...engine] = args
      const ran = await work.policy(verb, ...engine, bundle, ...rest)
      t.match(said(ran), { status: 0, stdout, stderr: '' }, args.join(' '))
    }
    t.match(
      said(await work.policy(verb, '--engine', 'wasm', 'plan.tar.gz', ...rest)),
      { status: 1, stdout: '', stderr: /no wasm module, only a plan .*; expected a module/ },
      'which it must be built for',
    )
    const other = verb === 'diff' ? ['bundle.tar.gz', '--inputs', 'ann.json'] : rest
    t.match(
      said(await work.policy(verb, '--engine', 'compiled', 'bundle.tar.gz', ...other)),
      { status: 1, stdout: '', stderr: /no plan, only a wasm module .*; expected a plan/ },
      'and the other way round',
    )
  })
}

t.test('an engine that there is not', async (t) => {
  t.match(said(await work.policy('eval', '--engine', 'v8', 'plan.tar.gz')), {
    status: 1,
    stderr: /'v8' is invalid.*wasm, compiled/,
  })
})

t.test('an entrypoint that the plan has not', async (t) => {
  t.match(said(await work.policy('verify', 'plan.tar.gz', '-e', 'a/b')), {
    status: 1,
    stderr: /no entrypoint a\/b; expected -e with one of envoy\/authz\/allow/,
  })
})
