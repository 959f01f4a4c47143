import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import { createPipeline, type PipelineOptions } from '#decision/pipeline.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, allowWith, deny, failure, type Verdict } from '#decision/verdict.ts'
import { manualClock, someAnswer, someRequest, someResources } from './an-exchange.ts'

const stage = (
  name: string,
  request: () => Verdict | Promise<Verdict>,
  more: Partial<Stage> = {},
): Stage => ({
  name,
  failureReason: 'internal_error',
  request,
  ...more,
})

function pipelineOf(stages: Stage[], more: Partial<PipelineOptions> = {}) {
  return createPipeline({ stages, resources: () => someResources(), deadlineMs: 1000, ...more })
}

t.test('every stage has to allow, and their changes add up', async (t) => {
  const pipeline = pipelineOf([
    stage('a', () => allowWith({ setHeaders: [['x-a', '1']], dynamicMetadata: { a: 1 } })),
    stage('b', () => ALLOW),
    stage('c', async () =>
      allowWith({ setHeaders: [['x-c', '3']], modelVersion: '2', dynamicMetadata: { c: 3 } }),
    ),
  ])
  t.same(await pipeline.request(pipeline.open(someRequest())), {
    kind: 'allow',
    mutations: {
      setHeaders: [
        ['x-a', '1'],
        ['x-c', '3'],
      ],
      modelVersion: '2',
      dynamicMetadata: { a: 1, c: 3 },
    },
  })
})

t.test('synchronous stages are answered synchronously', async (t) => {
  const pipeline = pipelineOf([stage('a', () => ALLOW), stage('b', () => deny('policy_denied'))])
  t.notOk(pipeline.request(pipeline.open(someRequest())) instanceof Promise)
})

t.test('when a request was let through is known, and of no other', async (t) => {
  const clock = manualClock()
  const waits = stage('waits', () => {
    clock.advanceMs(7)
    return ALLOW
  })
  const pipeline = pipelineOf([waits], { clock })
  const x = pipeline.open(someRequest())
  pipeline.request(x)
  t.equal(x.permittedUs, x.startedUs + 7000)
  clock.advanceMs(5)
  pipeline.response(x, someAnswer(200))
  t.equal(x.permittedUs, x.startedUs + 7000, 'the answer is another matter')
  const refusing = pipelineOf([waits, stage('b', () => deny('policy_denied'))], { clock })
  const refused = refusing.open(someRequest())
  refusing.request(refused)
  t.equal(refused.permittedUs, undefined)
})

t.test('after a refusal no later stage runs, and earlier ones give back in reverse order', async (t) => {
  const ran: string[] = []
  const noted = (name: string, verdict: Verdict) =>
    stage(
      name,
      () => {
        ran.push(name)
        return verdict
      },
      { revoke: () => ran.push(`revoke ${name}`) },
    )
  const pipeline = pipelineOf([
    noted('a', ALLOW),
    noted('b', ALLOW),
    noted('c', deny('rate_limited')),
    noted('d', ALLOW),
  ])
  t.match(await pipeline.request(pipeline.open(someRequest())), { kind: 'deny', reason: 'rate_limited' })
  t.same(ran, ['a', 'b', 'c', 'revoke b', 'revoke a'])
})

t.test('whatever goes wrong in a stage is a refusal with its own reason', async (t) => {
  const cases: [string, Stage][] = [
    [
      'throws',
      stage(
        'x',
        () => {
          throw new Error('bang')
        },
        { failureReason: 'policy_failed' },
      ),
    ],
    ['rejects', stage('x', () => Promise.reject(new Error('bang')), { failureReason: 'policy_failed' })],
    [
      'throws later',
      stage(
        'x',
        async () => {
          throw 'bang'
        },
        { failureReason: 'policy_failed' },
      ),
    ],
  ]
  for (const [name, broken] of cases) {
    const pipeline = pipelineOf([broken, stage('after', () => t.fail('must not run') as never)])
    t.match(
      await pipeline.request(pipeline.open(someRequest())),
      { kind: 'error', reason: 'policy_failed' },
      name,
    )
  }
})

t.test('a decision that takes too long is refused, and what it takes later is given back', async (t) => {
  let finish: (verdict: Verdict) => void = () => {}
  const revoked: string[] = []
  const slow = stage(
    'slow',
    () =>
      new Promise<Verdict>((resolve) => {
        finish = resolve
      }),
    {
      revoke: () => revoked.push('slow'),
    },
  )
  const pipeline = pipelineOf([slow], { deadlineMs: 5 })
  t.match(await pipeline.request(pipeline.open(someRequest())), {
    kind: 'error',
    reason: 'deadline_exceeded',
  })
  finish(ALLOW)
  await new Promise((resolve) => setImmediate(resolve))
  t.same(revoked, ['slow'])
})

