import t from 'tap'
import type { QuotaStore } from '../../../agent/limits/store/store.ts'
import { freePorts } from '../../harness/ports.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { startValkey, type Valkey } from '../../harness/valkey.ts'
import { gcraRule } from '../store/sequences.ts'
import { charge, concurrency, hourSliding, openAt, remainingOf, slowGcra, ttlMs } from './rules.ts'

const lost = { kind: 'failed', fault: 'lost' }
/** No heartbeat comes in between. */
const quiet = { slotLifeMs: 600_000 }

const rules = [charge('c').rule, slowGcra(10), hourSliding(10)]

t.test('who finds the memory empty refuses by it, limit by limit', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port, quiet)
  const charges = rules.map((rule) => charge(`a-${rule.kind}`, { rule }))
  t.match(await store.reserve('before', charges, ttlMs), { kind: 'granted' })
  t.equal(store.health.lostAtMs(), undefined)
  await valkey.client.flushall()
  for (const each of charges)
    t.match(await store.reserve(`after ${each.rule.kind}`, [each], ttlMs), { ...lost, index: 0 })
  t.type(store.health.lostAtMs(), 'number')
  t.equal(store.health.counts.memory_lost, 1)
  t.equal(await store.peek(charges), 'lost')
  t.equal(await store.settle('before', [1, 1, 1]), 'unknown')

  const allowed = charges.map((each) => ({ ...each, onStoreFailure: 'allow' as const }))
  t.match(await store.reserve('allowed', allowed, ttlMs), { kind: 'granted', states: [{ remaining: 9 }] })
  const shadow = charges.map((each) => ({ ...each, isEnforced: false }))
  t.match(await store.reserve('shadow', shadow, ttlMs), { kind: 'granted' })
  const mixed = [allowed[0], { ...(charges[1] as (typeof charges)[0]), onStoreFailure: 'share' as const }]
  t.match(await store.reserve('share', mixed as typeof charges, ttlMs), { ...lost, index: 1 })
})

const recordKey = 'sluice:e:{%}'
const dayMs = 86_400_000

/** The first sign of a replica has come, and no other will. */
function signOf({ client }: Valkey): Promise<unknown> {
  return eventually(
    'the first sign',
    async () => Number(await client.hget(recordKey, 'a:one')) > Date.now() + 300_000,
  )
}

t.test('a replica that writes is not forgotten, though nothing of it runs for weeks', async (t) => {
  await using valkey = await startValkey()
  const { client } = valkey
  await using store = await openAt(valkey.port, { ...quiet, replica: 'one' })
  const each = charge('a')
  t.match(await store.reserve('first', [each], ttlMs), { kind: 'granted' })
  await signOf(valkey)
  // As in a cluster, where signs are given only in memories in which something runs.
  await client.hset(recordKey, 'a:one', Date.now() - 8 * dayMs)
  await client.pexpire(recordKey, dayMs)
  t.match(await store.reserve('second', [each], ttlMs), { kind: 'granted' })
  t.ok((await client.pttl(recordKey)) > 399 * dayMs, 'the record outlives what is counted')
  await using other = await openAt(valkey.port, { ...quiet, replica: 'other' })
  await eventually('the other has looked who is there', async () => client.hexists(recordKey, 'a:other'))
  t.match(await store.reserve('third', [each], ttlMs), { kind: 'granted', states: [{ remaining: 7 }] })
  t.equal(other.health.lostAtMs(), undefined)
  const there = Number(await client.hget(recordKey, 'a:one'))
  t.ok(there <= Date.now(), 'what ran at it is not counted by that')
})

