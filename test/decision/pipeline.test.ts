import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import { createPipeline, type PipelineOptions } from '#decision/pipeline.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, allowWith, deny, failure, type Verdict } from '#decision/verdict.ts'
import { someRequest, someResources } from './an-exchange.ts'

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
