import t from 'tap'
import { readCalls, simulate } from '#limits/simulate/simulate.ts'
import { someResources } from '../../decision/an-exchange.ts'
import { aPolicy } from '../a-quota.ts'

const at = (second: number, usage: object = {}, durationMs = 0) => ({
  time: second * 1000,
  tenant: 'acme',
  model: 'fraud',
  durationMs,
  usage,
})

/** What one limit says of calls. */
function played(limit: object, calls: readonly object[]) {
  const text = calls.map((call) => JSON.stringify(call)).join('\n')
  const { refused, limits } = simulate(
    someResources({ quotas: [aPolicy({ limits: [limit] })] }),
    readCalls(text, 'plan'),
  )
  return { refused, ...limits[0] }
}

t.test('calls of the past are charged as the agent charges them', async (t) => {
  const rows: readonly (readonly [
    name: string,
    limit: object,
    calls: readonly object[],
    expected: object,
  ])[] = [
    [
      'a rate, whatever the order of the lines',
      { unit: 'requests', rate: 1, window: '1s' },
      [at(2), at(0), at(0.5)],
      { calls: 3, refused: 1, over: 1, charged: 2, firstOver: '1970-01-01T00:00:00.500Z' },
    ],
    [
      'what runs ends with its time',
      { unit: 'concurrency', max: 1 },
      [at(0, {}, 1500), at(1), at(2)],
      { calls: 3, refused: 1, over: 1, charged: 2 },
    ],
    [
      'tokens as they were',
      { unit: 'tokens', kind: 'sliding', limit: 100, window: '1h' },
      [at(0, { inputTokens: 60 }), at(1, { outputTokens: 60 }), at(2, { outputTokens: 40 })],
      { calls: 3, refused: 1, over: 1, charged: 100 },
    ],
    [
      'what nobody can tell beforehand is charged afterwards',
      { unit: 'gpuMs', kind: 'sliding', limit: 100, window: '1h' },
      [at(0, { gpuMs: 600 }), at(1, { gpuMs: 1 })],
      { calls: 2, refused: 1, over: 1, charged: 600 },
    ],
    [
      'a limit that only watches refuses nobody',
      { unit: 'requests', rate: 1, window: '1s', mode: 'shadow' },
      [at(0), at(0)],
      { calls: 2, refused: 0, over: 1, charged: 2, tenants: [{ tenant: 'acme', over: 1 }] },
    ],
  ]
  for (const [name, limit, calls, expected] of rows) t.match(played(limit, calls), expected, name)
})
