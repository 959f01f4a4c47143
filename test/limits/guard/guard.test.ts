import t from 'tap'
import { createGuardedStore } from '../../../agent/limits/guard/guard.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import type { Charge, QuotaStore, ReserveAnswer } from '../../../agent/limits/store/store.ts'
import fc from '../../fast-check.ts'
import { charge, gcraRule, hourRule, slidingRule, statesOf } from '../charges.ts'
import { type ScriptedStore, scriptedStore } from '../scripted-store.ts'
import { settled, type VirtualTime, virtualTime } from '../virtual-time.ts'

const ttlMs = 60_000

interface World {
  readonly time: VirtualTime
  readonly memory: QuotaStore
  readonly inner: ScriptedStore
  readonly store: QuotaStore
  readonly changes: (string | undefined)[]
  used(one: Charge): number
}

function world(
  options: { readonly maxQueued?: number; readonly memory?: QuotaStore; readonly time?: VirtualTime } = {},
): World {
  const { time = virtualTime() } = options
  const { memory = createMemoryStore({ clock: time.clock }) } = options
  const inner = scriptedStore(memory)
  const changes: (string | undefined)[] = []
  const store = createGuardedStore(inner, {
    ...time,
    local: createMemoryStore({ clock: time.clock }),
    onChange: (problem) => changes.push(problem),
    ...(options.maxQueued !== undefined && { maxQueued: options.maxQueued }),
  })
  const used = (one: Charge) => {
    const [state] = memory.peek([{ ...one, cost: 0 }]) as ReturnType<typeof statesOf>
    const limit = one.rule.kind === 'gcra' ? one.rule.burst : one.rule.limit
    return limit - (state?.remaining ?? Number.NaN)
  }
  return { time, memory, inner, store, changes, used }
}

let broken = 0

/** Has the guard give the store up. */
async function openBreaker({ store, inner }: World, weather: 'away' | 'mute' = 'away'): Promise<void> {
  inner.weather = weather
  const any = charge(hourRule(1e6), { id: 'breaks', onStoreFailure: 'allow' })
  for (let index = 0; index < 3; index++) await store.reserve(`breaks-${broken++}`, [any], ttlMs)
}

/** Has the store lose one limit, of which it had counted a call, and keep another. */
async function loseShared({ store, inner }: World, keptLimit: number) {
  const shared = charge(hourRule(100), { id: 'shared', onStoreFailure: 'share' })
  const kept = charge(hourRule(keptLimit), { id: 'kept' })
  await store.reserve('a', [shared], ttlMs)
  inner.weather = 'lost'
  inner.isLost = ({ key }) => key.id === 'shared'
  return { shared, kept }
}

function now(answer: ReserveAnswer | Promise<ReserveAnswer>): ReserveAnswer {
  if (answer instanceof Promise) throw new Error('somebody was asked')
  return answer
}

t.test('while the store answers, its word counts', async (t) => {
  const { store, inner, used } = world()
  const one = charge(hourRule(2))
  t.equal((await store.reserve('a', [one], ttlMs)).kind, 'granted')
  t.equal((await store.reserve('b', [one], ttlMs)).kind, 'granted')
  t.equal((await store.reserve('c', [one], ttlMs)).kind, 'refused')
  t.equal(await store.settle('a', [0]), 'settled')
  t.equal(used(one), 1)
  t.same(inner.asked, ['reserve a 1', 'reserve b 1', 'reserve c 1', 'settle a 0'])
})

t.test('what is over at once is charged to the store once it is back, and not cancelled', async (t) => {
  const w = world()
  const one = charge(hourRule(10), { onStoreFailure: 'share' })
  t.equal((await w.store.reserve('first', [one], ttlMs)).kind, 'granted')
  await openBreaker(w)
  t.equal((await w.store.reserve('away', [one], 0)).kind, 'granted')
  w.inner.weather = 'well'
  await w.time.advance(2000)
  t.equal(w.used(one), 2)
  t.notOk(w.inner.asked.some((asked) => asked.includes('settle away')))
})

