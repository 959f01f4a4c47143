import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { expectationsOf, type Finding, openPosture } from '#envoy/audit/audit.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { agentConfig, changed, dumpOf, goodBootstrap, parts } from './good.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const good = goodBootstrap(folder.path)
const expected = expectationsOf(agentConfig(folder.path))
const slashes = changed(good, `${parts.manager}.merge_slashes`, false)
const both = changed(slashes, `${parts.extAuthz}.typed_config.shadow_mode`, true)

/** An Envoy that shows what it is told to, and time that stands still until it is told to go on. */
function scripted() {
  const told: string[] = []
  const waits: number[] = []
  let answer: JsonObject | Error | string = good
  let goOn: (() => void) | undefined
  let nowMs = 0
  let arrived = Promise.withResolvers<void>()
  const ids = (findings: readonly Finding[]) => findings.map(({ id }) => id).join()
  const posture = openPosture({
    admin: '127.0.0.1:1',
    everyMs: 60_000,
    expected,
    clock: { nowMs: () => nowMs, monotonicUs: () => 0 },
    read: async () => {
      if (answer instanceof Error) throw answer
      return Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(dumpOf(answer)))
    },
    wait: (ms, signal) => {
      waits.push(ms)
      arrived.resolve()
      return new Promise((resolve) => {
        goOn = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    },
    onChange: ({ come, gone }) => told.push(`+${ids(come)} -${ids(gone)}`),
    onFailure: (failure) => told.push(failure ?? 'again'),
  })
  return {
    posture,
    told,
    waits,
    first: () => arrived.promise,
    /** One more look, at another time and perhaps another configuration. */
    look: async (next: typeof answer, atMs: number) => {
      answer = next
      nowMs = atMs
      arrived = Promise.withResolvers()
      goOn?.()
      await arrived.promise
    },
  }
}

t.test('the first look is at the start, and what it sees is a state', async (t) => {
  const script = scripted()
  await using posture = script.posture
  t.match(posture.state(), { findings: [], failure: 'not read yet', lastSuccessMs: undefined })
  await script.first()
  t.match(posture.state(), { findings: [], failure: undefined, lastSuccessMs: 0, successes: 1, failures: 0 })
  t.same(script.waits, [60_000])
  t.same(script.told, [])
})

t.test('what came and what went is told once', async (t) => {
  const script = scripted()
  await using posture = script.posture
  await script.first()
  await script.look(slashes, 1000)
  await script.look(slashes, 2000)
  await script.look(both, 3000)
  t.match(posture.state(), { findings: [{}, {}], lastSuccessMs: 3000, successes: 4 })
  await script.look(good, 4000)
  t.same(posture.state().findings, [])
  t.same(script.told, [
    '+slashes_not_merged -',
    '+ext_authz_shadow_mode -',
    '+ -slashes_not_merged,ext_authz_shadow_mode',
  ])
})

t.test(
  'a look that fails keeps the findings, is tried again sooner, and is told when it is another failure',
  async (t) => {
    const script = scripted()
    await using posture = script.posture
    await script.first()
    await script.look(slashes, 1000)
    for (let second = 2; second < 7; second++) await script.look(new Error('gone'), second * 1000)
    t.match(posture.state(), {
      findings: [{ id: 'slashes_not_merged' }],
      failure: 'gone',
      lastSuccessMs: 1000,
      successes: 2,
      failures: 5,
    })
    await script.look('<html>', 8000)
    t.match(posture.state().failure, /127\.0\.0\.1:1 .*expected the configuration of an Envoy/)
    await script.look(slashes, 9000)
    t.match(posture.state(), { failure: undefined, lastSuccessMs: 9000 })
    t.same(script.waits, [60_000, 60_000, 1000, 2000, 4000, 5000, 5000, 5000, 60_000])
    t.same(
      script.told.map((text) => text.replace(/^127.*/s, 'no dump')),
      ['+slashes_not_merged -', 'gone', 'no dump', 'again'],
    )
  },
)

t.test('a dump of another form is a finding of a look that succeeded', async (t) => {
  const script = scripted()
  await using posture = script.posture
  await script.first()
  await script.look('{}', 1000)
  t.match(posture.state(), { findings: [{ id: 'unreadable_configuration' }], failure: undefined })
})

t.test('it ends when it is disposed of, also while it is looking', async (t) => {
  let aborted = false
  const looking = Promise.withResolvers<void>()
  const posture = openPosture({
    admin: '127.0.0.1:1',
    everyMs: 60_000,
    expected,
    read: (_, { signal }) => {
      looking.resolve()
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => {
          aborted = true
          reject(new Error('aborted'))
        }),
      )
    },
    onFailure: () => t.fail('nobody is told of an end that was asked for'),
  })
  await looking.promise
  await posture[Symbol.asyncDispose]()
  t.ok(aborted)
  t.equal(posture.state().failures, 0)
})
