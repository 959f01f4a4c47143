import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openAudit } from '#audit/audit.ts'
import { noUsage } from '#decision/usage.ts'
import { ALLOW, deny, failure } from '#decision/verdict.ts'
import { anExchange, someRequest } from '../decision/an-exchange.ts'

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-audit-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}
const linesOf = (dir: string) =>
  readFileSync(join(dir, 'decisions.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')

t.test('every decision is a line with the next number, across restarts', async (t) => {
  const dir = folder(t)
  for (let start = 0; start < 3; start++) {
    using audit = openAudit({ dir })
    audit.decided(anExchange(), ALLOW, 'request')
    audit.decided(anExchange(), deny('policy_denied', 'why'), 'request')
  }
  const records = linesOf(dir).map((line) => JSON.parse(line))
  t.same(
    records.map((record) => record.seq),
    [1, 2, 3, 4, 5, 6],
  )
  t.match(records[1], {
    verdict: 'deny',
    reason: 'policy_denied',
    detail: 'why',
    tenant: 'acme',
    model: 'fraud',
    verb: 'infer',
  })
})

t.test('what a call took is a line of its own', async (t) => {
  const dir = folder(t)
  using audit = openAudit({ dir })
  const usage = { ...noUsage, inputTokens: 12, outputTokens: 30 }
  const charges = [{ limit: 'acme/tokens-day', units: 42 }]
  const x = anExchange()
  audit.ended?.(x, { usage, source: 'reported', isComplete: true, charges }, 812.4)
  const [line] = linesOf(dir).map((each) => JSON.parse(each))
  t.match(line, {
    seq: 1,
    id: x.id,
    phase: 'usage',
    tenant: 'acme',
    model: 'fraud',
    durationMs: 812,
    source: 'reported',
    complete: true,
    charged: { 'acme/tokens-day': 42 },
  })
  t.same(line.usage, { inputTokens: 12, outputTokens: 30 })
})

t.test('neither the query nor a header value nor the body is in the record', async (t) => {
  const dir = folder(t)
  using audit = openAudit({ dir })
  const secret = 'top-secret'
  const request = someRequest({
    path: `/v2/models/fraud/infer?token=${secret}`,
    headers: [
      ['authorization', `Bearer ${secret}`],
      ['cookie', secret],
    ],
    body: Buffer.from(secret),
  })
  audit.decided(anExchange({ request }), ALLOW, 'request')
  t.notMatch(linesOf(dir)[0], secret)
})

t.test('a line that a crash cut off is closed, and its number is not given again', async (t) => {
  const dir = folder(t)
  {
    using audit = openAudit({ dir })
    audit.decided(anExchange(), ALLOW, 'request')
  }
  appendFileSync(join(dir, 'decisions.jsonl'), '{"seq":2,"time":"20')
  using audit = openAudit({ dir })
  audit.decided(anExchange(), failure('internal_error', 'bang'), 'request')
  const lines = linesOf(dir)
  t.equal(lines.length, 3)
  t.match(JSON.parse(lines[2] as string), { seq: 3, verdict: 'error', detail: 'bang' })
})

t.test('a file that is no record is not written to', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'decisions.jsonl'), 'something else\n')
  t.throws(
    () => openAudit({ dir }),
    /the last line of decisions\.jsonl is not a record; expected a directory whose record can be continued/,
  )
})

t.test('long texts are cut', async (t) => {
  const dir = folder(t)
  using audit = openAudit({ dir })
  audit.decided(anExchange({ request: someRequest({ path: `/${'a'.repeat(100_000)}` }) }), ALLOW, 'request')
  t.ok((linesOf(dir)[0] as string).length < 2000)
})

