import { Redis } from 'ioredis'
import t from 'tap'
import { openRedisStore } from '../../../agent/limits/redis/store.ts'
import { startValkey } from '../../harness/valkey.ts'
import { storeLaws } from '../store/laws.ts'

/** Where the time of the laws stands for the scripts, which otherwise ask the server. */
const timeKey = 'time of the laws'
const time = {
  timeLua: `return tonumber(redis.call('GET', '${timeKey}'))`,
  // Keys go by the server's own time, which passes while none does for the laws.
  spareMs: 3_600_000,
}

const valkey = await startValkey()
const client = new Redis({ host: '127.0.0.1', port: valkey.port })
t.teardown(async () => {
  client.disconnect()
  await valkey[Symbol.asyncDispose]()
})

// The same text twice: as functions, and for a user who may have none as scripts.
await client.call('ACL', 'SETUSER', 'scripts', 'on', '>p', '~*', '&*', '+@all', '-fcall', '-function')
for (const { name, login, numRuns } of [
  { name: 'redis', login: '', numRuns: 60 },
  { name: 'redis without functions', login: 'scripts:p@', numRuns: 30 },
])
  storeLaws(t, {
    name,
    numRuns,
    open: async (clock) => {
      const advance = async () => void (await client.set(timeKey, clock.timeUs()))
      await client.flushall()
      await advance()
      const url = `redis://${login}127.0.0.1:${valkey.port}`
      return { store: await openRedisStore({ url, clock, time, timeoutMs: 10_000 }), advance }
    },
  })