t.test('who was forgotten after a week without a call takes that for no loss', async (t) => {
  await using valkey = await startValkey()
  const { client } = valkey
  let passedMs = 0
  const clock = {
    nowMs: () => Date.now(),
    monotonicUs: () => Math.floor((performance.now() + passedMs) * 1000),
  }
  await using store = await openAt(valkey.port, { ...quiet, replica: 'one', clock })
  const each = charge('a')
  t.match(await store.reserve('first', [each], ttlMs), { kind: 'granted' })
  await signOf(valkey)
  await client.hset(recordKey, 'a:one', Date.now() - 8 * dayMs)
  passedMs = 8 * dayMs
  await using _other = await openAt(valkey.port, { ...quiet, replica: 'other' })
  await eventually('it is forgotten', async () => !(await client.hexists(recordKey, 'w:one')))
  t.match(await store.reserve('second', [each], ttlMs), { kind: 'granted', states: [{ remaining: 8 }] })
  t.equal(store.health.lostAtMs(), undefined)
  await client.hset(recordKey, 'w:one', 0)
  t.match(await store.reserve('third', [each], ttlMs), lost, 'what it wrote since must still be there')
})

t.test('a limit counts again once what was used before cannot matter', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port, quiet)
  const fast = charge('fast', { rule: gcraRule(100, 1000, 50) })
  await store.reserve('before', [fast], ttlMs)
  await valkey.client.flushall()
  t.match(await store.reserve('after', [fast], ttlMs), lost)
  const [granted] = await eventually('half a second has passed', async () => {
    const answer = await store.reserve('later', [fast], ttlMs)
    return answer.kind === 'granted' ? [answer] : undefined
  })
  t.match(granted, { states: [{ remaining: 49 }] })
})

t.test('who resets a counter by hand ends its wait', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port, quiet)
  await store.reserve('before', [charge('c')], ttlMs)
  await valkey.client.flushall()
  t.match(await store.reserve('after', [charge('c')], ttlMs), lost)
  t.match(await store.adjust('by hand', charge('c'), 'reset'), { remaining: 10 })
  t.match(await store.reserve('then', [charge('c')], ttlMs), { kind: 'granted', states: [{ remaining: 9 }] })
  t.match(await store.reserve('other', [charge('d')], ttlMs), lost)
})

t.test(
  'who clears the loss from the record has all counters go on from what the store still has',
  async (t) => {
    await using valkey = await startValkey()
    await using one = await openAt(valkey.port, { ...quiet, replica: 'one' })
    await using other = await openAt(valkey.port, { ...quiet, replica: 'other' })
    await one.reserve('a', [charge('c')], ttlMs)
    await other.reserve('b', [charge('d')], ttlMs)
    await valkey.client.hset('sluice:e:{%}', 'w:one', 0)
    t.match(await one.reserve('c', [charge('c')], ttlMs), lost)
    t.match(await other.reserve('d', [charge('d')], ttlMs), lost)
    await valkey.client.hset('sluice:e:{%}', 'lost', 0)
    t.match(await other.reserve('e', [charge('d')], ttlMs), { kind: 'granted', states: [{ remaining: 8 }] })
    t.match(await one.reserve('f', [charge('c')], ttlMs), { kind: 'granted', states: [{ remaining: 8 }] })
  },
)

t.test('a server that was started again empty has lost its memory', async (t) => {
  const [port] = (await freePorts(1)) as [number]
  let valkey = await startValkey({ port })
  await using store = await openAt(port, quiet)
  await store.reserve('before', [charge('c')], ttlMs)
  await valkey[Symbol.asyncDispose]()
  valkey = await startValkey({ port })
  await using _valkey = valkey
  const answer = await eventually('connected', async () => {
    const found = await store.reserve('after', [charge('c')], ttlMs)
    return found.kind === 'failed' && found.fault === 'unavailable' ? undefined : found
  })
  t.match(answer, lost)
})

