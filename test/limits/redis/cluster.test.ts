import t from 'tap'
import { createGuardedStore } from '../../../agent/limits/guard/guard.ts'
import { slotOf } from '../../../agent/limits/redis/slot.ts'
import { openRedisStore } from '../../../agent/limits/redis/store.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import type { Charge } from '../../../agent/limits/store/store.ts'
import { eventually } from '../../harness/temp.ts'
import { type ClusterWorld, startCluster } from '../../harness/valkey.ts'
import { charge, concurrency, librariesOf, remainingOf, timeoutMs, ttlMs } from './rules.ts'

const slotsPerNode = 16_384 / 3

/** A partition that lies on a node. */
function partitionAt(node: number, prefix = 'p'): string {
  for (let i = 0; ; i++)
    if (Math.floor(slotOf(`${prefix}${i}`) / slotsPerNode) === node) return `${prefix}${i}`
}

const places = [0, 1, 2].map((node) => partitionAt(node)) as [string, string, string]
const one = (): [Charge, Charge, Charge] => [charge(places[0]), charge(places[1]), charge(places[2])]

function open({ nodes }: ClusterWorld, more: { readonly slotLifeMs?: number } = {}) {
  const url = `redis+cluster://127.0.0.1:1,127.0.0.1:${nodes[1]?.port}`
  return openRedisStore({ url, timeoutMs, ...more })
}

