import t from 'tap'
import { descriptor, limiter, request } from './kit.ts'

const config = `domain: models
descriptors:
  - {key: plain, rate_limit: {unit: year, requests_per_unit: 2}}
  - {key: dark, shadow_mode: true, rate_limit: {unit: year, requests_per_unit: 1}}
  - {key: detailed, detailed_metric: true, rate_limit: {unit: year, requests_per_unit: 2}, descriptors: [
      {key: below, value: x, value_to_metric: true, rate_limit: {unit: year, requests_per_unit: 2}}]}
`

t.test('hits are counted by limit and by what became of them', async (t) => {
  const { ask, counts } = limiter(config)
  for (let i = 0; i < 3; i++) await ask(request('plain=1', 'dark=1'))
  await ask(request(descriptor('plain=2', { hitsAddend: 2 })))
  await ask(request(descriptor('plain=2', { hitsAddend: 0 }), 'none=1'))
  await ask(request('detailed=a'))
  await ask(request('detailed=b,below=x'))
  const limit = { requestsPerUnit: 0, unit: 'year', multiplier: 1 } as const
  await ask(request(descriptor('plain=3', { limit })))
  t.strictSame(
    [...counts()],
    [
      { limit: 'models.plain', within: 4, over: 1, shadow: 0 },
      { limit: 'models.dark', within: 1, over: 0, shadow: 2 },
      { limit: 'models.detailed_a', within: 1, over: 0, shadow: 0 },
      { limit: 'models.detailed_b.below_x', within: 1, over: 0, shadow: 0 },
      { limit: 'models override', within: 0, over: 1, shadow: 0 },
    ],
  )
})

t.test('names that clients make up are bounded', async (t) => {
  const { ask, counts } = limiter(config)
  for (let i = 0; i < 2010; i++) await ask(request(`detailed=${i}`))
  const all = [...counts()]
  t.equal(all.length, 2001)
  t.strictSame(all.at(-1), { limit: 'other', within: 10, over: 0, shadow: 0 })
})

t.test('a name as long as clients make it is counted among the others', async (t) => {
  const { ask, counts } = limiter(config)
  await ask(request(`detailed=${'x'.repeat(100_000)}`))
  t.strictSame([...counts()], [{ limit: 'other', within: 1, over: 0, shadow: 0 }])
})