t.test('after three answers that did not come nobody waits for the store', async (t) => {
  const w = world()
  const one = charge(hourRule(2))
  await openBreaker(w)
  const asked = w.inner.asked.length
  t.same(now(w.store.reserve('x', [one], ttlMs)), { kind: 'failed', fault: 'unavailable', index: 0 })
  t.equal(w.inner.asked.length, asked)
  t.equal(w.store.health.counts.breaker_opened, 1)
  t.type(w.store.health.problem(), 'string')
})

t.test(
  'a store that is busy is not given up, and nothing is cancelled that it was never asked',
  async (t) => {
    const { store, inner, time } = world()
    const one = charge(hourRule(100))
    inner.weather = 'busy'
    for (let i = 0; i < 10; i++)
      t.match(await store.reserve(`b${i}`, [one], ttlMs), { kind: 'failed', fault: 'unavailable' })
    t.match(await store.reserve('allowed', [{ ...one, onStoreFailure: 'allow' }], ttlMs), { kind: 'granted' })
    inner.weather = 'well'
    t.equal((await store.reserve('c', [one], ttlMs)).kind, 'granted')
    t.equal(store.health.counts.breaker_opened, 0)
    await time.advance(5000)
    t.notOk(inner.asked.some((asked) => asked.startsWith('settle b')))
  },
)

t.test('two missed answers and one that came do not give the store up', async (t) => {
  const { store, inner } = world()
  const one = charge(hourRule(100))
  for (let round = 0; round < 4; round++) {
    inner.weather = 'away'
    await store.reserve(`a${round}`, [one], ttlMs)
    await store.reserve(`b${round}`, [one], ttlMs)
    inner.weather = 'well'
    t.equal((await store.reserve(`c${round}`, [one], ttlMs)).kind, 'granted')
  }
  t.equal(store.health.counts.breaker_opened, 0)
})

t.test('a store that answers again is asked again, after a probe that no request waits for', async (t) => {
  const w = world()
  const one = charge(hourRule(2))
  await openBreaker(w)
  await w.time.advance(260)
  t.equal(now(w.store.reserve('still', [one], ttlMs)).kind, 'failed')
  w.inner.weather = 'well'
  await w.time.advance(260)
  t.equal((await w.store.reserve('again', [one], ttlMs)).kind, 'granted')
  t.equal(w.store.health.problem(), undefined)
  t.match(w.changes, [String, undefined])
})

t.test(
  'each limit says what happens while the store is away, and one that denies refuses the request',
  async (t) => {
    const cases: readonly (readonly [
      name: string,
      charges: readonly Charge[],
      kind: ReserveAnswer['kind'],
      count?: string,
    ])[] = [
      ['deny', [charge(hourRule(9))], 'failed'],
      ['allow', [charge(hourRule(9), { onStoreFailure: 'allow' })], 'granted', 'unchecked'],
      [
        'allow, over its limit',
        [charge(hourRule(9), { onStoreFailure: 'allow', cost: 50 })],
        'granted',
        'unchecked',
      ],
      ['share of a new hour', [charge(gcraRule(10, 10), { onStoreFailure: 'share' })], 'refused'],
      ['shadow that denies', [charge(hourRule(9), { isEnforced: false })], 'granted'],
      [
        'allow and deny',
        [charge(hourRule(9), { onStoreFailure: 'allow' }), charge(hourRule(9), { id: 'b' })],
        'failed',
      ],
      [
        'shadow and allow',
        [
          charge(hourRule(9), { isEnforced: false }),
          charge(hourRule(9), { id: 'b', onStoreFailure: 'allow' }),
        ],
        'granted',
        'unchecked',
      ],
    ]
    for (const [name, charges, kind, count] of cases) {
      const w = world()
      await openBreaker(w)
      const before = { ...w.store.health.counts }
      const answer = await w.store.reserve('x', charges, ttlMs)
      t.equal(answer.kind, kind, name)
      if (answer.kind === 'granted') t.equal(answer.states.length, charges.length)
      if (count !== undefined)
        t.equal(w.store.health.counts[count as 'unchecked'], (before[count as 'unchecked'] ?? 0) + 1, name)
    }
  },
)