t.test('in a cluster', async (t) => {
  await using world = await startCluster()
  const [first, , last] = world.nodes as [(typeof world.nodes)[0], unknown, (typeof world.nodes)[0]]

  await t.test('a call over partitions is charged in each, settled in each, and told in order', async (t) => {
    await using store = await open(world)
    t.equal(store.health.problem(), undefined)
    const charges = one()
    const granted = await store.reserve('all', charges, ttlMs)
    t.match(granted, { kind: 'granted', states: [{ remaining: 9 }, { remaining: 9 }, { remaining: 9 }] })
    t.same(await store.reserve('all', charges, ttlMs), granted)
    const more = charges.map((each, i) => ({ ...each, cost: i }))
    t.match(await store.topUp('all', 1, more, ttlMs), {
      kind: 'granted',
      states: [{ remaining: 9 }, { remaining: 8 }, { remaining: 7 }],
    })
    t.equal(await store.settle('all', [1, 0, 3]), 'settled')
    t.equal(await store.settle('all', [1, 0, 3]), 'unknown', 'where it lay is forgotten')
    t.match(await store.peek(charges), [{ remaining: 9 }, { remaining: 10 }, { remaining: 7 }])
    for (const { client } of world.nodes)
      t.ok((await client.keys('sluice:q:*')).length > 0, 'each node has counters')
    await eventually('each node has the library', async () => {
      await store.peek(charges)
      return (await Promise.all(world.nodes.map(librariesOf))).every((count) => count === 1)
    })
  })

  await t.test('who is refused by a later partition has charged none', async (t) => {
    await using store = await open(world)
    const full = places.map((place) => charge(place, { key: { partition: place, id: 'full' } }))
    const charges = full.map((each, i) => (i === 2 ? { ...each, rule: concurrency(0) } : each))
    const answer = await store.reserve('refused', charges, ttlMs)
    t.match(answer, {
      kind: 'refused',
      states: [{ isOver: false, remaining: 10 }, { isOver: false, remaining: 10 }, { isOver: true }],
    })
    t.match(await store.peek(charges), [{ remaining: 10 }, { remaining: 10 }, {}])
    t.match(await store.reserve('refused', charges, ttlMs), { kind: 'refused' }, 'and stays refused')
  })

  await t.test('a settlement of what this process never reserved is unknown', async (t) => {
    await using store = await open(world)
    t.equal(await store.settle('nobody knows', [0]), 'unknown')
  })

  await t.test('processes know of each other though nothing of them runs', async (t) => {
    const more = { slotLifeMs: 1500 }
    await using one = await open(world, more)
    await using other = await open(world, more)
    t.match(await one.reserve('elsewhere', [charge(places[2])], ttlMs), { kind: 'granted' })
    await eventually('each knows of two', () => one.health.replicas() >= 2 && other.health.replicas() >= 2)
  })

  await t.test('a slot that moved is followed', async (t) => {
    await using store = await open(world)
    const slot = slotOf(places[0])
    const moved = charge(places[0], { key: { partition: places[0], id: 'moved' } })
    t.match(await store.reserve('before', [moved], ttlMs), { kind: 'granted' })
    const [from, to] = await Promise.all([first, last].map(({ client }) => client.cluster('MYID')))
    await last.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from as string)
    await first.client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to as string)
    const keys = await first.client.cluster('GETKEYSINSLOT', slot, 1000)
    await first.client.call('MIGRATE', '127.0.0.1', last.port, '', 0, 5000, 'KEYS', ...keys)
    // The keys are there and the slot is not: the old owner says ASK. For a key that is new neither takes a script.
    t.match(await store.reserve('new', [moved], ttlMs), { kind: 'failed', fault: 'unavailable' })
    t.equal(await store.settle('before', [1]), 'settled')
    for (const { client } of [last, first, ...world.nodes])
      await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', to as string)
    t.match(await store.reserve('after', [moved], ttlMs), { kind: 'granted', states: [{ remaining: 8 }] })
    t.equal(store.health.lostAtMs(), undefined)
  })

  await t.test('a memory that is lost on one node is lost for its partitions only', async (t) => {
    await using store = await open(world)
    const charges = one().map((each) => ({ ...each, key: { ...each.key, id: 'lost' } }))
    t.match(await store.reserve('before the loss', charges, ttlMs), { kind: 'granted' })
    await (world.nodes[1] as (typeof world.nodes)[0]).client.flushall()
    t.match(await store.reserve('after the loss', charges, ttlMs), {
      kind: 'failed',
      fault: 'lost',
      index: 1,
    })
    t.equal(await remainingOf(store, charges[0] as Charge), 9, 'what the first had charged came back')
    t.match(await store.reserve('elsewhere', [charges[2] as Charge], ttlMs), { kind: 'granted' })
  })

  await t.test('a lost limit that is shared does not refuse what lies elsewhere', async (t) => {
    await using store = createGuardedStore(await open(world), { local: createMemoryStore() })
    const charges = one().map((each) => ({ ...each, key: { ...each.key, id: 'shared' } }))
    // Nothing of this partition was lost before.
    const key = { partition: partitionAt(1, 'q'), id: 'shared' }
    const shared = charge('shared', { key, onStoreFailure: 'share' })
    const call = [charges[0] as Charge, shared, charges[2] as Charge]
    t.match(await store.reserve('before it is lost', call, ttlMs), { kind: 'granted' })
    await (world.nodes[1] as (typeof world.nodes)[0]).client.flushall()
    t.match(await store.reserve('shared', call, ttlMs), { kind: 'granted' })
    t.match(await store.peek([charges[0] as Charge, charges[2] as Charge]), [
      { remaining: 8 },
      { remaining: 8 },
    ])
    await store.settle('shared', [0, 0, 0])
    t.match(await store.peek([charges[0] as Charge]), [{ remaining: 9 }])
  })

  await t.test('a node that is gone fails what lies there, and nothing else', async (t) => {
    await using store = await open(world)
    const charges = one().map((each) => ({ ...each, key: { ...each.key, id: 'gone' } }))
    const gone = charges[1] as Charge
    const kept = charges[2] as Charge
    world.nodes[1]?.kill('SIGKILL')
    await world.nodes[1]?.ended
    t.match(await store.reserve('all but one', charges, ttlMs), {
      kind: 'failed',
      fault: 'unavailable',
      index: 1,
    })
    t.match(await store.reserve('there', [gone], ttlMs), { kind: 'failed', fault: 'unavailable' })
    await eventually('told', () => store.health.problem() !== undefined)
    t.match(await store.reserve('kept', [kept], ttlMs), { kind: 'granted', states: [{ remaining: 9 }] })
  })
})
