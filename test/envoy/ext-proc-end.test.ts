import t from 'tap'
import { ALLOW, deny } from '#decision/verdict.ts'
import {
  grpcHeaders,
  inferFrame,
  kit,
  Mode,
  requestBody,
  requestHeaders,
  requestTrailers,
  responseHeaders,
  responseTrailers,
  script,
  settled,
} from './kit.ts'

const half = new Uint8Array(40)

t.test('the answer of an earlier filter passes as it is', async (t) => {
  const bench = kit({ response: () => deny('residency_denied') })
  const envoy = script(bench)
  envoy.say(responseHeaders({ ':status': '400' }, ''), responseTrailers)
  t.strictSame(envoy.heardKinds(), ['responseHeaders', 'responseTrailers'])
  t.equal(bench.ends.size, 0)
})

t.test('an answer whose request was not shown is refused, and answered once', async (t) => {
  const envoy = script(kit())
  envoy.say(responseHeaders())
  t.strictSame(envoy.heardKinds(), ['immediateResponse'])
})

t.test('an observed stream is decided and never answered', async (t) => {
  let decided = 0
  const bench = kit({
    request: () => {
      decided++
      return deny('policy_denied')
    },
  })
  const envoy = script(bench)
  envoy.say(requestHeaders({ isObserved: true }), { ...responseHeaders(), observabilityMode: true })
  t.strictSame(envoy.heard(), [])
  t.equal(decided, 1)
})

t.test('messages out of order end the stream without an answer', async (t) => {
  const rows = [
    [requestBody(half)],
    [requestTrailers],
    [requestHeaders(), requestHeaders()],
    [responseHeaders({ ':status': '400' }, ''), requestBody(half)],
    [{}],
  ]
  for (const said of rows) {
    const bench = kit()
    const envoy = script(bench)
    envoy.say(...said)
    t.match(envoy.closed(), { code: 13 })
    t.ok(envoy.heard().length < said.length)
    t.ok([...bench.ends.values()].every((count) => count === 1))
  }
})

t.test('a reset at any moment releases what was opened, once', async (t) => {
  const said = [
    grpcHeaders(),
    requestBody(inferFrame().subarray(0, 9)),
    requestBody(inferFrame().subarray(9), true),
    responseHeaders(),
    responseTrailers,
  ]
  for (let after = 0; after <= said.length; after++) {
    const bench = kit()
    const envoy = script(bench)
    envoy.say(...said.slice(0, after))
    envoy.cancel()
    envoy.cancel()
    t.ok(
      [...bench.ends.values()].every((count) => count === 1),
      `after ${after} messages`,
    )
    t.equal(bench.ends.size, after >= 3 ? 1 : 0)
  }
})

t.test(
  'a reset while the stages are at work releases what they take after it, and of no call that ran',
  async (t) => {
    for (const phase of ['request', 'response'] as const) {
      const order: string[] = []
      let answer = () => {}
      const bench = kit({
        [phase]: () =>
          new Promise((resolve) => {
            answer = () => {
              order.push('taken')
              resolve(ALLOW)
            }
          }),
        revoke: () => void order.push('given back'),
        end: () => void order.push('released'),
      })
      const envoy = script(bench)
      envoy.say(requestHeaders(), responseHeaders())
      envoy.cancel()
      t.strictSame(order, [])
      answer()
      await settled()
      // What was never let through cost nothing; what was answered did.
      const wanted = phase === 'request' ? ['taken', 'given back', 'released'] : ['taken', 'released']
      t.strictSame(order, wanted, phase)
    }
  },
)

t.test('a stream that Envoy half-closes while the stages are at work is answered and closed', async (t) => {
  const bench = kit({ request: () => Promise.resolve(ALLOW) })
  const envoy = script(bench)
  envoy.say(requestHeaders())
  envoy.halfClose()
  t.equal(envoy.closed(), undefined)
  await settled()
  t.strictSame(envoy.heardKinds(), ['requestHeaders'])
  t.equal(envoy.closed(), 'ok')
  t.strictSame([...bench.ends.values()], [1])
})

t.test('a stream that ends while the body is waited for is never decided', async (t) => {
  for (const headers of [grpcHeaders(), requestHeaders({ mode: Mode.BUFFERED })]) {
    const bench = kit()
    const envoy = script(bench)
    envoy.say(headers)
    envoy.halfClose()
    t.equal(envoy.closed(), 'ok')
    t.equal(bench.ends.size, 0)
  }
})