t.test('a share of a calendar limit is what was left at the last answer, divided', async (t) => {
  const w = world()
  const one = charge(hourRule(100), { onStoreFailure: 'share' })
  await w.store.reserve('a', [{ ...one, cost: 40 }], ttlMs)
  await openBreaker(w)
  const answers = Array.from({ length: 40 }, (_, index) => now(w.store.reserve(`x${index}`, [one], ttlMs)))
  t.equal(answers.filter(({ kind }) => kind === 'granted').length, 30, '60 were left among two replicas')
  t.match(statesOf(answers[0] as ReserveAnswer), [{ isOver: false, remaining: 29 }])
})

t.test('a share of a calendar limit in a later span is its part of the whole', async (t) => {
  const w = world()
  const one = charge(hourRule(100), { onStoreFailure: 'share' })
  await w.store.reserve('a', [{ ...one, cost: 100 }], ttlMs)
  await openBreaker(w)
  t.equal(now(w.store.reserve('x', [one], ttlMs)).kind, 'refused')
  await w.time.advance(3_600_000)
  let granted = 0
  for (let index = 0; index < 100; index++)
    if (now(w.store.reserve(`y${index}`, [one], ttlMs)).kind === 'granted') granted++
  t.equal(granted, 50)
})

t.test('a share of a rate starts as full as the rate was, and drains at its part', async (t) => {
  const w = world()
  const one = charge(gcraRule(10, 20), { onStoreFailure: 'share' })
  await w.store.reserve('a', [{ ...one, cost: 12 }], ttlMs)
  await openBreaker(w)
  const count = (name: string) => {
    let granted = 0
    for (let index = 0; index < 50; index++)
      if (now(w.store.reserve(`${name}${index}`, [one], ttlMs)).kind === 'granted') granted++
    return granted
  }
  t.equal(count('x'), 4, '8 were left among two')
  await w.time.advance(1000)
  t.equal(count('y'), 5, '10 a second among two')
})

t.test(
  'a share of a sliding limit holds what was left until the window has passed, then its part',
  async (t) => {
    const w = world()
    const one = charge(slidingRule(100, 1000), { onStoreFailure: 'share' })
    await w.store.reserve('a', [{ ...one, cost: 60 }], ttlMs)
    await openBreaker(w)
    const count = (name: string) => {
      let granted = 0
      for (let index = 0; index < 100; index++)
        if (now(w.store.reserve(`${name}${index}`, [one], ttlMs)).kind === 'granted') granted++
      return granted
    }
    t.equal(count('x'), 20)
    await w.time.advance(1200)
    t.equal(count('y'), 50)
  },
)

t.test('a share of concurrency is its part of the slots', async (t) => {
  const w = world()
  const one = charge({ kind: 'concurrency', limit: 5 }, { onStoreFailure: 'share' })
  await openBreaker(w)
  t.equal(now(w.store.reserve('a', [one], ttlMs)).kind, 'granted')
  t.equal(now(w.store.reserve('b', [one], ttlMs)).kind, 'granted')
  t.equal(now(w.store.reserve('c', [one], ttlMs)).kind, 'refused')
  await w.store.settle('a', [1])
  t.equal(now(w.store.reserve('d', [one], ttlMs)).kind, 'granted')
})

t.test('what the store never told of has no share to begin with', async (t) => {
  for (const rule of [hourRule(100), gcraRule(10, 20), slidingRule(100, 1000)]) {
    const w = world()
    await openBreaker(w)
    t.equal(
      now(w.store.reserve('x', [charge(rule, { onStoreFailure: 'share' })], ttlMs)).kind,
      'refused',
      rule.kind,
    )
    await w.time.advance(2000)
    const later = now(w.store.reserve('y', [charge(rule, { onStoreFailure: 'share' })], ttlMs)).kind
    t.equal(later, rule.kind === 'calendar' ? 'refused' : 'granted', rule.kind)
  }
})

