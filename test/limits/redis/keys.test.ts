import t from 'tap'
import { keyNames } from '../../../agent/limits/redis/keys.ts'
import { slotOf } from '../../../agent/limits/redis/slot.ts'
import fc from '../../fast-check.ts'

const names = keyNames('sluice')

/** Texts that try to be one another: braces, escapes, separators, halves of pairs. */
const text = fc
  .oneof(
    fc.array(fc.constantFrom('a', '{', '}', '%', ':', '|', '007b', '\ud800', '\udc00', '\n', 'ä', ''), {
      maxLength: 6,
    }),
    fc.array(fc.string({ unit: 'binary' }), { maxLength: 2 }),
  )
  .map((parts) => parts.join(''))

/** As Redis sees them. */
const bytes = (name: string) => Buffer.from(name).toString('hex')

t.test('two counters have one name only if both their texts are equal', async (t) => {
  fc.assert(
    fc.property(text, text, text, text, (partition, id, otherPartition, otherId) => {
      const one = bytes(names.counter({ partition, id }, 'gcra'))
      const other = bytes(names.counter({ partition: otherPartition, id: otherId }, 'gcra'))
      return (one === other) === (partition === otherPartition && id === otherId)
    }),
    { numRuns: 20_000 },
  )
  t.pass()
})

t.test('names of different kinds of things are different, whatever stands in them', async (t) => {
  fc.assert(
    fc.property(text, text, (tag, id) => {
      const key = { partition: tag, id }
      const all = [
        names.record(tag),
        names.hold(tag, id),
        names.mark(tag, id),
        names.counter(key, 'gcra'),
        names.counter(key, 'sliding'),
        names.counter(key, 'calendar'),
        names.counter(key, 'concurrency'),
      ]
      return new Set(all.map(bytes)).size === all.length
    }),
  )
  t.pass()
})

t.test('everything of a partition lies in one slot of a cluster', async (t) => {
  fc.assert(
    fc.property(text, text, text, (tag, id, other) => {
      const slot = slotOf(names.record(tag))
      return [
        names.hold(tag, id),
        names.mark(tag, other),
        names.counter({ partition: tag, id }, 'gcra'),
        names.counter({ partition: tag, id: other }, 'concurrency'),
      ].every((name) => slotOf(name) === slot)
    }),
  )
  t.pass()
})

t.test('slots are those of the specification', async (t) => {
  const rows: [key: string, slot: number][] = [
    ['123456789', 0x31c3],
    ['foo', 12_182],
    ['{user1000}.following', slotOf('user1000')],
    ['foo{}{bar}', slotOf('foo{}{bar}')],
    ['foo{{bar}}zap', slotOf('{bar')],
    ['foo{bar}{zap}', slotOf('bar')],
  ]
  for (const [key, slot] of rows) t.equal(slotOf(key), slot, key)
})
