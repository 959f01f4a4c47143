import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import { allowWith, deny, failure, type Verdict } from '#decision/verdict.ts'
import { dryRun } from '#policy/policy.ts'

const x = {} as Exchange
const asked = (verdict: Verdict | Promise<Verdict>) =>
  dryRun({ name: 'policy', failureReason: 'policy_failed', request: () => verdict }).request?.(x)

t.test('in a dry run what policy denies goes through, and what goes wrong does not', async (t) => {
  const allowed = allowWith({ setHeaders: [['x-a', 'b']] })
  t.equal(asked(allowed), allowed, 'what is allowed keeps its changes')
  t.same(asked(deny('policy_denied')), allowWith({}))
  const own = {
    httpStatus: 401,
    headers: [['x-a', 'b'] as const],
    body: 'no',
    dynamicMetadata: { role: 'x' },
  }
  t.same(asked({ kind: 'deny', reason: 'policy_denied', own }), allowWith({ dynamicMetadata: { role: 'x' } }))
  t.same(await asked(Promise.resolve(deny('request_malformed'))), allowWith({}))
  t.match(asked(deny('policy_undefined')), { kind: 'deny', reason: 'policy_undefined' })
  t.match(asked(failure('policy_failed', 'x')), { kind: 'error' })
})