t.test('shares are all or nothing', async (t) => {
  const w = world()
  const [a, b] = [
    charge(hourRule(100), { id: 'a', onStoreFailure: 'share' }),
    charge(hourRule(4), { id: 'b', onStoreFailure: 'share' }),
  ]
  await w.store.reserve('first', [a, b], ttlMs)
  await openBreaker(w)
  t.equal(now(w.store.reserve('x', [a, b], ttlMs)).kind, 'granted', '3 were left of b, which is 1 for each')
  for (let index = 0; index < 20; index++)
    t.equal(now(w.store.reserve(`y${index}`, [a, b], ttlMs)).kind, 'refused')
  t.match(
    statesOf(now(w.store.reserve('z', [a], ttlMs))),
    [{ remaining: 47 }],
    'the refused took nothing of a',
  )
})

t.test('what was spent from the share is charged to the store when it is back, once', async (t) => {
  const w = world()
  const one = charge(hourRule(100), { onStoreFailure: 'share' })
  await w.store.reserve('a', [{ ...one, cost: 10 }], ttlMs)
  await w.store.settle('a', [10])
  await openBreaker(w)
  for (let index = 0; index < 5; index++) {
    t.equal(now(w.store.reserve(`x${index}`, [{ ...one, cost: 4 }], ttlMs)).kind, 'granted')
    await w.store.settle(`x${index}`, [3])
    t.equal(await w.store.settle(`x${index}`, [3]), 'queued', 'a second settlement is of no hold')
  }
  t.equal(w.used(one), 10)
  w.inner.weather = 'well'
  await w.time.advance(1000)
  t.equal(w.used(one), 25)
  await w.time.advance(10_000)
  t.equal(w.used(one), 25)
})

t.test('a call that runs on the share when the store is back gets a hold there', async (t) => {
  const w = world()
  const one = charge(hourRule(100), { onStoreFailure: 'share' })
  await w.store.reserve('a', [one], ttlMs)
  await openBreaker(w)
  t.equal(now(w.store.reserve('long', [{ ...one, cost: 20 }], ttlMs)).kind, 'granted')
  w.inner.weather = 'well'
  await w.time.advance(1000)
  t.equal(w.used(one), 21, 'what it reserved is charged while it runs')
  await w.store.settle('long', [8])
  await settled()
  t.equal(w.used(one), 9)
})

t.test('what was spent in an hour that is over is not charged to the next one', async (t) => {
  const w = world()
  const one = charge(hourRule(100), { onStoreFailure: 'share' })
  await w.store.reserve('a', [one], ttlMs)
  await openBreaker(w)
  t.equal(now(w.store.reserve('long', [{ ...one, cost: 20 }], 2 * 3_600_000)).kind, 'granted')
  t.equal(now(w.store.reserve('short', [{ ...one, cost: 20 }], ttlMs)).kind, 'granted')
  await w.store.settle('short', [20])
  await w.time.advance(3_600_000)
  w.inner.weather = 'well'
  await w.time.advance(1000)
  t.equal(w.used(one), 0)
})

t.test('a second absence right behind the first gives no second share', async (t) => {
  const w = world()
  const one = charge(hourRule(100), { onStoreFailure: 'share' })
  await w.store.reserve('a', [one], ttlMs)
  let granted = 1
  for (let round = 0; round < 5; round++) {
    await openBreaker(w)
    for (let index = 0; index < 60; index++) {
      const id = `x${round}-${index}`
      if (now(w.store.reserve(id, [one], ttlMs)).kind !== 'granted') continue
      granted++
      await w.store.settle(id, [1])
    }
    w.inner.weather = 'well'
    await w.time.advance(300)
    // The store is reached, but an answer that it gives now may not know of the debts.
    w.inner.weather = 'away'
  }
  t.ok(granted <= 100, `${granted} of 100 were granted`)
})

