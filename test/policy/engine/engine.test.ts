import t from 'tap'
import { readBundle } from '#policy/bundle/bundle.ts'
import { declaredPages } from '#policy/engine/declared-memory.ts'
import { createEngine, startEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { preparePolicy } from '#policy/engine/prepared.ts'
import { buildBundle } from '../../harness/opa.ts'

const decision = 'envoy/authz/allow'
const context = { nowNs: 0n }
const rego = `package envoy.authz

allow := {"user": data.users[input.user], "text": json.unmarshal(input.text)} if input.text

numbers_to := numbers.range(1, input.grow)

allow := count([x | some a in numbers_to; some b in numbers_to; x := [a, b, "padding that fills memory"]]) if input.grow
`
const wasm = readBundle(await buildBundle({ files: { 'p.rego': rego } }), 'p', decision).wasm
const users = (count: number) => ({
  users: Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `u${index}`,
      { roles: ['reader', `r${index % 7}`], name: `user ${index}` },
    ]),
  ),
})
const ask = (user: string, text = '1') => new InputDocument({ user, text })

t.test('what was prepared once starts any number of engines, which share nothing', async (t) => {
  const prepared = preparePolicy({ wasm, data: users(10), place: 'p' })
  const [first, second] = [await startEngine(prepared), await startEngine(prepared)]
  t.same(first.evaluate(decision, ask('u3'), context), {
    user: { roles: ['reader', 'r3'], name: 'user 3' },
    text: 1,
  })
  t.throws(() => first.evaluate(decision, { value: null, text: '{"text": "\\ud800"}' }, context))
  t.match(second.evaluate(decision, ask('u9'), context), { user: { name: 'user 9' } })
  t.match(first.evaluate(decision, ask('u9'), context), { user: { name: 'user 9' } })
})

t.test('large data is copied in slices, between which others get their turn', async (t) => {
  const prepared = preparePolicy({ wasm, data: users(60_000), place: 'p' })
  t.ok(prepared.image.length > 32 << 20, `${prepared.image.length} bytes`)
  let turns = 0
  let isDone = false
  const count = () => {
    turns++
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  const engine = await startEngine(prepared)
  isDone = true
  t.ok(turns >= 2, `${turns} turns`)
  t.match(engine.evaluate(decision, ask('u59999'), context), { user: { name: 'user 59999' } })

  // A trap in it leaves the data where it is.
  for (let i = 0; i < 3; i++) {
    t.throws(
      () => engine.evaluate(decision, { value: null, text: '{"text": "\\ud800"}' }, context),
      /policy evaluation failed: illegal/,
    )
    t.match(engine.evaluate(decision, ask(`u${i * 5000}`), context), { user: { name: `user ${i * 5000}` } })
  }
})

t.test(
  'a policy that allocates without end fails, again and again, and the next request is answered',
  async (t) => {
    const engine = createEngine({ wasm, data: users(10), place: 'p' })
    for (let i = 0; i < 2; i++) {
      t.throws(() => engine.evaluate(decision, new InputDocument({ grow: 4000 }), context), {
        name: 'EvaluationError',
        message: /policy evaluation failed/,
      })
      t.match(engine.evaluate(decision, ask('u1'), context), { user: { name: 'user 1' } })
    }
  },
)

t.test('data that does not fit is refused with the place', async (t) => {
  t.throws(() => preparePolicy({ wasm, data: users(10_000), place: 'huge.tar.gz', maxPages: 32 }), {
    code: 'policy_module_refused',
    place: 'huge.tar.gz',
    expected: "data that fits into 2 MiB of the module's memory",
  })
})

t.test('a policy with much text in its rules is given the memory that it declares', async (t) => {
  const texts = Array.from({ length: 3000 }, (_, index) => `"k${index}": "${`${index} `.repeat(60)}"`)
  const source = `package envoy.authz\n\ntexts := {${texts.join(', ')}}\n\nallow := texts[input.key]\n`
  const large = readBundle(await buildBundle({ files: { 'p.rego': source } }), 'p', decision).wasm
  t.ok(declaredPages(large) > 8, `${declaredPages(large)} pages`)
  const engine = createEngine({ wasm: large, data: {}, place: 'p' })
  t.equal(engine.evaluate(decision, new InputDocument({ key: 'k7' }), context), '7 '.repeat(60))
})

t.test('what is no module declares no memory', async (t) => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.alloc(9),
    Buffer.from('\0asm\x01\0\0\0\x02\xff\xff\xff\xff\x0f\x01', 'latin1'),
  ])
    t.equal(declaredPages(bytes), 0)
})
