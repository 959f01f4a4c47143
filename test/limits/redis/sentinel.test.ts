import t from 'tap'
import { openRedisStore } from '../../../agent/limits/redis/store.ts'
import { eventually } from '../../harness/temp.ts'
import { startSentinelWorld } from '../../harness/valkey.ts'
import { charge, remainingOf, timeoutMs, ttlMs } from './rules.ts'

t.setTimeout(240_000)

t.test('after a failover the promoted server is used, and writes that it never got are a loss', async (t) => {
  await using world = await startSentinelWorld()
  const { primary, replica, sentinelPort, name } = world
  const url = `redis+sentinel://127.0.0.1:${sentinelPort},127.0.0.1:1/${name}`
  const settings = { url, timeoutMs, slotLifeMs: 600_000 }
  await using store = await openRedisStore({ ...settings, replica: 'one' })
  await using other = await openRedisStore({ ...settings, replica: 'other' })
  t.equal(store.health.problem(), undefined)
  t.match(await store.reserve('kept', [charge('c')], ttlMs), { kind: 'granted' })
  t.match(await other.reserve('kept too', [charge('c')], ttlMs), { kind: 'granted' })
  await eventually('replicated', async () => (await replica.client.hget('sluice:e:{%}', 'w:other')) === '1')

  // The replica stands still while its connection is cut: what comes now reaches only the primary.
  replica.kill('SIGSTOP')
  await primary.client.call('CLIENT', 'KILL', 'TYPE', 'replica')
  t.match(await store.reserve('gone', [charge('c')], ttlMs), { kind: 'granted', states: [{ remaining: 7 }] })
  primary.kill('SIGKILL')
  await primary.ended
  t.match(await store.reserve('meanwhile', [charge('c')], ttlMs), { kind: 'failed', fault: 'unavailable' })
  replica.kill('SIGCONT')

  const problem = () => store.health.problem() ?? other.health.problem()
  // A sentinel that was stopped itself for two seconds trusts its clock no more, and does nothing for half a minute.
  await eventually('failed over', () => problem() === undefined, 180_000)
  t.equal(
    await remainingOf(other, charge('c')),
    8,
    'who lost nothing counts on what is there, until it is told',
  )
  t.match(await store.reserve('after', [charge('c')], ttlMs), { kind: 'failed', fault: 'lost' })
  t.match(await other.reserve('after too', [charge('c')], ttlMs), { kind: 'failed', fault: 'lost' })
  t.equal(await store.settle('kept', [0]), 'settled')
  t.equal(await store.settle('gone', [0]), 'unknown')
})

t.test('without a sentinel that answers there is a problem, and no wait', async (t) => {
  await using store = await openRedisStore({ url: 'redis+sentinel://127.0.0.1:1/quotas', timeoutMs })
  t.match(store.health.problem(), /sentinels are unreachable/i)
  t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'failed', fault: 'unavailable' })
})