t.test('a record that cannot be written refuses the request and gives back', async (t) => {
  const revoked: string[] = []
  const pipeline = pipelineOf([stage('a', () => ALLOW, { revoke: () => revoked.push('a') })], {
    recorder: {
      decided: () => {
        throw new Error('disk full')
      },
    },
  })
  t.match(await pipeline.request(pipeline.open(someRequest())), { kind: 'error', reason: 'audit_failed' })
  t.same(revoked, ['a'])
})

t.test('refusals are recorded like every other decision', async (t) => {
  const seen: string[] = []
  const pipeline = pipelineOf([stage('a', () => failure('internal_error', new Error('x')))], {
    recorder: { decided: (_x: Exchange, verdict) => void seen.push(verdict.kind) },
  })
  const x = pipeline.open(someRequest())
  await pipeline.request(x)
  pipeline.refuse(x, deny('request_malformed'))
  t.same(seen, ['error', 'deny'])
})

t.test('an exchange keeps the resources it was opened with', async (t) => {
  let resources = someResources({ epoch: 1 })
  const pipeline = pipelineOf([stage('a', () => ALLOW)], { resources: () => resources })
  const x = pipeline.open(someRequest())
  resources = someResources({ epoch: 2 })
  t.equal(x.resources.epoch, 1)
  t.equal(pipeline.open(someRequest()).resources.epoch, 2)
})

t.test('what is no verdict never passes for an allow', async (t) => {
  for (const answer of [undefined, null, {}, true, { kind: 'allowed' }, 'allow']) {
    for (const request of [() => answer as never, async () => answer as never]) {
      const given: string[] = []
      const pipeline = pipelineOf([
        stage('taker', () => ALLOW, { revoke: () => given.push('back') }),
        stage('x', request, { failureReason: 'policy_failed' }),
      ])
      const decision = await pipeline.request(pipeline.open(someRequest()))
      t.match(decision, { kind: 'error', reason: 'policy_failed' }, JSON.stringify(answer))
      t.same(given, ['back'])
    }
  }
})

t.test('a stage that cannot give back or end keeps no other from it', async (t) => {
  const ran: string[] = []
  const throwing = () => {
    throw new Error('bang')
  }
  const pipeline = pipelineOf([
    stage('a', () => ALLOW, { revoke: () => ran.push('revoke a'), end: () => ran.push('end a') }),
    stage('b', () => ALLOW, { revoke: throwing, end: throwing, failureReason: 'limits_failed' }),
    stage('c', () => deny('policy_denied'), { end: () => ran.push('end c') }),
  ])
  const x = pipeline.open(someRequest())
  t.match(await pipeline.request(x), { kind: 'error', reason: 'limits_failed' })
  t.throws(() => pipeline.end(x), { name: 'AggregateError' })
  t.same(ran, ['revoke a', 'end a', 'end c'])
})

t.test('an answer is judged by every stage that looks at answers, and recorded', async (t) => {
  const seen: string[] = []
  const pipeline = pipelineOf(
    [
      stage('a', () => ALLOW),
      stage('b', () => ALLOW, {
        response: (x) => (x.served?.httpStatus === 200 ? ALLOW : deny('policy_denied')),
        revoke: () => t.fail('what an answered request cost stays charged'),
      }),
    ],
    { recorder: { decided: (_x, verdict, phase) => void seen.push(`${phase} ${verdict.kind}`) } },
  )
  const x = pipeline.open(someRequest())
  await pipeline.request(x)
  t.equal((await pipeline.response(x, someAnswer(200))).kind, 'allow')
  t.match(await pipeline.response(x, someAnswer(500)), { kind: 'deny', reason: 'policy_denied' })
  t.same(seen, ['request allow', 'response allow', 'response deny'])
})

t.test('a request that waits its turn is not late before its queue says so', async (t) => {
  let turn: (verdict: Verdict) => void = () => {}
  const queue = stage('queue', () => new Promise<Verdict>((resolve) => (turn = resolve)))
  const pipeline = pipelineOf([queue], { deadlineMs: 1 })
  const x = pipeline.open(someRequest())
  const decision = pipeline.request(x)
  x.waiting = { atMostMs: 60_000, abandon: () => t.fail('its time is not over') }
  // Timers of one length end in the order they were set in: the deadline has passed by then.
  await new Promise((resolve) => setTimeout(resolve, 1))
  x.waiting = undefined
  turn(ALLOW)
  t.match(await decision, { kind: 'allow' })
})

t.test('a request that waits longer than its queue promised is refused and leaves the queue', async (t) => {
  const pipeline = pipelineOf([stage('queue', () => new Promise<Verdict>(() => {}))], { deadlineMs: 1 })
  const x = pipeline.open(someRequest())
  const decision = pipeline.request(x)
  let abandoned = 0
  x.waiting = { atMostMs: 1, abandon: () => void abandoned++ }
  t.match(await decision, { kind: 'error', reason: 'deadline_exceeded' })
  t.equal(abandoned, 1)
})