t.test('an answer that does not know what was granted without the store gives no new share', async (t) => {
  const w = world()
  const one = charge(hourRule(100), { onStoreFailure: 'share' })
  const ask = (id: string, cost: number) => w.store.reserve(id, [{ ...one, cost }], ttlMs)
  await ask('seen', 1)
  w.inner.weather = 'away'
  t.equal((await ask('alone', 40)).kind, 'granted')
  await w.store.settle('alone', [40])
  w.inner.weather = 'well'
  t.match(statesOf(await ask('early', 1)), [{ remaining: 98 }], 'the store was not told yet')
  await openBreaker(w)
  t.equal(now(ask('more', 10)).kind, 'refused')
  t.equal(now(ask('rest', 9)).kind, 'granted', '49 of 99 were ours')
  await w.store.settle('rest', [9])
  w.inner.weather = 'well'
  await w.time.advance(2000)
  t.match(statesOf(await ask('later', 1)), [{ remaining: 48 }], 'now it was')
  await openBreaker(w)
  t.equal(now(ask('anew', 24)).kind, 'granted', 'of what it knows a share is anew')
})

t.test('a shadow limit is told to the store later', async (t) => {
  const w = world()
  const one = charge(hourRule(3), { isEnforced: false })
  await openBreaker(w)
  for (let index = 0; index < 5; index++) {
    t.equal(now(w.store.reserve(`x${index}`, [one], ttlMs)).kind, 'granted')
    await w.store.settle(`x${index}`, [1])
  }
  w.inner.weather = 'well'
  await w.time.advance(1000)
  t.match(await w.memory.peek([one]), [{ isOver: true, remaining: 0 }])
})

t.test('a reservation of which nobody knows whether it was written is cancelled', async (t) => {
  const w = world()
  const one = charge(hourRule(100))
  w.inner.weather = 'mute'
  t.equal((await w.store.reserve('unsure', [{ ...one, cost: 30 }], ttlMs)).kind, 'failed')
  t.equal(w.used(one), 30, 'it was written')
  w.inner.weather = 'well'
  await w.time.advance(1000)
  t.equal(w.used(one), 0)
  t.equal((await w.memory.reserve('unsure', [one], ttlMs)).kind, 'refused', 'and cannot arrive late')
})

t.test('settlements wait for the store and are delivered once', async (t) => {
  const w = world()
  const one = charge(hourRule(100))
  for (const id of ['a', 'b', 'c']) await w.store.reserve(id, [{ ...one, cost: 10 }], ttlMs)
  await openBreaker(w, 'mute')
  t.equal(await w.store.settle('a', [3]), 'queued')
  t.equal(await w.store.settle('b', [10]), 'queued')
  t.equal(await w.store.settle('c', [14]), 'queued')
  t.equal(w.used(one), 30)
  t.equal(w.store.health.counts.queued, 3)
  w.inner.weather = 'well'
  await w.time.advance(1000)
  t.equal(w.used(one), 27)
  await w.time.advance(10_000)
  t.equal(w.used(one), 27)
  t.equal(w.store.health.counts.dropped, 0)
})

t.test('a settlement whose answer was lost is repeated and changes nothing', async (t) => {
  const w = world()
  const one = charge(hourRule(100))
  await w.store.reserve('a', [{ ...one, cost: 10 }], ttlMs)
  w.inner.weather = 'mute'
  t.equal(await w.store.settle('a', [15]), 'queued')
  t.equal(w.used(one), 15)
  w.inner.weather = 'well'
  await w.time.advance(1000)
  t.equal(w.used(one), 15)
})

t.test(
  'at its bound the queue drops what gives back, and debts only when there is nothing else',
  async (t) => {
    const w = world({ maxQueued: 4 })
    const one = charge(hourRule(1000))
    for (let index = 0; index < 8; index++) await w.store.reserve(`h${index}`, [{ ...one, cost: 10 }], ttlMs)
    await openBreaker(w)
    // Three cancellations of the breaker wait already.
    for (const [index, actual] of [5, 20, 5, 20, 20, 5, 20, 20].entries())
      await w.store.settle(`h${index}`, [actual])
    t.equal(w.store.health.counts.dropped, 7)
    w.inner.weather = 'well'
    await w.time.advance(1000)
    t.equal(w.used(one), 80 + 40, 'four of five debts arrived, and no give-back')
  },
)

