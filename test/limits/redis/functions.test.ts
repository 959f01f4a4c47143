import t from 'tap'
import { lackOf } from '../../../agent/limits/redis/fault.ts'
import { openRedisStore } from '../../../agent/limits/redis/store.ts'
import type { QuotaStore } from '../../../agent/limits/store/store.ts'
import { eventually } from '../../harness/temp.ts'
import { startValkey, type Valkey } from '../../harness/valkey.ts'
import { charge, librariesOf, openAt, remainingOf, timeoutMs, ttlMs } from './rules.ts'

/** No signs in between: what is counted is what the test asks for. */
const quiet = { slotLifeMs: 3_600_000 }
const hasLibrary = (valkey: Valkey) =>
  eventually('the server has the library', async () => (await librariesOf(valkey)) === 1)

t.test('a server gets the library once, and runs its functions from then on', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port, quiet)
  t.match(await store.reserve('a', [charge('c')], ttlMs), { kind: 'granted' }, 'as a script meanwhile')
  await hasLibrary(valkey)
  await using other = await openAt(valkey.port, quiet)
  await valkey.client.config('RESETSTAT')
  t.match(await store.topUp('a', 1, [charge('c')], ttlMs), { kind: 'granted' })
  t.equal(await other.settle('a', [2]), 'settled')
  t.equal(await remainingOf(other, charge('c')), 8)
  const stats = await valkey.client.info('commandstats')
  t.match(stats, /cmdstat_fcall:/)
  t.notMatch(stats, /cmdstat_eval|cmdstat_function\|load/)
  t.equal(store.health.problem(), undefined)
})

t.test('what the server has forgotten is sent again, and no call fails', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port, quiet)
  await store.reserve('a', [charge('c')], ttlMs)
  await hasLibrary(valkey)
  await forget(valkey)
  t.match(await store.topUp('a', 1, [charge('c')], ttlMs), { kind: 'granted', states: [{ remaining: 8 }] })
  await hasLibrary(valkey)
  await forget(valkey)
  const calls = Array.from({ length: 20 }, () => store.peek([charge('c')]))
  for (const states of await Promise.all(calls)) t.match(states, [{ remaining: 8 }])
  t.equal(await store.settle('a', [1]), 'settled')
  t.equal(await remainingOf(store, charge('c')), 9)
  t.equal(store.health.problem(), undefined)
})

t.test('who may not run or load functions sends scripts', async (t) => {
  await using valkey = await startValkey()
  for (const rights of [['-fcall'], ['-function'], ['-fcall', '-function']]) {
    await valkey.client.call('ACL', 'SETUSER', 'some', 'reset', 'on', '>p', '~*', '&*', '+@all', ...rights)
    const url = `redis://some:p@127.0.0.1:${valkey.port}`
    await using store: QuotaStore = await openRedisStore({ url, timeoutMs, ...quiet })
    const limit = charge(rights.join())
    t.match(await store.reserve(rights.join(), [limit], ttlMs), { kind: 'granted' })
    t.equal(await store.settle(rights.join(), [3]), 'settled')
    t.equal(await remainingOf(store, limit), 7)
    t.equal(store.health.problem(), undefined)
  }
  t.equal(await librariesOf(valkey), 0)
})

t.test('a server that knows no functions is told from one that forbids something else', (t) => {
  const rows: [message: string, lack: ReturnType<typeof lackOf>][] = [
    ['ERR Function not found', 'function'],
    ['NOSCRIPT No matching script. Please use EVAL.', 'script'],
    ['ERR unknown command `FCALL`, with args beginning with: `a`, `1`, ', 'functions'],
    ["ERR unknown command 'FCALL', with args beginning with: 'a' '1' ", 'functions'],
    ["NOPERM this user has no permissions to run the 'fcall' command", 'functions'],
    ["NOPERM User sluice has no permissions to run the 'function|load' command", 'functions'],
    ["NOPERM User sluice has no permissions to run the 'evalsha' command", undefined],
    ['NOPERM No permissions to access a key', undefined],
    ["ERR unknown command 'EVALSHA', with args beginning with: 'fcall' ", undefined],
    ['OOM command not allowed', undefined],
  ]
  for (const [message, lack] of rows) t.equal(lackOf(message), lack, message)
  t.end()
})

async function forget({ client }: Valkey): Promise<void> {
  await client.call('FUNCTION', 'FLUSH')
  await client.script('FLUSH')
}
