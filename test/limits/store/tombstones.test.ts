import t from 'tap'
import { Tombstones } from '../../../agent/limits/store/tombstones.ts'

t.test('the last ids are remembered, each once, and the oldest goes first', async (t) => {
  const over = new Tombstones(3)
  for (const id of ['a', 'b', 'b', 'c', 'd']) over.add(id)
  t.same(
    ['a', 'b', 'c', 'd'].map((id) => over.has(id)),
    [false, true, true, true],
  )
  for (const id of ['e', 'f']) over.add(id)
  t.same(
    ['b', 'c', 'd', 'e', 'f'].map((id) => over.has(id)),
    [false, false, true, true, true],
  )
})