t.test('a stream whose store goes away gets more by what its limits say', async (t) => {
  const w = world()
  const shared = charge(hourRule(100), { onStoreFailure: 'share' })
  const denied = charge(hourRule(100), { id: 'b' })
  await w.store.reserve('shared', [{ ...shared, cost: 10 }], ttlMs)
  await w.store.reserve('denied', [{ ...denied, cost: 10 }], ttlMs)
  await openBreaker(w)
  t.equal(now(w.store.topUp('denied', 1, [{ ...denied, cost: 5 }], ttlMs)).kind, 'failed')
  t.equal(now(w.store.topUp('shared', 1, [{ ...shared, cost: 5 }], ttlMs)).kind, 'granted')
  t.equal(now(w.store.topUp('shared', 1, [{ ...shared, cost: 5 }], ttlMs)).kind, 'granted', 'the same step')
  w.inner.weather = 'well'
  await w.time.advance(1000)
  t.equal(w.used(shared), 15)
  t.equal((await w.store.topUp('shared', 2, [{ ...shared, cost: 7 }], ttlMs)).kind, 'granted')
  t.equal(w.used(shared), 22)
  await w.store.settle('shared', [13])
  await settled()
  t.equal(w.used(shared), 13)
})

t.test('after the store lost its memory each limit does what it says, the others go on', async (t) => {
  const w = world()
  const shared = charge(hourRule(100), { id: 'shared', onStoreFailure: 'share' })
  const denied = charge(hourRule(100), { id: 'denied' })
  const kept = charge(gcraRule(1000, 1000), { id: 'kept' })
  await w.store.reserve('a', [{ ...shared, cost: 90 }], ttlMs)
  w.inner.weather = 'lost'
  w.inner.isLost = ({ key }) => key.id !== 'kept'
  t.same(await w.store.reserve('b', [kept, denied], ttlMs), { kind: 'failed', fault: 'lost', index: 1 })
  t.equal(w.used(kept), 0)
  const results: string[] = []
  for (let index = 0; index < 8; index++)
    results.push((await w.store.reserve(`c${index}`, [kept, shared], ttlMs)).kind)
  t.equal(results.filter((kind) => kind === 'granted').length, 5, '10 were left among two')
  t.equal(w.used(kept), 5, 'the refused took nothing')
  t.equal(w.store.health.counts.breaker_opened, 0)
  t.equal(w.store.health.counts.shared, 5)
})

t.test(
  'what a call asked for more and was not answered is cancelled, whatever it was granted by',
  async (t) => {
    const w = world()
    const one = charge(hourRule(100), { onStoreFailure: 'share' })
    await w.store.reserve('seen', [one], ttlMs)
    await w.store.settle('seen', [0])
    await openBreaker(w)
    t.equal((await w.store.reserve('a', [{ ...one, cost: 4 }], ttlMs)).kind, 'granted')
    w.inner.weather = 'well'
    await w.time.advance(300)
    t.equal(w.used(one), 4, 'it is told of')
    w.inner.weather = 'mute'
    const asked = w.store.topUp('a', 1, [{ ...one, cost: 7 }], ttlMs)
    t.equal((await asked).kind, 'granted')
    w.inner.weather = 'well'
    await w.store.settle('a', [9])
    await w.time.advance(5000)
    t.equal(w.used(one), 9)
  },
)

t.test('what is granted for a call that was settled meanwhile takes nothing', async (t) => {
  const w = world()
  const one = charge(hourRule(100), { onStoreFailure: 'share' })
  await w.store.reserve('a', [one], ttlMs)
  w.inner.weather = 'away'
  const late = w.store.topUp('a', 1, [{ ...one, cost: 40 }], ttlMs)
  const ended = w.store.settle('a', [1])
  await Promise.all([late, ended])
  await openBreaker(w)
  const next = await w.store.reserve('b', [{ ...one, cost: 49 }], ttlMs)
  t.equal(next.kind, 'granted', 'of 99 one half is ours, and all of it is left')
})

