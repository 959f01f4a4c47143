import t from 'tap'
import { readCalls } from '#limits/simulate/simulate.ts'

t.test('a plan is read line by line', async (t) => {
  const text = [
    '{"time":"2026-01-02T03:04:05Z","tenant":"acme","model":"llama","usage":{"inputTokens":5},"durationMs":250}',
    '',
    '{"time":1000,"tenant":"acme","headers":{"X-Team":"red"}}',
  ].join('\n')
  const [first, second] = readCalls(text, 'plan.jsonl')
  t.match(first, {
    atMs: Date.parse('2026-01-02T03:04:05Z'),
    durationMs: 250,
    subject: { tenant: 'acme', model: 'llama' },
    usage: { inputTokens: 5 },
  })
  t.equal(second?.atMs, 1000)
  t.equal(second?.subject.headers?.single('x-team'), 'red')
})

t.test(
  'of an audit record the lines with what was used count, and the others where there are none',
  async (t) => {
    const decided =
      '{"time":"2026-01-02T03:04:05Z","seq":1,"phase":"request","tenant":"acme","issuer":"i","subject":"s"}'
    const used =
      '{"time":"2026-01-02T03:04:06Z","seq":2,"phase":"usage","tenant":"acme","durationMs":1000,"usage":{"outputTokens":7}}'
    const calls = readCalls(`${decided}\n${used}\n`, 'audit')
    t.equal(calls.length, 1)
    t.equal(calls[0]?.atMs, Date.parse('2026-01-02T03:04:05Z'), 'it began before it was written down')
    t.same(calls[0]?.usage, { outputTokens: 7 })
    t.equal(readCalls(decided, 'audit')[0]?.subject.user, '1:is')
  },
)

t.test('a line that is no call is named', async (t) => {
  const rows = [
    ['not json', /plan:2.*no JSON/s],
    ['[]', /plan:2/],
    ['{"tenant":"acme"}', /plan:2.*time/s],
    ['{"time":"yesterday"}', /plan:2.*time/s],
    ['{"time":1,"usage":{"tokens":1}}', /plan:2.*tokens/s],
    ['{"time":1,"usage":{"inputTokens":-1}}', /plan:2.*inputTokens/s],
    ['{"time":1,"usage":{"inputTokens":9007199254740993}}', /plan:2.*inputTokens/s],
    ['{"time":1,"durationMs":-5}', /plan:2.*durationMs/s],
  ] as const
  for (const [line, expected] of rows)
    t.throws(() => readCalls(`{"time":1}\n${line}`, 'plan'), { message: expected }, line)
})
