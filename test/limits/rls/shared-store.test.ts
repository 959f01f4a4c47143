import t from 'tap'
import { openQuotaStore } from '#limits/open.ts'
import { createRateLimiter } from '../../../agent/limits/rls/limiter.ts'
import { readRules } from '../../../agent/limits/rls/rules.ts'
import { eventually } from '../../harness/temp.ts'
import { startValkey } from '../../harness/valkey.ts'
import { asFixed, defaultSettings, file, request } from './kit.ts'

const limit = 400
const rules = readRules(
  [
    file(`domain: models
descriptors:
  - {key: a, rate_limit: {unit: year, requests_per_unit: ${limit}}}
  - {key: b, rate_limit: {unit: year, requests_per_unit: ${2 * limit}}}
`),
  ],
  asFixed,
)

for (const isLeased of [false, true]) {
  t.test(
    `two agents with one Valkey grant a limit once and not more, ${isLeased ? 'leased' : 'each request at the store'}`,
    async (t) => {
      await using valkey = await startValkey()
      const open = () =>
        openQuotaStore({
          store: `redis://127.0.0.1:${valkey.port}`,
          redis: { timeoutMs: 10_000 },
          leaseMs: 2000,
        })
      await using one = await open()
      await using other = await open()
      const settings = { ...defaultSettings, isLeased }
      const limiters = [one, other].map((store) => createRateLimiter({ rules: () => rules, store, settings }))
      let granted = 0
      const ask = async () => {
        const answers = await Promise.all(
          limiters.map((limiter) => limiter.shouldRateLimit(request('a=1', 'b=1'))),
        )
        for (const answer of answers) {
          if ('fault' in answer) throw new Error(answer.why)
          if (!answer.isOverLimit) granted++
        }
      }
      for (let i = 0; i < limit; i++) await ask()
      t.ok(granted <= limit, `${granted} of ${limit}`)
      // What one has drawn and not used comes back to the others.
      await eventually('all of the limit is granted', async () => {
        await ask()
        return granted === limit
      })
      for (let i = 0; i < 10; i++) await ask()
      t.equal(granted, limit)
      const leased = [one, other].reduce((sum, { health }) => sum + health.counts.leased, 0)
      t.equal(leased > 0, isLeased, 'granted without a call to the store')
    },
  )
}