t.test(
  'a call whose hold the store has lost grows under another one, and is not stopped for it',
  async (t) => {
    const w = world()
    const allowed = charge(hourRule(100), { id: 'allowed', onStoreFailure: 'allow' })
    const watched = charge(hourRule(1), { id: 'watched', isEnforced: false })
    await w.store.reserve('a', [{ ...allowed, cost: 10 }, watched], ttlMs)
    // As if it had never been there.
    w.memory.settle('a', [0, 0])
    const more = (cost: number) => [
      { ...allowed, cost },
      { ...watched, cost: 0 },
    ]
    t.equal((await w.store.topUp('a', 1, more(5), ttlMs)).kind, 'granted')
    t.equal((await w.store.topUp('a', 2, more(5), ttlMs)).kind, 'granted')
    t.equal(w.used(allowed), 10, 'what came later')
    t.equal((await w.store.topUp('a', 3, more(91), ttlMs)).kind, 'refused', 'a limit is one')
    await w.store.settle('a', [17, 1])
    t.equal(w.used(allowed), 7)
  },
)

t.test('what a lost share refuses or the store refuses takes nothing of the other', async (t) => {
  const w = world()
  const { shared, kept } = await loseShared(w, 2)
  for (let index = 0; index < 10; index++) await w.store.reserve(`c${index}`, [kept, shared], ttlMs)
  t.equal(w.used(kept), 2)
  const alone = await w.store.reserve('alone', [shared], ttlMs)
  t.match(statesOf(alone), [{ remaining: 46 }])
})

t.test('what is asked of the store beside a lost limit, and not answered, is cancelled', async (t) => {
  const w = world()
  const { shared, kept } = await loseShared(w, 10)
  w.inner.isLost = ({ key }) => {
    // Of what is asked next the answer is lost.
    queueMicrotask(() => {
      w.inner.weather = 'mute'
    })
    return key.id === 'shared'
  }
  t.equal((await w.store.reserve('b', [kept, shared], ttlMs)).kind, 'failed')
  t.equal(w.used(kept), 1, 'it was written')
  w.inner.isLost = () => false
  w.inner.weather = 'well'
  await w.time.advance(5000)
  t.equal(w.used(kept), 0)
})

t.test('a call that is settled while a lost limit is made up for leaves nothing', async (t) => {
  const w = world()
  const { shared, kept } = await loseShared(w, 10)
  const late = w.store.reserve('b', [kept, shared], ttlMs)
  await w.store.settle('b', [1, 1])
  await late
  await w.time.advance(5000)
  t.equal(w.used(kept), 0)
})

t.test('at the end what waits is delivered, as far as the store answers within the deadline', async (t) => {
  for (const isBack of [true, false]) {
    const w = world()
    const one = charge(hourRule(100), { onStoreFailure: 'share' })
    await w.store.reserve('a', [{ ...one, cost: 10 }], ttlMs)
    await openBreaker(w)
    await w.store.settle('a', [4])
    now(w.store.reserve('x', [{ ...one, cost: 5 }], ttlMs))
    await w.store.settle('x', [5])
    if (isBack) w.inner.weather = 'well'
    const end = w.store[Symbol.asyncDispose]()
    await w.time.advance(3000)
    await end
    t.equal(w.used(one), isBack ? 9 : 10)
    t.ok(isBack ? w.store.health.counts.dropped === 0 : w.store.health.counts.dropped >= 2)
  }
})