t.test('a replica that knew nothing is told by one that did', async (t) => {
  await using valkey = await startValkey()
  await using old = await openAt(valkey.port, quiet)
  await old.reserve('before', [charge('c')], ttlMs)
  await valkey.client.flushall()
  await using young = await openAt(valkey.port, quiet)
  t.match(await young.reserve('a', [charge('c')], ttlMs), { kind: 'granted' }, 'the stated gap')
  t.match(await old.reserve('b', [charge('c')], ttlMs), lost)
  t.match(await young.reserve('c', [charge('c')], ttlMs), lost)
  t.equal(young.health.lostAtMs(), old.health.lostAtMs())
})

t.test('heartbeats close the gap', async (t) => {
  await using valkey = await startValkey()
  await using old = await openAt(valkey.port, { slotLifeMs: 150 })
  await old.reserve('before', [charge('c')], ttlMs)
  await valkey.client.flushall()
  await using young = await openAt(valkey.port, quiet)
  t.ok(await eventually('noticed', async () => (await young.peek([charge('c')])) === 'lost'))
})

t.test('acknowledged writes that are missing are a loss, though the rest is there', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port, { ...quiet, replica: 'one' })
  await store.reserve('a', [charge('c')], ttlMs)
  await store.reserve('b', [charge('c')], ttlMs)
  await valkey.client.hset('sluice:e:{%}', 'w:one', 1)
  t.match(await store.reserve('c', [charge('c')], ttlMs), lost)
  t.equal(await store.settle('a', [0]), 'settled', 'what is there is settled')
  t.equal(store.health.counts.memory_lost, 1, 'and is not found again')
})

t.test('over a restart a replica remembers with a folder, and without one does not', async (t) => {
  await using valkey = await startValkey()
  using folder = temporaryFolder()
  const settings = { ...quiet, stateDir: folder.path }
  await use(await openAt(valkey.port, settings), (store) => store.reserve('before', [charge('c')], ttlMs))
  await valkey.client.flushall()
  await use(await openAt(valkey.port, quiet), async (store) => {
    t.equal(await remainingOf(store, charge('c')), 10)
  })
  await using store = await openAt(valkey.port, settings)
  t.match(await store.reserve('after', [charge('c')], ttlMs), lost)
})

t.test('what runs is counted again after a loss', async (t) => {
  await using valkey = await startValkey()
  const rule = concurrency(2)
  const slot = charge('slots', { rule })
  await using one = await openAt(valkey.port, { slotLifeMs: 600 })
  await using other = await openAt(valkey.port, { slotLifeMs: 600 })
  t.match(await one.reserve('a', [charge('c'), slot], ttlMs), { kind: 'granted' })
  t.match(await other.reserve('b', [slot], ttlMs), { kind: 'granted' })
  await valkey.client.flushall()
  t.match(await one.reserve('c', [slot], ttlMs), lost)
  const answer = await eventually('what runs is known', async () => {
    const found = await one.reserve('d', [slot], ttlMs)
    return found.kind === 'failed' ? undefined : found
  })
  t.match(answer, { kind: 'refused', states: [{ remaining: 0 }] }, 'both run still')
  t.equal(await one.settle('a', [1, 1]), 'settled')
  t.match(await one.reserve('e', [slot], ttlMs), { kind: 'granted', states: [{ remaining: 0 }] })
})

t.test('what ends while others are counted again is not counted again itself', async (t) => {
  await using valkey = await startValkey()
  const slot = charge('slots', { rule: concurrency(3) })
  await using store = await openAt(valkey.port, { slotLifeMs: 600 })
  for (const id of ['a', 'b', 'c']) await store.reserve(id, [slot], ttlMs)
  await valkey.client.flushall()
  t.equal(await store.peek([slot]), 'lost')
  // By now the first of them is on its way.
  t.equal(await store.settle('c', [1]), 'unknown')
  const remaining = await eventually('what runs is known', async () => {
    const states = await store.peek([slot])
    return typeof states === 'string' ? undefined : [states[0]?.remaining]
  })
  t.same(remaining, [1])
})

async function use(store: QuotaStore, body: (store: QuotaStore) => unknown): Promise<void> {
  await using open = store
  await body(open)
}