t.test('wherever a crash cuts the file, numbers grow and none is given twice', async (t) => {
  const dir = folder(t)
  const path = join(dir, 'decisions.jsonl')
  {
    using audit = openAudit({ dir })
    for (let i = 0; i < 3; i++) audit.decided(anExchange(), ALLOW, 'request')
  }
  const whole = readFileSync(path)
  const last = whole.lastIndexOf('{"seq":3')
  for (const cut of [1, 5, 7, 8, 9, 20, whole.length - last - 1].flatMap((length) => [
    length,
    last + length,
  ])) {
    writeFileSync(path, whole)
    truncateSync(path, cut)
    // The second start finds the line that the first one closed.
    for (let start = 0; start < 2; start++) openAudit({ dir })[Symbol.dispose]()
    using audit = openAudit({ dir })
    audit.decided(anExchange(), ALLOW, 'request')
    const numbers = linesOf(dir).flatMap((line) => /^\{"seq":(\d+),/.exec(line)?.[1] ?? [])
    t.same(numbers, [...new Set(numbers)].sort(), `cut at ${cut}`)
    t.equal(JSON.parse(linesOf(dir).at(-1) as string).seq, linesOf(dir).length, `cut at ${cut}`)
  }
})

t.test('a line that cannot be written throws; the next one says how many are missing', async (t) => {
  const dir = folder(t)
  const path = join(dir, 'decisions.jsonl')
  symlinkSync('/dev/full', path)
  using audit = openAudit({ dir })
  for (let i = 0; i < 2; i++)
    t.throws(() => audit.decided(anExchange(), ALLOW, 'request'), { code: 'ENOSPC' })
  rmSync(path)
  audit.decided(anExchange(), deny('policy_denied'), 'request')
  audit.decided(anExchange(), ALLOW, 'request')
  t.match(
    linesOf(dir).map((line) => JSON.parse(line)),
    [
      { seq: 1, gap: { lost: 2, why: /ENOSPC/ } },
      { seq: 2, verdict: 'deny' },
      { seq: 3, verdict: 'allow' },
    ],
  )
})

t.test('a file that is removed or written to by somebody else is noticed', async (t) => {
  const dir = folder(t)
  const path = join(dir, 'decisions.jsonl')
  using audit = openAudit({ dir })
  audit.decided(anExchange(), ALLOW, 'request')
  rmSync(path)
  t.throws(() => audit.decided(anExchange(), ALLOW, 'request'), /decisions\.jsonl was removed/)
  audit.decided(anExchange(), ALLOW, 'request')
  t.same(
    linesOf(dir).map((line) => JSON.parse(line).seq),
    [2, 3],
    'a gap, and the decision after it',
  )
  {
    using other = openAudit({ dir })
    other.decided(anExchange(), ALLOW, 'request')
  }
  t.throws(() => audit.decided(anExchange(), ALLOW, 'request'), /was changed by somebody else/)
  audit.decided(anExchange(), ALLOW, 'request')
  t.same(
    linesOf(dir).map((line) => JSON.parse(line).seq),
    [2, 3, 4, 5, 6],
  )
})

t.test('a full file is set aside under its last number, and the count goes on', async (t) => {
  const dir = folder(t)
  for (let start = 0; start < 2; start++) {
    using audit = openAudit({ dir, fullAtBytes: 1 })
    for (let i = 0; i < 2; i++) audit.decided(anExchange(), ALLOW, 'request')
  }
  t.same(readdirSync(dir).sort(), [
    'decisions-000000000000001.jsonl',
    'decisions-000000000000002.jsonl',
    'decisions-000000000000003.jsonl',
    'decisions.jsonl',
  ])
  rmSync(join(dir, 'decisions.jsonl'))
  using audit = openAudit({ dir })
  audit.decided(anExchange(), ALLOW, 'request')
  t.equal(JSON.parse(linesOf(dir)[0] as string).seq, 4, 'a missing file does not start the count anew')
})

t.test('an allowed answer adds no line, a refused one does', async (t) => {
  const dir = folder(t)
  using audit = openAudit({ dir })
  audit.decided(anExchange(), ALLOW, 'response')
  audit.decided(anExchange(), deny('policy_denied'), 'response')
  t.match(
    linesOf(dir).map((line) => JSON.parse(line)),
    [{ seq: 1, phase: 'response', verdict: 'deny' }],
  )
})