t.test('a call that is settled before the store has answered leaves nothing', async (t) => {
  for (const weather of ['well', 'away', 'mute'] as const) {
    const w = world()
    const one = charge(hourRule(100), { onStoreFailure: 'share' })
    await w.store.reserve('first', [one], ttlMs)
    await w.store.settle('first', [0])
    w.inner.weather = weather
    const pending = w.store.reserve('gone', [one], ttlMs)
    await w.store.settle('gone', [0])
    await pending
    w.inner.weather = 'well'
    await w.time.advance(3000)
    t.equal(w.used(one), 0, weather)
  }
})

t.test(
  'what is on its way at the end arrives, and what comes of it, before the store is closed',
  async (t) => {
    const w = world()
    const { inner } = w
    const one = charge(hourRule(100))
    const { settle, reserve } = inner
    inner.settle = async (id, actuals) => {
      for (let turn = 0; turn < 5; turn++) await settled()
      return settle(id, actuals)
    }
    let usedAtEnd: number | undefined
    inner[Symbol.asyncDispose] = async () => {
      usedAtEnd = w.used(one)
    }
    await w.store.reserve('settled', [{ ...one, cost: 40 }], ttlMs)
    inner.reserve = async (id, charges, ttl) => {
      for (let turn = 0; turn < 5; turn++) await settled()
      return reserve(id, charges, ttl)
    }
    void w.store.settle('settled', [5])
    // A client that went away while the store was asked.
    void Promise.resolve(w.store.reserve('abandoned', [{ ...one, cost: 30 }], ttlMs)).then(() =>
      w.store.settle('abandoned', [0]),
    )
    await w.store[Symbol.asyncDispose]()
    t.equal(usedAtEnd, 5)
  },
)

t.test('the end does not wait for a store that never answers', async (t) => {
  const w = world()
  await w.store.reserve('a', [charge(hourRule(100))], ttlMs)
  w.inner.settle = () => new Promise(() => {})
  void w.store.settle('a', [1])
  let isOver = false
  const ended = w.store[Symbol.asyncDispose]().then(() => {
    isOver = true
  })
  await w.time.advance(900)
  t.equal(isOver, false)
  await w.time.advance(200)
  await ended
})

t.test('two processes that lose their store share what was left, whatever comes when', async (t) => {
  const step = fc.record({
    replica: fc.nat(1),
    cost: fc.integer({ min: 1, max: 4 }),
    weather: fc.option(fc.constantFrom('well', 'away', 'mute'), { nil: undefined, freq: 12 }),
    waitMs: fc.constantFrom(0, 0, 0, 5, 300),
  })
  let shared = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 150 }), async (steps) => {
      const time = virtualTime()
      const memory = createMemoryStore({ clock: time.clock })
      const worlds = [0, 1].map(() => world({ time, memory }))
      const one = charge(hourRule(60), { onStoreFailure: 'share' })
      let granted = 0
      let whenAway = 0
      for (const [index, { replica, cost, weather, waitMs }] of steps.entries()) {
        if (weather !== undefined) for (const { inner } of worlds) inner.weather = weather as 'well'
        const { store, inner } = worlds[replica] as World
        const id = `${replica}-${index}`
        const answer = await store.reserve(id, [{ ...one, cost }], ttlMs)
        if (answer.kind === 'granted') {
          granted += cost
          if (inner.weather !== 'well') whenAway += cost
          void store.settle(id, [cost])
        }
        await time.advance(waitMs)
      }
      for (const { inner } of worlds) inner.weather = 'well'
      for (let round = 0; round < 100; round++) await time.advance(100)
      shared += worlds.reduce((sum, { store }) => sum + store.health.counts.shared, 0)
      const [state] = memory.peek([{ ...one, cost: 0 }]) as ReturnType<typeof statesOf>
      t.ok(granted <= 120, `${granted} of 60, ${whenAway} of them without the store`)
      // Nothing is forgotten, and nothing charged twice.
      t.equal(60 - (state?.remaining ?? 0), Math.min(60, granted))
      return granted <= 120 && 60 - (state?.remaining ?? 0) === Math.min(60, granted)
    }),
    { numRuns: 60 },
  )
  t.ok(shared > 20, `${shared} calls were granted from shares`)
})
