import t from 'tap'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { readPlanBundle } from '#policy/bundle/bundle.ts'
import { createCompiledEngine } from '#policy/compiled/compiled.ts'
import { generate } from '#policy/compiled/generate.ts'
import { parsePlan } from '#policy/compiled/plan.ts'
import { EvaluationError } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { parseExactJson } from '#policy/input/json-text.ts'
import { buildBundle } from '../../harness/opa.ts'

const context = { nowNs: 0n }

/** The engine of a few rules of `package p`, asked for `p/answer`. */
async function engineOf(rules: string, data: Readonly<Record<string, JsonValue>> = {}, maxSteps?: number) {
  const files = { 'p.rego': `package p\n\n${rules}\n`, 'data.json': JSON.stringify(data) }
  const bundle = readPlanBundle(
    await buildBundle({ files, entrypoint: 'p/answer', target: 'plan' }),
    'test',
    'p/answer',
  )
  const engine = createCompiledEngine({
    ...bundle,
    place: 'test',
    ...(maxSteps !== undefined && { maxSteps }),
  })
  return (input?: JsonValue) =>
    engine.evaluate('p/answer', input === undefined ? undefined : new InputDocument(input), context)
}

const operand = (value: number, type = 'local') => ({ type, value })
const returned = { type: 'ReturnLocalStmt', stmt: { source: 2 } }

/** A plan of one function that the plan `e` calls; change what is in it. */
function planOf(change: {
  readonly strings?: readonly string[]
  readonly statements?: readonly object[]
  readonly name?: string
  readonly func?: string
}): string {
  const { strings = ['result'], statements = [], name = 'g0.f', func = name } = change
  return JSON.stringify({
    static: { strings: strings.map((value) => ({ value })), builtin_funcs: [] },
    plans: {
      plans: [
        {
          name: 'e',
          blocks: [
            {
              stmts: [
                { type: 'CallStmt', stmt: { func, args: [operand(0), operand(1)], result: 2 } },
                { type: 'MakeObjectStmt', stmt: { target: 3 } },
                {
                  type: 'ObjectInsertStmt',
                  stmt: { key: operand(0, 'string_index'), value: operand(2), object: 3 },
                },
                { type: 'ResultSetAddStmt', stmt: { value: 3 } },
              ],
            },
          ],
        },
      ],
    },
    funcs: {
      funcs: [
        { name, params: [0, 1], return: 2, path: [name], blocks: [{ stmts: [...statements, returned] }] },
      ],
    },
  })
}

/** Blocks in blocks, which `JSON.stringify` could not write. */
function nested(depth: number): string {
  const inner = '{"type":"NopStmt","stmt":{}}'
  const [before, after] = ['{"type":"NotStmt","stmt":{"block":{"stmts":[', ']}}}']
  const whole = before.repeat(depth) + inner + after.repeat(depth)
  return planOf({ statements: [JSON.parse(inner)] }).replace(inner, whole)
}

const open = (plan: string) => createCompiledEngine({ plan, data: {}, place: 'plan.json' })

t.test('nothing that a bundle says becomes code', async (t) => {
  const hostile = [
    "'); globalThis.broken = 1; ('",
    '`$' + '{globalThis.broken = 1}`',
    '\n}}}; globalThis.broken = 1; //',
    '*/ globalThis.broken = 1 /*',
    '\u2028globalThis.broken = 1',
    '__proto__',
    'constructor',
  ]
  for (const [index, text] of hostile.entries()) {
    const plan = planOf({
      strings: ['result', text],
      name: text,
      statements: [
        { type: 'MakeObjectStmt', stmt: { target: 2 } },
        {
          type: 'ObjectInsertStmt',
          stmt: { key: operand(1, 'string_index'), value: operand(1, 'string_index'), object: 2 },
        },
      ],
    })
    const written = generate(parsePlan(plan, 'x')).text
    t.notMatch(written, /globalThis|broken|__proto__|constructor/, `text ${index} is not in what is compiled`)
    const result = open(plan).evaluate('e', undefined, context)
    t.equal(
      JSON.stringify(result),
      JSON.stringify(Object.fromEntries([[text, text]])),
      `text ${index} is a value`,
    )
  }
  t.notOk('broken' in globalThis)
  t.notOk(Object.hasOwn(Object.prototype, 'broken'))
})

