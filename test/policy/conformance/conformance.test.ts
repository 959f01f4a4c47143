import t from 'tap'
import { compileCases } from '../../harness/conformance.ts'
import { Random } from '../../harness/random.ts'
import { knownDifferences } from './differences.ts'
import { engines } from './engines.ts'
import { runFuzz } from './fuzz.ts'
import { Generator } from './generator.ts'
import { answerOf } from './judge.ts'
import { differences, notPassedOf, readNotPassed, unexplained } from './not-passed.ts'
import { countsOf, runSuite } from './suite.ts'

for (const [name, subject] of Object.entries(engines)) {
  t.test(`OPA's own cases end on ${name} as the list says, no worse and no better`, async (t) => {
    const listed = readNotPassed(subject.list)
    const verdicts = await runSuite(subject)
    const told = new Map(verdicts.map((verdict) => [verdict.name, verdict]))
    const changed = differences(notPassedOf(verdicts, listed), listed)
    for (const line of changed) t.comment(line)
    t.same(changed, [], 'run `npm run conformance -- --update` once it is meant so')
    for (const [each, reason] of Object.entries(listed.fail))
      t.notMatch(reason, unexplained, `${each}: ${told.get(each)?.why}`)
    const { pass, fail, total } = countsOf(verdicts)
    t.equal(told.size, total, 'no two cases have one name')
    t.ok(total > 4000, `${total} cases`)
    t.ok(pass / (pass + fail) >= 0.98, `${pass} of ${pass + fail} that compile`)
  })
}

for (const [name, subject] of Object.entries(engines)) {
  t.test(`generated rules are answered on ${name} as OPA answers them`, async (t) => {
    const report = await runFuzz({ subject, cases: 400, seed: 7 })
    t.same(report.differences, [])
    t.ok(report.same >= 390, `${report.same} alike`)
    t.ok(report.refused < 60, `${report.refused} that OPA does not compile`)
  })
}

t.test('the same seed generates the same rules, another one others', async (t) => {
  const made = (seed: number) => {
    const generator = new Generator(new Random(seed))
    return Array.from({ length: 20 }, () => [generator.rule('p'), generator.input()])
  }
  t.same(made(1), made(1))
  t.notSame(made(1), made(2))
})

t.test('what the module answers otherwise than the interpreter is known to the letter', async (t) => {
  const rows = [...knownDifferences].flatMap(([why, each]) => each.map((row) => ({ why, row })))
  const asked = rows.map(({ row: { expression } }) => ({
    note: expression,
    query: 'data.difference.p = x',
    modules: [`package difference\n\np := ${expression}\n`],
  }))
  let index = 0
  for await (const question of compileCases(asked)) {
    const { why, row } = rows[index++]!
    const name = `${row.expression}: ${why}`
    const { answer } = question.head
    t.equal(answer, row.opa === undefined ? '[]' : `[{"x":${row.opa}}]`, `OPA, ${name}`)
    if (typeof row.wasm === 'object') {
      t.match(
        answerOf(question, engines.wasm.ask),
        { kind: 'error', message: row.wasm.fails },
        `wasm, ${name}`,
      )
    } else {
      const got = engines.wasm.ask(question)
      t.equal(got === undefined ? undefined : JSON.stringify(got), row.wasm, `wasm, ${name}`)
      t.not(row.wasm, row.opa, `${name}: is a difference`)
    }
  }
  t.equal(index, rows.length)
})
