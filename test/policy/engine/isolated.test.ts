import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { EvaluationContext } from '#policy/builtins/builtin.ts'
import { readBundle } from '#policy/bundle/bundle.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { startIsolatedEngine } from '#policy/engine/isolated/isolated.ts'
import { preparePolicy } from '#policy/engine/prepared.ts'
import { openPolicy } from '#policy/policy.ts'
import { buildBundle } from '../../harness/opa.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { validExchange } from '../exchange.ts'

const decision = 'envoy/authz/allow'
/** `replace` of nothing never ends in the module's runtime. */
const rego = `package envoy.authz

allow := replace(input.loop, "", "x") if input.loop

allow := {"name": data.names[input.n], "at": time.now_ns(), "chance": rand.intn("x", 1000000)} if not input.loop
`
const wasm = readBundle(await buildBundle({ files: { 'p.rego': rego } }), 'p', decision).wasm
const data = { names: ['a', 'b', 'c'] }
const prepared = preparePolicy({ wasm, data, place: 'p' })
const input = (value: object) => new InputDocument(value as never)

t.test('a thread of its own answers as the engine in this one', async (t) => {
  await using isolated = await startIsolatedEngine(prepared, { deadlineMs: 60_000 })
  const here = createEngine({ wasm, data, place: 'p' })
  t.same(isolated.entrypoints, here.entrypoints)
  t.same(isolated.builtins, here.builtins)
  const contexts: EvaluationContext[] = [{ nowNs: 7n }, { nowNs: 7n, recorded: new Map() }]
  const [first, second] = await Promise.all(
    contexts.map((context, n) => isolated.evaluate(decision, input({ n }), context)),
  )
  t.match(first, { name: 'a', at: 7 })
  t.match(second, { name: 'b', at: 7 })
  const recorded = contexts[1]?.recorded
  t.same([...(recorded?.keys() ?? [])].sort(), ['rand.intn', 'time.now_ns'])
  t.same(
    [...(recorded?.get('rand.intn') ?? [])],
    [['["x",1000000]', (second as { readonly chance: number }).chance]],
  )
  t.equal(await isolated.evaluate(decision, input({ n: 9 }), { nowNs: 0n }), undefined)
  await t.rejects(isolated.evaluate('a/b', undefined, { nowNs: 0n }) as Promise<unknown>, {
    name: 'EvaluationError',
    message: /no entrypoint a\/b/,
  })
  await t.rejects(
    isolated.evaluate(decision, { value: null, text: '{"n": "\\ud800"}' }, { nowNs: 0n }) as Promise<unknown>,
    /illegal/,
  )
  t.match(await isolated.evaluate(decision, input({ n: 2 }), { nowNs: 0n }), { name: 'c' })
})

t.test('an endless evaluation is ended at its deadline, and those behind it are answered', async (t) => {
  const ended: string[] = []
  await using isolated = await startIsolatedEngine(prepared, {
    deadlineMs: 3000,
    onEnded: (why) => void ended.push(why),
  })
  for (let round = 0; round < 2; round++) {
    const endless = isolated.evaluate(decision, input({ loop: 'y' }), { nowNs: 0n }) as Promise<unknown>
    const behind = isolated.evaluate(decision, input({ n: 1 }), { nowNs: 1n })
    await t.rejects(endless, {
      name: 'EvaluationError',
      message: 'policy evaluation failed: no result within 3000 ms',
    })
    t.match(await behind, { name: 'b', at: 1 })
  }
  t.same(ended, Array(2).fill('no result within 3000 ms'))
})

t.test('closing it refuses what waits and leaves no thread', async (t) => {
  const isolated = await startIsolatedEngine(prepared, { deadlineMs: 60_000 })
  const waiting = [{ loop: 'y' }, { n: 1 }].map((value) =>
    isolated.evaluate(decision, input(value), { nowNs: 0n }),
  )
  const refused = waiting.map((each) => t.rejects(each as Promise<unknown>, /the engine is closed/))
  await isolated[Symbol.asyncDispose]()
  await Promise.all(refused)
  t.throws(() => isolated.evaluate(decision, undefined, { nowNs: 0n }), /the engine is closed/)
})

t.test('a policy that loops refuses the one request, and the agent answers the next', async (t) => {
  using folder = temporaryFolder()
  const file = join(folder.path, 'bundle.tar.gz')
  const looping = `package envoy.authz

default allow := true

allow := false if {
	input.parsed_path == ["loop"]
	replace(input.parsed_path[0], "", "x") == ""
}
`
  writeFileSync(file, await buildBundle({ files: { 'p.rego': looping } }))
  const ended: string[] = []
  await using policy = await openPolicy({
    source: { file },
    decision,
    isolation: { deadlineMs: 3000, onEnded: (why) => void ended.push(why) },
    onLoad: () => {},
  })
  const [late, next] = await Promise.all([
    policy.stage.request?.(validExchange({ path: '/loop' })),
    policy.stage.request?.(validExchange({ path: '/x' })),
  ])
  t.match(late, { kind: 'error', reason: 'policy_failed', cause: { message: /no result within 3000 ms/ } })
  t.match(next, { kind: 'allow' })
  t.equal(ended.length, 1)
})
