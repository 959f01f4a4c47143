import type { Test } from 'tap'
import type { Charge, CounterState, QuotaStore } from '../../../agent/limits/store/store.ts'
import { maxUnits } from '../../../agent/limits/store/store.ts'
import { evenSpans, gcraRule } from './sequences.ts'
import { chargeOn, type Trial } from './trial.ts'

/** 10 a second, 10 at once: one every 100 ms. */
const tenASecond = gcraRule(10, 1000, 10)
const sliding = (limit: number) => ({ kind: 'sliding' as const, limit, sliceUs: 100_000, sliceCount: 10 })
const day = evenSpans(86_400_000)
const calendar = (limit: number) => ({ kind: 'calendar' as const, limit, calendar: day })
const concurrency = (limit: number) => ({ kind: 'concurrency' as const, limit })
const ttlMs = 60_000

/** What a store promises, case by case. */
export function tableLaws(t: Test, name: string, open: () => Promise<Trial & AsyncDisposable>): void {
  const law = (sentence: string, body: (t: Test, trial: Trial) => Promise<void>) =>
    t.test(`${name}: ${sentence}`, async (t) => {
      await using trial = await open()
      await body(t, trial)
    })

  law('a charge that is refused leaves the others as they were', async (t, { store, fresh }) => {
    const [one, other] = [fresh(), fresh()]
    const charges = [chargeOn(one, calendar(10), 4), chargeOn(other, tenASecond, 11)]
    const answer = await store.reserve(fresh(), charges, ttlMs)
    t.match(answer, { kind: 'refused', states: [{ isOver: false, remaining: 10 }, { isOver: true }] })
    t.equal(remaining(await peek(store, charges), 0), 10)
    t.match(await store.reserve(fresh(), [charges[0] as Charge], ttlMs), {
      kind: 'granted',
      states: [{ remaining: 6 }],
    })
  })

  for (const rule of [tenASecond, sliding(10), calendar(10), concurrency(10)]) {
    const { kind } = rule

    law(`${kind}: a cost of 0 needs that one is left, and takes nothing`, async (t, { store, fresh }) => {
      const id = fresh()
      t.match(await store.reserve(fresh(), [chargeOn(id, rule, 0)], ttlMs), {
        kind: 'granted',
        states: [{ remaining: 10 }],
      })
      await store.reserve(fresh(), [chargeOn(id, rule, 10)], ttlMs)
      t.match(await store.reserve(fresh(), [chargeOn(id, rule, 0)], ttlMs), {
        kind: 'refused',
        states: [{ isOver: true, remaining: 0 }],
      })
    })

    law(`${kind}: more than the limit never passes`, async (t, { store, fresh }) => {
      t.match(await store.reserve(fresh(), [chargeOn(fresh(), rule, 11)], ttlMs), {
        kind: 'refused',
        states: [{ isOver: true, remaining: 10, retryUs: Number.POSITIVE_INFINITY, resetUs: 0 }],
      })
      const huge = chargeOn(fresh(), rule, Number.MAX_SAFE_INTEGER)
      t.match(await store.reserve(fresh(), [huge], ttlMs), { kind: 'refused', states: [{ remaining: 10 }] })
    })

    law(`${kind}: who waits as long as told passes, and not before`, async (t, { store, fresh, wait }) => {
      const id = fresh()
      const charge = chargeOn(id, rule, 7)
      await wait(12_345)
      await store.reserve(fresh(), [charge], 1000)
      const { retryUs } = first(await store.reserve(fresh(), [charge], ttlMs))
      if (kind === 'concurrency') {
        t.equal(retryUs, 1_000_000)
        await wait(999_999)
      } else await wait(retryUs - (kind === 'calendar' ? 1000 : 1))
      t.match(await store.reserve(fresh(), [charge], ttlMs), { kind: 'refused' })
      await wait(kind === 'calendar' ? 1000 : 1)
      t.match(await store.reserve(fresh(), [charge], ttlMs), { kind: 'granted' })
    })

    law(`${kind}: what is not enforced goes over its limit and says so`, async (t, { store, fresh }) => {
      const charge = chargeOn(fresh(), rule, 7, { isEnforced: false })
      const answers = [
        await store.reserve(fresh(), [charge], ttlMs),
        await store.reserve(fresh(), [charge], ttlMs),
      ]
      t.match(answers, [
        { kind: 'granted', states: [{ isOver: false, remaining: 3, retryUs: 0 }] },
        { kind: 'granted', states: [{ isOver: true, remaining: 0 }] },
      ])
    })
  }

  law('a hold that is not settled stays charged, and runs no more', async (t, { store, fresh, wait }) => {
    const [used, runs, id] = [fresh(), fresh(), fresh()]
    const charges = [chargeOn(used, calendar(10), 4), chargeOn(runs, concurrency(1), 1)]
    await store.reserve(id, charges, 1000)
    await wait(999_999)
    t.match(await peek(store, charges), [{ remaining: 6 }, { remaining: 0 }])
    await wait(1)
    t.match(await peek(store, charges), [{ remaining: 6 }, { remaining: 1 }])
    t.equal(await store.settle(id, [0, 0]), 'unknown')
    t.match(await peek(store, charges), [{ remaining: 6 }, { remaining: 1 }])
  })

  law('what is over at once is charged for good and runs nowhere', async (t, { store, fresh }) => {
    const [used, runs, id] = [fresh(), fresh(), fresh()]
    const charges = [chargeOn(used, calendar(10), 4), chargeOn(runs, concurrency(1), 1)]
    const granted = { kind: 'granted', states: [{ isOver: false, remaining: 6 }, { remaining: 1 }] }
    t.match(await store.reserve(id, charges, 0), granted)
    t.match(await store.topUp(id, 1, charges, ttlMs), { kind: 'refused' })
    t.equal(await store.settle(id, [0, 0]), 'unknown')
    t.match(await peek(store, charges), [{ remaining: 6 }, { remaining: 1 }])
    t.match(await store.reserve(id, charges, 0), { kind: 'granted', states: [{ remaining: 2 }, {}] })
    const refused = { kind: 'refused', states: [{ isOver: true, remaining: 2 }, { isOver: false }] }
    t.match(await store.reserve(id, charges, 0), refused)
    t.match(await peek(store, charges), [{ remaining: 2 }, { remaining: 1 }])
  })

  law('what is cancelled before it comes is refused', async (t, { store, fresh }) => {
    const [id, charges] = [fresh(), [chargeOn(fresh(), calendar(10), 4)]]
    t.equal(await store.settle(id, [0]), 'unknown')
    t.match(await store.reserve(id, charges, ttlMs), { kind: 'refused' })
    t.match(await store.topUp(id, 1, charges, ttlMs), { kind: 'refused' })
    t.match(await peek(store, charges), [{ remaining: 10 }])
  })

  law('a settlement of something that is not known changes nothing', async (t, { store, fresh }) => {
    const [id, charges] = [fresh(), [chargeOn(fresh(), calendar(10), 4)]]
    t.equal(await store.settle(id, [3]), 'unknown')
    t.match(await store.reserve(id, charges, ttlMs), { kind: 'granted', states: [{ remaining: 6 }] })
  })

  law('what was settled cannot be reserved again', async (t, { store, fresh }) => {
    const [id, charges] = [fresh(), [chargeOn(fresh(), calendar(10), 4)]]
    await store.reserve(id, charges, ttlMs)
    t.equal(await store.settle(id, [1]), 'settled')
    t.equal(await store.settle(id, [0]), 'already')
    t.match(await store.reserve(id, charges, ttlMs), { kind: 'refused' })
    t.match(await peek(store, charges), [{ remaining: 9 }])
  })

  law('what was granted is told again word by word while it lives', async (t, { store, fresh, wait }) => {
    const [id, other, charges] = [fresh(), fresh(), [chargeOn(fresh(), tenASecond, 4)]]
    const granted = await store.reserve(id, charges, ttlMs)
    await wait(150_000)
    await store.reserve(other, charges, ttlMs)
    t.same(await store.reserve(id, charges, ttlMs), granted)
    const more = await store.topUp(
      id,
      1,
      [chargeOn(charges[0]?.key.partition as string, tenASecond, 2)],
      ttlMs,
    )
    await wait(150_000)
    t.same(await store.topUp(id, 1, charges, ttlMs), more)
    t.match(more, { kind: 'granted' })
  })

  law('a hold that is topped up lives on and holds both', async (t, { store, fresh, wait }) => {
    const [id, key, runs] = [fresh(), fresh(), fresh()]
    const charges = (cost: number) => [chargeOn(key, calendar(10), cost), chargeOn(runs, concurrency(1), 1)]
    const more = (cost: number) => [chargeOn(key, calendar(10), cost), chargeOn(runs, concurrency(1), 0)]
    await store.reserve(id, charges(4), 1000)
    await wait(900_000)
    t.match(await store.topUp(id, 1, more(3), 1000), {
      kind: 'granted',
      states: [{ remaining: 3 }, { isOver: false, remaining: 0, retryUs: 0 }],
    })
    await wait(900_000)
    t.match(await store.topUp(id, 2, more(4), 1000), { kind: 'refused', states: [{ isOver: true }, {}] })
    t.match(await peek(store, charges(1)), [{ remaining: 3 }, { remaining: 0 }])
    t.equal(await store.settle(id, [5, 1]), 'settled')
    t.match(await peek(store, charges(1)), [{ remaining: 5 }, { remaining: 1 }])
  })

  law('a hold that is topped up for nothing lives on', async (t, { store, fresh, wait }) => {
    for (const rule of [tenASecond, sliding(10), calendar(10), concurrency(10)]) {
      const [id, key] = [fresh(), fresh()]
      const charge = (cost: number) => [chargeOn(key, rule, cost)]
      await store.reserve(id, charge(1), 1000)
      await wait(700_000)
      const free = charge(0).map((each) => ({ ...each, isEnforced: false }))
      t.match(await store.topUp(id, 1, free, 1000), { kind: 'granted' }, rule.kind)
      await wait(700_000)
      const isRunning = rule.kind === 'concurrency'
      if (isRunning) t.match(await peek(store, charge(1)), [{ remaining: 9 }])
      t.equal(await store.settle(id, [9]), 'settled', rule.kind)
      t.match(await peek(store, charge(1)), [{ isOver: false }], rule.kind)
    }
  })

  law('what was topped up drains with what was there', async (t, { store, fresh, wait }) => {
    const [id, key] = [fresh(), fresh()]
    await store.reserve(id, [chargeOn(key, tenASecond, 4)], ttlMs)
    await wait(200_000)
    await store.topUp(id, 1, [chargeOn(key, tenASecond, 3)], ttlMs)
    const other = [chargeOn(key, tenASecond, 5)]
    t.match(await store.reserve(fresh(), other, ttlMs), { kind: 'granted', states: [{ remaining: 0 }] })
    await store.settle(id, [0])
    t.match(await peek(store, other), [{ remaining: 5 }])
  })

  law('what was topped up comes back first, then what was there', async (t, { store, fresh, wait }) => {
    const [id, key] = [fresh(), fresh()]
    await store.reserve(id, [chargeOn(key, sliding(10), 4)], ttlMs)
    await wait(300_000)
    await store.topUp(id, 1, [chargeOn(key, sliding(10), 2)], ttlMs)
    await wait(300_000)
    await store.topUp(id, 2, [chargeOn(key, sliding(10), 1)], ttlMs)
    await store.settle(id, [1])
    t.match(await peek(store, [chargeOn(key, sliding(10), 1)]), [{ remaining: 9, resetUs: 500_000 }])
  })

  for (const [rule, laterUs] of [
    [sliding(10), 1_100_000],
    [calendar(10), 86_400_000_000],
  ] as const) {
    const { kind } = rule
    const longMs = 3 * 86_400_000

    law(`${kind}: what comes back of a time that is over is not taken from others`, async (t, trial) => {
      const { store, fresh, wait } = trial
      const [id, key] = [fresh(), fresh()]
      await store.reserve(id, [chargeOn(key, rule, 4)], longMs)
      await wait(laterUs)
      await store.reserve(fresh(), [chargeOn(key, rule, 5)], ttlMs)
      await store.settle(id, [0])
      t.match(await peek(store, [chargeOn(key, rule, 1)]), [{ remaining: 5 }])
    })

    law(`${kind}: of what was topped up later no more comes back than that`, async (t, trial) => {
      const { store, fresh, wait } = trial
      const [id, key] = [fresh(), fresh()]
      await store.reserve(id, [chargeOn(key, rule, 4)], longMs)
      await wait(laterUs)
      await store.topUp(id, 1, [chargeOn(key, rule, 2)], longMs)
      await store.reserve(fresh(), [chargeOn(key, rule, 5)], ttlMs)
      await store.settle(id, [0])
      t.match(await peek(store, [chargeOn(key, rule, 1)]), [{ remaining: 5 }])
    })
  }

  law('what comes back of several slices is taken from each as it was', async (t, { store, fresh, wait }) => {
    const [id, key] = [fresh(), fresh()]
    await store.reserve(id, [chargeOn(key, sliding(10), 4)], ttlMs)
    await wait(300_000)
    await store.topUp(id, 1, [chargeOn(key, sliding(10), 2)], ttlMs)
    await store.reserve(fresh(), [chargeOn(key, sliding(10), 2)], ttlMs)
    await wait(300_000)
    await store.topUp(id, 2, [chargeOn(key, sliding(10), 1)], ttlMs)
    await store.reserve(fresh(), [chargeOn(key, sliding(10), 1)], ttlMs)
    await store.settle(id, [1])
    t.match(await peek(store, [chargeOn(key, sliding(10), 1)]), [{ remaining: 6 }])
    await wait(500_000)
    t.match(await peek(store, [chargeOn(key, sliding(10), 1)]), [{ remaining: 7 }], 'without the first slice')
  })

  law('a debt is paid before anything is granted', async (t, { store, fresh, wait }) => {
    const [id, key] = [fresh(), fresh()]
    await store.reserve(id, [chargeOn(key, tenASecond, 10)], ttlMs)
    await store.settle(id, [25])
    const one = [chargeOn(key, tenASecond, 1)]
    t.match(await peek(store, one), [{ remaining: 0, retryUs: 1_600_000, resetUs: 2_500_000 }])
    await wait(1_599_999)
    t.match(await store.reserve(fresh(), one, ttlMs), { kind: 'refused' })
    await wait(1)
    t.match(await store.reserve(fresh(), one, ttlMs), { kind: 'granted', states: [{ remaining: 0 }] })
  })

  for (const [rule, retryUs] of [
    [tenASecond, 400_000],
    [sliding(10), undefined],
    [calendar(10), undefined],
  ] as const) {
    law(`${rule.kind}: a debt ends at its cap`, async (t, { store, fresh }) => {
      const [id, key] = [fresh(), fresh()]
      const charge = chargeOn(key, rule, 10, { debtCap: 3 })
      await store.reserve(id, [charge], ttlMs)
      await store.settle(id, [Number.MAX_SAFE_INTEGER])
      const one = chargeOn(key, rule, 1)
      const [state] = await peek(store, [one])
      if (retryUs !== undefined) t.equal(state?.retryUs, retryUs)
      t.match(await store.adjust(fresh(), one, { back: 3 }), { remaining: 0 })
      t.match(await store.adjust(fresh(), one, { back: 1 }), { remaining: 1 })
    })

    law(`${rule.kind}: people give back, take and forget, each once`, async (t, { store, fresh }) => {
      const [id, key, grant] = [fresh(), fresh(), fresh()]
      const one = chargeOn(key, rule, 1)
      await store.reserve(id, [chargeOn(key, rule, 8)], ttlMs)
      t.match(await store.adjust(grant, one, { back: 3 }), { remaining: 5, isOver: false })
      t.match(await store.adjust(grant, one, { back: 3 }), { remaining: 5 })
      t.match(await store.adjust(fresh(), one, { back: -7 }), { remaining: 0, isOver: true })
      t.match(await store.adjust(fresh(), one, 'reset'), { remaining: 10, isOver: false, resetUs: 0 })
      await store.reserve(fresh(), [chargeOn(key, rule, 6)], ttlMs)
      await store.settle(id, [0])
      t.match(await peek(store, [one]), [{ remaining: 4 }], 'what was held before is not given back')
    })

    law(`${rule.kind}: forgotten twice in one microsecond is twice`, async (t, { store, fresh }) => {
      const [id, key] = [fresh(), fresh()]
      const one = chargeOn(key, rule, 1)
      await store.adjust(fresh(), one, 'reset')
      await store.reserve(id, [chargeOn(key, rule, 5)], ttlMs)
      await store.adjust(fresh(), one, 'reset')
      await store.reserve(fresh(), [chargeOn(key, rule, 4)], ttlMs)
      await store.settle(id, [0])
      t.match(await peek(store, [one]), [{ remaining: 6 }], 'what was held between is not given back')
    })
  }

  law('people cannot end what runs', async (t, { store, fresh }) => {
    const charge = chargeOn(fresh(), concurrency(2), 1)
    await store.reserve(fresh(), [charge], ttlMs)
    t.match(await store.adjust(fresh(), charge, { back: 1 }), { remaining: 1 })
    t.match(await store.adjust(fresh(), charge, 'reset'), { remaining: 1 })
  })

  law('a clock that goes back lets nobody through', async (t, { store, fresh, stepBack }) => {
    const key = fresh()
    // Built anew for each call, as after a reload.
    const charges = (cost: number) =>
      [tenASecond, sliding(10), { ...calendar(10), calendar: evenSpans(86_400_000) }].map((rule) =>
        chargeOn(`${key}-${rule.kind}`, rule, cost),
      )
    await store.reserve(fresh(), charges(10), ttlMs)
    await stepBack(3 * 86_400_000)
    for (const charge of charges(1)) {
      const answer = await store.reserve(fresh(), [charge], ttlMs)
      t.match(answer, { kind: 'refused', states: [{ remaining: 0 }] }, charge.rule.kind)
    }
  })

  law('a day that a clock went back before is not cut short', async (t, { store, fresh, wait, stepBack }) => {
    const key = fresh()
    // Built anew for each call, as after a reload.
    const charge = (cost: number) => chargeOn(key, { ...calendar(10), calendar: evenSpans(86_400_000) }, cost)
    await store.reserve(fresh(), [charge(4)], ttlMs)
    await stepBack(3 * 86_400_000)
    await store.reserve(fresh(), [charge(3)], ttlMs)
    await wait(2 * 86_400_000_000)
    t.match(await peek(store, [charge(1)]), [{ remaining: 3 }])
    await wait(2 * 86_400_000_000)
    t.match(await peek(store, [charge(1)]), [{ remaining: 10 }])
  })

  law('another number for a limit keeps what was used', async (t, { store, fresh }) => {
    const id = fresh()
    const edits = [
      [tenASecond, gcraRule(7, 3000, 20)],
      [sliding(10), { kind: 'sliding' as const, limit: 20, sliceUs: 70_000, sliceCount: 30 }],
      [calendar(10), { kind: 'calendar' as const, limit: 20, calendar: evenSpans(2_592_000_000) }],
      [concurrency(10), concurrency(20)],
    ] as const
    for (const [before, after] of edits) {
      const key = `${id}-${before.kind}`
      await store.reserve(fresh(), [chargeOn(key, before, 4)], ttlMs)
      t.match(await peek(store, [chargeOn(key, after, 1)]), [{ remaining: 16 }], before.kind)
      const answer = await store.reserve(fresh(), [chargeOn(key, after, 6)], ttlMs)
      t.match(answer, { kind: 'granted', states: [{ remaining: 10 }] }, before.kind)
    }
  })

  law('calls from before an edit leave what was used since as it is', async (t, { store, fresh }) => {
    const rules = [tenASecond, sliding(10), calendar(10), concurrency(10)]
    for (const before of rules) {
      for (const after of rules) {
        if (before === after) continue
        const [key, old] = [fresh(), fresh()]
        await store.reserve(old, [chargeOn(key, before, 1)], ttlMs)
        await store.reserve(fresh(), [chargeOn(key, after, 6)], ttlMs)
        const name = `${before.kind} to ${after.kind}`
        await store.topUp(old, 1, [chargeOn(key, before, 1)], ttlMs)
        t.match(await peek(store, [chargeOn(key, after, 1)]), [{ remaining: 4 }], `${name}, topped up`)
        await store.settle(old, [5])
        t.match(await peek(store, [chargeOn(key, after, 1)]), [{ remaining: 4 }], `${name}, settled`)
      }
    }
  })

  law(
    'a debt from before an edit is charged to the limit as it is now',
    async (t, { store, fresh, wait }) => {
      const always = { spanAt: () => ({ startMs: 0, endMs: 8.64e15 }) }
      const longer = { kind: 'sliding' as const, limit: 20, sliceUs: 1_000_000, sliceCount: 60 }
      const edits = [
        [sliding(10), longer, 10_000_000],
        [calendar(10), { kind: 'calendar' as const, limit: 20, calendar: always }, 86_400_000_000],
      ] as const
      for (const [before, after, laterUs] of edits) {
        const [id, key] = [fresh(), fresh()]
        await store.reserve(id, [chargeOn(key, before, 1)], ttlMs)
        await store.reserve(fresh(), [chargeOn(key, after, 6)], ttlMs)
        await wait(5_000_000)
        t.equal(await store.settle(id, [3]), 'settled')
        await wait(laterUs)
        t.match(await peek(store, [chargeOn(key, after, 1)]), [{ remaining: 11 }], before.kind)
      }
    },
  )

  law('the largest numbers are counted one by one', async (t, { store, fresh }) => {
    for (const rule of [gcraRule(maxUnits, 1000, maxUnits), sliding(maxUnits), calendar(2 ** 63)]) {
      const key = fresh()
      const all = chargeOn(key, rule, maxUnits - 1)
      t.match(await store.reserve(fresh(), [all], ttlMs), { kind: 'granted', states: [{ remaining: 1 }] })
      const one = chargeOn(key, rule, 1)
      t.match(await store.reserve(fresh(), [one], ttlMs), { kind: 'granted', states: [{ remaining: 0 }] })
      t.match(await store.reserve(fresh(), [one], ttlMs), { kind: 'refused', states: [{ remaining: 0 }] })
    }
  })

  law('two keys are one counter only if both their texts are equal', async (t, { store, fresh }) => {
    const base = fresh()
    const keys = [
      { partition: base, id: 'a:b' },
      { partition: `${base}:a`, id: 'b' },
      { partition: base, id: 'a' },
      { partition: base, id: 'A' },
      { partition: base, id: 'a}{b\n' },
      { partition: base, id: 'ä€😀' },
    ]
    for (const key of keys) {
      const charge = { ...chargeOn(base, calendar(1), 1), key }
      t.match(await store.reserve(fresh(), [charge], ttlMs), { kind: 'granted' }, key.id)
    }
  })
}

async function peek(store: QuotaStore, charges: readonly Charge[]): Promise<readonly CounterState[]> {
  const states = await store.peek(charges)
  if (typeof states === 'string') throw new Error(states)
  return states
}

function first(answer: Awaited<ReturnType<QuotaStore['reserve']>>): CounterState {
  if (answer.kind === 'failed') throw new Error(answer.fault)
  return answer.states[0] as CounterState
}

function remaining(states: readonly CounterState[], index: number): number | undefined {
  return states[index]?.remaining
}
