import { once } from 'node:events'
import t from 'tap'
import { Heartbeats } from '../../../agent/limits/redis/heartbeats.ts'

t.test('a memory that was just emptied does not make replicas fewer at once', async (t) => {
  const { seen } = await rounds([3, 1, 1, 2, 1, 1, 1])
  t.same(seen, [1, 3, 3, 3, 3, 2, 2])
})

t.test('a round in which nobody answers changes nothing', async (t) => {
  const { seen, last } = await rounds([2, 'no', 'no', 'no', 'no', 'no'])
  t.same([...seen, last], [1, 2, 2, 2, 2, 2, 2])
})

t.test('before the first rounds there are as many as when the process ran last', async (t) => {
  const { seen, told } = await rounds(['no', 2, 2, 2, 2, 2], 5)
  t.same(seen, [5, 5, 5, 5, 5, 2])
  t.same(told, [2, 2, 2, 2, 2], 'which is not told as what there is')
})

t.test('how many there are says the first memory, however few run in others', async (t) => {
  const heard = new EventTarget()
  const told: number[] = []
  let rounds = 0
  const heartbeats = new Heartbeats({
    everyMs: 1,
    tags: () => ['first', 'other'],
    onRound: (replicas) => {
      told.push(replicas)
      if (told.length === 1) heard.dispatchEvent(new Event('end'))
    },
    // Away now and then: the other must not be believed instead.
    beat: async (tag) => {
      if (tag === 'other') return 1
      if (rounds++ % 2 === 0) throw new Error('no answer')
      return 3
    },
  })
  const kept = setInterval(() => {}, 1000)
  await once(heard, 'end')
  clearInterval(kept)
  heartbeats.stop()
  t.same(told, [3])
  t.equal(heartbeats.replicas(), 3)
})

/** What is known before each round of which the answers are given, and after the last. */
async function rounds(answers: readonly (number | 'no')[], before?: number) {
  const events = new EventTarget()
  const seen: number[] = []
  const told: number[] = []
  const heartbeats = new Heartbeats({
    everyMs: 1,
    tags: () => [''],
    before,
    onRound: (replicas) => told.push(replicas),
    beat: async () => {
      await undefined
      seen.push(heartbeats.replicas())
      if (seen.length > answers.length) events.dispatchEvent(new Event('end'))
      const answer = answers[seen.length - 1] ?? 'no'
      if (answer === 'no') throw new Error('no answer')
      return answer
    },
  })
  // Its own timer keeps no process.
  const kept = setInterval(() => {}, 1000)
  await once(events, 'end')
  clearInterval(kept)
  heartbeats.stop()
  return { seen: seen.slice(0, answers.length), last: seen[answers.length], told }
}