t.test('a plan that is none is refused, and says why', async (t) => {
  const cases: readonly (readonly [name: string, plan: string, why: RegExp])[] = [
    ['no JSON', '{', /JSON/],
    ['another JSON', '{"plans": 1}', /expected a plan of `opa build -t plan`/],
    ['nested without end', `${'['.repeat(200_000)}`, /expected a plan/],
    ['an unknown statement', planOf({ statements: [{ type: 'EvalStmt', stmt: {} }] }), /expected a plan/],
    [
      'a local that is a text',
      planOf({ statements: [{ type: 'ResetLocalStmt', stmt: { target: '2; x()' } }] }),
      /expected a plan/,
    ],
    [
      'a local that is no integer',
      planOf({ statements: [{ type: 'ResetLocalStmt', stmt: { target: 1.5 } }] }),
      /expected a plan/,
    ],
    [
      'a local below zero',
      planOf({ statements: [{ type: 'ResetLocalStmt', stmt: { target: -1 } }] }),
      /expected a plan/,
    ],
    [
      'a block that is not there',
      planOf({ statements: [{ type: 'BreakStmt', stmt: { index: 7 } }] }),
      /leaves a block that is not there \(7\)/,
    ],
    [
      'a string that is not there',
      planOf({
        statements: [{ type: 'AssignVarStmt', stmt: { source: operand(9, 'string_index'), target: 2 } }],
      }),
      /no string 9/,
    ],
    ['blocks in blocks without end', nested(20_000), /expected a plan/],
    ['and not quite so deep', nested(3000), /expected a plan/],
    ['a builtin that nobody has', planOf({ func: 'no.such' }), /needs no\.such; expected only builtins of/],
    ['a builtin that is refused', planOf({ func: 'http.send' }), /http\.send \(put what it would fetch into/],
  ]
  for (const [name, plan, why] of cases)
    t.throws(() => open(plan), { code: 'policy_plan_refused', message: why }, name)
})

t.test('a policy that does not end is stopped, and the next evaluation is answered', async (t) => {
  const numbers = Array.from({ length: 1000 }, (_, index) => index)
  const rules =
    'answer := count([1 | input.endless; some a in data.n; some b in data.n; some c in data.n; a + b == c])'
  const ask = await engineOf(rules, { n: numbers }, 100_000)
  t.throws(() => ask({ endless: true }), { name: 'EvaluationError', message: /more steps than it may/ })
  t.equal(ask({}), 0)
  t.throws(() => ask({ endless: true }), EvaluationError)

  const recursive = { type: 'CallStmt', stmt: { func: 'g0.f', args: [operand(0), operand(1)], result: 2 } }
  t.throws(() => open(planOf({ statements: [recursive] })).evaluate('e', undefined, context), EvaluationError)
})

t.test('what builtins make is paid for: a text that doubles without end is stopped', async (t) => {
  const doubled = Array.from(
    { length: 40 },
    (_, index) => `s${index + 1} := concat("", [s${index}, s${index}])`,
  )
  const ask = await engineOf(`s0 := input.text\n${doubled.join('\n')}\nanswer := count(s40)`, {}, 100_000)
  t.throws(() => ask({ text: 'x'.repeat(64) }), { message: /more steps than it may/ })
})

t.test('what a loop reads or copies at each turn is paid for', async (t) => {
  const many = Array.from({ length: 100_000 }, (_, index) => index)
  const object = Object.fromEntries(many.map((index) => [`k${index}`, index]))
  const rows: [rego: string, input: JsonObject][] = [
    ['answer := count([x | some x in input.a; x in input.b])', { a: many, b: many.map((each) => -each - 1) }],
    [
      'answer := count([y | some x in input.a; y := object.union(input.o, {"x": x})])',
      { a: many, o: object },
    ],
    [
      'answer := count([y | some x in input.a; y := f with input.o.x as x])\n\nf := input.o.x',
      { a: many, o: object },
    ],
    [
      'answer := count([x | some x in input.a; not f(x)])\n\nf(x) if {\n  some _, v in input.o\n  v + x < 0\n}',
      { a: many, o: object },
    ],
  ]
  for (const [rego, input] of rows) {
    // More than the turns alone would take; a tenth of what an agent allows takes a tenth of the time.
    const ask = await engineOf(rego, {}, 500_000)
    t.throws(() => ask(input), /takes more steps than it may/, rego)
  }
})

t.test(
  'what is made in a loop is made once, though another rule keeps other things in the same place',
  async (t) => {
    // The plan numbers its locals anew for each rule.
    const rules = ['allow', 'b', 'c', 'd'].map(
      (name) => `answer := x if { input.rule == "${name}"; x := f(input.${name}) }`,
    )
    const ask = await engineOf(
      `f(x) := x\n\n${rules.join('\n\n')}\n\nanswer := n if { input.rule == "n"; n := count([x | some x in numbers.range(1, 300000)]) }`,
    )
    // Copied at each turn it would be more than it may take.
    t.equal(ask({ rule: 'n' }), 300_000)
    t.equal(ask({ rule: 'allow', allow: 1 }), 1)
  },
)

t.test('a stack that is full refuses; it is no undefined that a policy could negate', async (t) => {
  const ask = await engineOf('answer if not json.marshal(json.unmarshal(input.text))')
  t.throws(() => ask({ text: `${'['.repeat(200_000)}${']'.repeat(200_000)}` }), {
    name: 'EvaluationError',
    message: /Maximum call stack/,
  })
})

t.test('an object has what it has, and nothing that JavaScript gives to all of them', async (t) => {
  const names = [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'text',
    'members',
    'size',
    'length',
    '0',
    'x',
  ]
  const rules = names.map((name, index) => `answer[${index}] := input.o[${JSON.stringify(name)}]`)
  const ask = await engineOf(rules.join('\n'))
  const foreign: JsonValue[] = [{}, [], 'text', ['x'], 7, null, true]
  for (const o of foreign) t.same(ask({ o }), {}, `nothing of ${JSON.stringify(o)}`)
  const own = JSON.parse(
    `{${names.map((name) => `${JSON.stringify(name)}: ${JSON.stringify(name)}`).join(',')}}`,
  )
  t.same(ask({ o: own }), Object.fromEntries(names.map((name, index) => [index, name])))

  const made = await engineOf('answer := {k: v | some k, v in input.o}')
  const text = '{"__proto__":{"isAdmin":true},"a":1}'
  t.equal(JSON.stringify(made({ o: JSON.parse(text) })), text)
  const sets = await engineOf('answer := [x | s := {v | some v in input.v}; some k in input.k; x := k in s]')
  t.same(sets({ v: ['a', 1, [1, { b: 2 }]], k: ['a', 'b', 1, '1', [1, { b: 2 }], [1], 'members'] }), [
    ...[true, false, true, false, true, false, false],
  ])
})

t.test('numbers of a request are compared and given back exactly', async (t) => {
  const ask = await engineOf(
    'answer := {"same": input.n == 12345678901234567891, "sum": input.n + 1, "n": input.n}',
  )
  const sent = (text: string) => parseExactJson(`{"n": ${text}}`)
  t.equal(
    JSON.stringify(ask(sent('12345678901234567891'))),
    '{"n":12345678901234567891,"same":true,"sum":12345678901234567892}',
  )
  t.equal(JSON.stringify(ask(sent('12345678901234567890'))).includes('"same":false'), true)
  t.equal(ask({ n: Number.NaN }), undefined, 'what JSON cannot say is null, and null adds to nothing')
})

t.test('what an evaluation makes is not seen by the next', async (t) => {
  const rules = `
grants := {"a": {"x", "y"}, "b": {"z"}}
wanted contains input.role
wanted contains "a"
answer := {"all": [g | some r in wanted; some g in grants[r]], "with": inner}
inner := x if x := input.role with input as {"role": "b"}`
  const ask = await engineOf(rules)
  t.same(ask({ role: 'b' }), { all: ['x', 'y', 'z'], with: 'b' })
  t.same(ask({ role: 'c' }), { all: ['x', 'y'], with: 'b' })
  t.same(ask({ role: 'b' }), { all: ['x', 'y', 'z'], with: 'b' })
})

t.test('data cannot be changed by what runs, and `with` does not change it', async (t) => {
  const ask = await engineOf(
    'answer := [data.a.b, before, data.a.b]\nbefore := x if x := data.a.b with data.a.b as input.v',
    {
      a: { b: 1 },
    },
  )
  t.same(ask({ v: 2 }), [1, 2, 1])
  t.same(ask({ v: 3 }), [1, 3, 1])
})

t.test('a rule that gives two values refuses', async (t) => {
  const ask = await engineOf('answer := x if some x in input.v')
  t.equal(ask({ v: [1, 1] }), 1)
  t.throws(() => ask({ v: [1, 2] }), {
    name: 'EvaluationError',
    message: /var assignment conflict: rules give different values/,
  })
})

t.test('without input, and with one, `input` is what it is', async (t) => {
  const ask = await engineOf('default answer := "none"\nanswer := input.v')
  t.equal(ask(), 'none')
  t.equal(ask('text'), 'none')
  t.equal(ask({ v: 1 }), 1)
})

t.test('a call whose answer another time would be another is written down', async (t) => {
  const files = { 'p.rego': 'package p\n\nanswer := time.now_ns()\n' }
  const bundle = readPlanBundle(
    await buildBundle({ files, entrypoint: 'p/answer', target: 'plan' }),
    'test',
    'p/answer',
  )
  const engine = createCompiledEngine({ ...bundle, place: 'test' })
  const recorded = new Map()
  t.equal(engine.evaluate('p/answer', undefined, { nowNs: 7n, recorded }), 7)
  t.same([...recorded.get('time.now_ns')], [['[]', 7]])
  t.same(engine.builtins, ['time.now_ns'])
})

t.test(
  'a text that is longer than any can be ends the evaluation, and is nothing that a policy can negate',
  async (t) => {
    const ask = await engineOf(
      'answer if not long\n\nlong if count(concat("", [input.s | some _ in numbers.range(1, 20000)])) > 0',
    )
    t.throws(() => ask({ s: 'a'.repeat(100_000) }), EvaluationError)
    t.equal(ask({ s: '' }), true, 'what fits is judged')
    t.end()
  },
)
