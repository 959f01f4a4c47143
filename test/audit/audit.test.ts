import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openAudit } from '#audit/audit.ts'
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
  t.throws(() => openAudit({ dir }), /the last line is not a record; expected a writable file/)
})

t.test('long texts are cut', async (t) => {
  const dir = folder(t)
  using audit = openAudit({ dir })
  audit.decided(anExchange({ request: someRequest({ path: `/${'a'.repeat(100_000)}` }) }), ALLOW, 'request')
  t.ok((linesOf(dir)[0] as string).length < 2000)
})
