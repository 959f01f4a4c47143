import { mock } from 'node:test'
import t from 'tap'
import { grpcHeaders, inferFrame, kit, Mode, requestBody, responseHeaders, script } from './kit.ts'

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

t.test('Envoy is asked for patience once, and a caller that stays silent is refused', async (t) => {
  const bench = kit()
  const envoy = script(bench, 1000)
  envoy.say(grpcHeaders())
  t.strictSame(envoy.heardKinds(), [])
  mock.timers.tick(899)
  const asked = envoy.heard()
  t.equal(asked.length, 1)
  t.match(asked[0]?.overrideMessageTimeout, { seconds: 1n })
  mock.timers.tick(1)
  t.match(envoy.heard(), [
    { response: { case: 'immediateResponse', value: { status: { code: 408 }, grpcStatus: { status: 4 } } } },
  ])
  envoy.say(requestBody(inferFrame(), true))
  t.strictSame(envoy.heard(), [], 'what comes too late is not answered')
  envoy.cancel()
  t.strictSame([...bench.ends.values()], [1])
})

t.test('a part of the name is no message: the time still runs', async (t) => {
  const envoy = script(kit(), 1000)
  envoy.say(grpcHeaders(), requestBody(inferFrame().subarray(0, 9)))
  mock.timers.tick(1000)
  t.equal(envoy.heardKinds().at(-1), 'immediateResponse')
})

t.test('a message in time needs no patience, and its time limit is forgotten', async (t) => {
  const envoy = script(kit(), 1000)
  envoy.say(grpcHeaders(), requestBody(inferFrame()))
  mock.timers.tick(5000)
  t.strictSame(envoy.heardKinds(), ['requestHeaders', 'requestBody'])
  envoy.say(responseHeaders())
  t.strictSame(envoy.heardKinds(), ['responseHeaders'])
})

t.test('in full duplex Envoy has no timer to extend, and ours refuses all the same', async (t) => {
  const envoy = script(kit(), 1000)
  envoy.say(grpcHeaders({ mode: Mode.FULL_DUPLEX_STREAMED }))
  mock.timers.tick(1000)
  t.strictSame(envoy.heardKinds(), ['immediateResponse'])
})

t.test('a caller that goes away while it is waited for leaves no timer behind', async (t) => {
  const bench = kit()
  const envoy = script(bench, 1000)
  envoy.say(grpcHeaders())
  envoy.cancel()
  mock.timers.tick(5000)
  t.strictSame(envoy.heard(), [])
  t.equal(bench.ends.size, 0)
})
