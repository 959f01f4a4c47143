import t from 'tap'
import type { Answer } from './answer.ts'
import { differences, isSame } from './differences.ts'
import { goldenCases, readGoldens } from './goldens.ts'
import { openInProcess } from './in-process.ts'
import { contractRego } from './pair.ts'

t.test(
  'every case is answered as the OPA Envoy plugin answered it, but for the differences meant',
  async (t) => {
    using sluice = await openInProcess(contractRego)
    const goldens = readGoldens()
    t.same(
      [...goldens.keys()],
      goldenCases.map(({ name }) => name),
      'a golden for each case',
    )
    for (const { name, bytes, differs } of goldenCases) {
      const theirs = goldens.get(name) as Answer
      const ours = await sluice.ask(bytes)
      // A difference that is gone has to leave the list.
      t.equal(isSame(theirs, ours), differs === undefined, name, { theirs, ours, differs })
    }
  },
)

t.test('every difference has a case', async (t) => {
  const named = new Set(goldenCases.map(({ differs }) => differs))
  // One needs a request too large for a golden, one descriptors; both are compared with the running plugin.
  t.same(
    Object.keys(differences).filter((name) => !named.has(name as keyof typeof differences)),
    ['too-large', 'odd-encoding'],
  )
})
