import t from 'tap'
import { openQuotaStore } from '#limits/open.ts'
import type { Charge, QuotaStore } from '../../agent/limits/store/store.ts'
import { eventually } from '../harness/temp.ts'
import { startValkey } from '../harness/valkey.ts'
import { charge, hourRule, statesOf } from './charges.ts'

const ttlMs = 60_000
const day = { spanAt: () => ({ startMs: 0, endMs: 4e12 }) }
const one = charge({ kind: 'calendar', limit: 1e6, calendar: day }, { isLeased: true })
/** A busy machine is not a store that is away. */
const patient = { timeoutMs: 5000 }

async function usedAt(store: QuotaStore, of: Charge = one): Promise<number> {
  const states = await store.peek([{ ...of, isLeased: false }])
  if (typeof states === 'string') throw new Error(states)
  return 1e6 - (states[0]?.remaining ?? Number.NaN)
}

t.test('memory is a store that answers at once', async (t) => {
  await using store = await openQuotaStore({ store: 'memory' })
  const rule = charge(hourRule(1), { isLeased: true })
  const answer = store.reserve('a', [rule], ttlMs)
  t.notOk(answer instanceof Promise)
  t.equal(store.health.kind, 'memory')
})

t.test('two processes lease from one Valkey; what they did not spend is back at their end', async (t) => {
  await using valkey = await startValkey()
  const settings = { store: `redis://127.0.0.1:${valkey.port}`, redis: patient }
  await using witness = await openQuotaStore(settings)
  let calls = 0
  {
    await using first = await openQuotaStore(settings)
    await using second = await openQuotaStore(settings)
    let leased = 0
    let made = 0
    await eventually('calls are granted from leases', async () => {
      for (const store of [first, second])
        for (let index = 0; index < 50; index++) {
          const id = `call-${made++}`
          const answer = store.reserve(id, [one], ttlMs)
          if (!(answer instanceof Promise)) leased++
          t.equal(statesOf(await answer)[0]?.isOver, false)
          await store.settle(id, [1])
        }
      return leased > 200
    })
    calls = made
  }
  t.equal(await usedAt(witness), calls)
})

t.test(
  'with Valkey stopped decisions are made at once, and what was meant for it arrives later',
  async (t) => {
    await using valkey = await startValkey()
    const changes: (string | undefined)[] = []
    await using store = await openQuotaStore(
      { store: `redis://127.0.0.1:${valkey.port}`, redis: patient },
      { onChange: (problem) => changes.push(problem) },
    )
    const strict: Charge = {
      ...one,
      isLeased: false,
      onStoreFailure: 'share',
      key: { partition: 'acme', id: 'strict' },
    }
    await eventually(
      'it is connected',
      async () => (await store.reserve('warm', [strict], ttlMs)).kind === 'granted',
    )
    t.equal(await store.settle('warm', [0]), 'settled')
    await store.reserve('open', [{ ...strict, cost: 10 }], ttlMs)
    valkey.kill('SIGSTOP')
    let made = 0
    await eventually('the store is given up', async () => {
      await store.reserve(`try-${made++}`, [strict], ttlMs)
      return store.health.counts.breaker_opened > 0
    })
    const answer = store.reserve('quick', [strict], ttlMs)
    t.notOk(answer instanceof Promise, 'nobody is asked')
    t.equal((await answer).kind, 'granted')
    t.equal(await store.settle('open', [4]), 'queued')
    for (let index = 0; index < made; index++) await store.settle(`try-${index}`, [1])
    await store.settle('quick', [1])
    valkey.kill('SIGCONT')
    const shared = store.health.counts.shared
    await eventually('everything has arrived', async () => (await usedAt(store, strict)) === 4 + shared)
    t.same(changes.at(-1), undefined)
    t.equal(store.health.counts.dropped, 0)
  },
)

t.test('a store that is not there at the start keeps nobody from starting, nor from ending', async (t) => {
  const store = await openQuotaStore({ store: 'redis://127.0.0.1:1', redis: { timeoutMs: 50 } })
  const answer = await store.reserve('a', [{ ...one, onStoreFailure: 'deny' }], ttlMs)
  t.match(answer, { kind: 'failed', fault: 'unavailable' })
  t.type(store.health.problem(), 'string')
  await store[Symbol.asyncDispose]()
})

t.test(
  'an agent that starts again under its name does not keep the slots of the one that was killed',
  async (t) => {
    await using valkey = await startValkey()
    const settings = { store: `redis://127.0.0.1:${valkey.port}`, redis: patient, replica: 'one' }
    const slot = charge({ kind: 'concurrency', limit: 1 })
    const killed = await openQuotaStore(settings, { slotLifeMs: 300 })
    t.equal((await killed.reserve('runs', [slot], ttlMs)).kind, 'granted')
    // Nothing is settled: for Valkey that is the same as a kill.
    await killed[Symbol.asyncDispose]()
    await using again = await openQuotaStore(settings, { slotLifeMs: 300 })
    let made = 0
    t.ok(
      await eventually('its slot is free', async () => {
        const { kind } = await again.reserve(`next-${made++}`, [slot], ttlMs)
        return kind === 'granted'
      }),
    )
  },
)
