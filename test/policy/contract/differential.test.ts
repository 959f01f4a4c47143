import t, { type Test } from 'tap'
import fc from '../../fast-check.ts'
import { cases } from './cases.ts'
import { type Difference, isSame } from './differences.ts'
import { checks, resultChecks } from './generate.ts'
import { askGoldens, readGoldens } from './goldens.ts'
import { contractRego, type Pair, startPair } from './pair.ts'

/** More of them by hand: `CONTRACT_RUNS=5000 CONTRACT_SEED=7 tap test/policy/contract/differential.test.ts`. */
const numRuns = Number(process.env['CONTRACT_RUNS'] ?? 300)
const seed = Number(process.env['CONTRACT_SEED'] ?? 42)

/** How many of the generated requests the two answered alike; the first that they did not is shown. */
async function compare(
  t: Test,
  pair: Pair,
  requests: fc.Arbitrary<Buffer>,
): Promise<ReadonlyMap<string, number>> {
  const kinds = new Map<string, number>()
  for (const bytes of fc.sample(requests, { numRuns, seed })) {
    const [theirs, ours] = await Promise.all([pair.plugin.ask(bytes), pair.sluice.ask(bytes)])
    kinds.set(theirs.kind, (kinds.get(theirs.kind) ?? 0) + 1)
    const tolerated: Difference[] = ['source-principal']
    if (bytes.includes('multipart/form-data')) tolerated.push('multipart-strict')
    if (!isSame(theirs, ours, tolerated)) {
      t.same(ours, theirs, bytes.toString('base64'))
      break
    }
  }
  return kinds
}

t.test('the plugin and Sluice answer the same bytes alike', async (t) => {
  await using pair = await startPair({ rego: contractRego })

  await t.test('the goldens are what the plugin says today', async (t) => {
    const goldens = readGoldens()
    for (const [name, answer] of await askGoldens(pair.plugin)) t.same(answer, goldens.get(name), name)
  })

  await t.test('every case, the large ones too', async (t) => {
    for (const { name, bytes, differs } of cases) {
      const [theirs, ours] = await Promise.all([pair.plugin.ask(bytes), pair.sluice.ask(bytes)])
      t.equal(isSame(theirs, ours), differs === undefined, name)
    }
  })

  await t.test('requests of every shape', async (t) => {
    const kinds = await compare(t, pair, checks)
    t.ok((kinds.get('denied') ?? 0) > numRuns / 2, 'most showed their input or why there is none')
  })

  await t.test('results of every shape', async (t) => {
    const kinds = await compare(t, pair, resultChecks)
    for (const kind of ['ok', 'denied', 'failed']) t.ok((kinds.get(kind) ?? 0) > numRuns / 20, kind)
  })
})
