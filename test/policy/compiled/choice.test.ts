import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { createCompiler } from '#policy/bundle/compile.ts'
import type { Decided } from '#policy/decided.ts'
import { type EngineChoice, openPolicy } from '#policy/policy.ts'
import { goTool } from '../../harness/go-tools.ts'
import { buildBundle } from '../../harness/opa.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { validExchange } from '../exchange.ts'

const files = {
  'p.rego': `package envoy.authz

default allow := false

allow := {"allowed": true, "headers": {"x-amount": sprintf("%v", [input.parsed_body.amount])}} if {
	input.serving.tenant.name == "acme"
	input.parsed_body.amount > 12345678901234567890
}
`,
}
const clock = { nowMs: () => 1_790_000_000_000, monotonicUs: () => 0 }
const body = (amount: string): Partial<Parameters<typeof validExchange>[0]> => ({
  headers: [['content-type', 'application/json']],
  body: `{"amount": ${amount}}`,
})

async function opened(
  target: 'wasm' | 'plan' | 'rego',
  engine: EngineChoice,
  use: (ask: (x: Exchange) => Verdict, status: () => object, decided: readonly Decided[]) => void,
  opa = 'no-such-opa',
) {
  using folder = temporaryFolder()
  const path = join(folder.path, 'bundle.tar.gz')
  writeFileSync(path, await buildBundle({ files, target, revision: 'r1' }))
  const decided: Decided[] = []
  await using policy = await openPolicy({
    source: { file: path },
    decision: 'envoy/authz/allow',
    engine,
    compiler: createCompiler({ opa }),
    clock,
    onLoad: () => {},
    sink: (each) => decided.push(each),
  })
  await eventually('a load', () => policy.isReady() || policy.status().lastError)
  use((x) => policy.stage.request?.(x) as Verdict, policy.status, decided)
}

t.test('the compiled engine decides as the module does', async (t) => {
  for (const [target, engine] of [
    ['plan', 'compiled'],
    ['wasm', 'wasm'],
  ] as const) {
    await opened(target, engine, (ask, status, decided) => {
      t.match(status(), { engine, revision: 'r1' }, engine)
      t.match(
        ask(validExchange(body('12345678901234567891'))),
        { kind: 'allow', mutations: { setHeaders: [['x-amount', '12345678901234567891']] } },
        engine,
      )
      t.match(ask(validExchange(body('12345678901234567890'))), { kind: 'deny' }, engine)
      t.match(
        ask(
          validExchange({
            ...body('99999999999999999999'),
            tenant: { name: 'other', peers: [], models: [] },
          }),
        ),
        { kind: 'deny' },
        engine,
      )
      t.match(
        ask(validExchange({ attributes: { text: 'x'.repeat(1 << 20) } })),
        { kind: 'deny', reason: 'request_malformed' },
        `${engine}: an input that is too large`,
      )
      t.equal(decided.length, 4)
      t.match(
        decided[3],
        { input: { value: null }, error: /input is too large/ },
        'and what was not asked about',
      )
      t.match(
        decided[0]?.input.text,
        /"parsed_body":\{"amount":12345678901234567891\}/,
        'the log has the text',
      )
    })
  }
})

t.test('a bundle without what the chosen engine runs is refused, and says how to build it', async (t) => {
  await opened('wasm', 'compiled', (ask, status) => {
    t.match(status(), {
      engine: 'compiled',
      lastError: /plan\.json: no plan, only a wasm module .*wasm.; expected a plan .*build -t plan -e/,
    })
    t.match(ask(validExchange()), { kind: 'error', reason: 'policy_not_loaded' })
  })
  await opened('plan', 'wasm', (ask, status) => {
    t.match(status(), {
      engine: 'wasm',
      lastError: /no wasm module, only a plan .*compiled.; expected a module .*build -t wasm -e/,
    })
    t.match(ask(validExchange()), { kind: 'error', reason: 'policy_not_loaded' })
  })
})

t.test('the compiled engine has Rego compiled where a bundle has nothing else', async (t) => {
  const use: Parameters<typeof opened>[2] = (ask, status) => {
    t.match(status(), { engine: 'compiled', revision: 'r1' })
    t.match(ask(validExchange(body('12345678901234567891'))), { kind: 'allow' })
  }
  await opened('rego', 'compiled', use, await goTool('opa'))
})

t.test('lone surrogates of a body are U+FFFD to the policy, pairs stay', async (t) => {
  const echo = 'package envoy.authz\n\nallow := {"allowed": false, "body": concat("|", input.parsed_body)}\n'
  using folder = temporaryFolder()
  const path = join(folder.path, 'bundle.tar.gz')
  writeFileSync(path, await buildBundle({ files: { 'p.rego': echo }, target: 'plan' }))
  await using policy = await openPolicy({
    source: { file: path },
    decision: 'envoy/authz/allow',
    engine: 'compiled',
    clock,
    onLoad: () => {},
  })
  const sent = '["\\ud800", "\\uD83D\\uDE00", "\\udc00x", "\\\\ud800", "\\ud800\\u0041"]'
  const x = validExchange({ headers: [['content-type', 'application/json']], body: sent })
  t.match(policy.stage.request?.(x), { kind: 'deny', own: { body: '\ufffd|😀|\ufffdx|\\ud800|\ufffdA' } })
})
