// Puts OPA's own cases, or generated ones, to an engine; docs/conformance.md says how.
import { parseArgs } from 'node:util'
import { engines, isEngineName } from '../test/policy/conformance/engines.ts'
import { runFuzz } from '../test/policy/conformance/fuzz.ts'
import { notPassedOf, readNotPassed, writeNotPassed } from '../test/policy/conformance/not-passed.ts'
import { countsOf, runSuite } from '../test/policy/conformance/suite.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
    engine: { type: 'string', default: 'wasm' },
    fuzz: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})
if (!isEngineName(values.engine)) {
  process.stderr.write(`no engine ${values.engine}; there are ${Object.keys(engines).join(', ')}\n`)
  process.exit(1)
}
const subject = engines[values.engine]
if (values.fuzz === undefined) await suite()
else await fuzz(Number(values.fuzz), Number(values.seed))

async function suite(): Promise<void> {
  const verdicts = await runSuite(subject)
  const list = notPassedOf(verdicts, readNotPassed(subject.list))
  if (values.update) writeNotPassed(subject.list, list)
  if (!values.json) {
    for (const { state, name, why } of verdicts)
      if (state !== 'pass') process.stdout.write(`${state} ${name}: ${list.fail[name] ?? why}\n`)
  }
  process.stdout.write(`${JSON.stringify(countsOf(verdicts))}\n`)
}

async function fuzz(cases: number, seed: number): Promise<void> {
  if (!(cases > 0 && Number.isInteger(seed))) {
    process.stderr.write('--fuzz takes how many cases, --seed an integer\n')
    process.exit(1)
  }
  const { differences, ...counts } = await runFuzz({ subject, cases, seed })
  if (!values.json) for (const each of differences) process.stdout.write(`${JSON.stringify(each, null, 1)}\n`)
  process.stdout.write(`${JSON.stringify({ ...counts, differences: differences.length, seed })}\n`)
  if (differences.length > 0) process.exitCode = 1
}
