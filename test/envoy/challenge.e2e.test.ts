import { join } from 'node:path'
import t from 'tap'
import { createChallenger } from '#decision/challenger.ts'
import { createPipeline } from '#decision/pipeline.ts'
import { reasons } from '#decision/reasons.ts'
import { noResources } from '#resources/resources.ts'
import { grpcInfer, inferRequest } from '../harness/grpc.ts'
import { http } from '../harness/http.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { startBothFilters } from './both-filters.ts'

t.test('a challenge passes a real Envoy whole, on both APIs, to every kind of client', async (t) => {
  using folder = temporaryFolder()
  const address = `unix:${join(folder.path, 'agent.sock')}`
  const challenger = createChallenger({
    realm: 'the "models"',
    resourceMetadata: 'https://models.example/meta',
    dpopAlgorithms: ['ES256', 'EdDSA'],
  })
  const pipeline = createPipeline({
    stages: [
      {
        name: 'identity',
        failureReason: 'internal_error',
        request: () => ({ kind: 'deny', reason: 'dpop_nonce_required', demand: { nonce: 'n-1' } }),
      },
    ],
    resources: () => noResources,
    deadlineMs: 10_000,
    challenger,
  })
  await using world = await startBothFilters(pipeline, address)
  const { ports } = world
  const challenge =
    'DPoP realm="the \\"models\\"", error="use_dpop_nonce", ' +
    `error_description="${reasons.dpop_nonce_required.text}", algs="ES256 EdDSA", ` +
    'resource_metadata="https://models.example/meta", ' +
    'Bearer realm="the \\"models\\"", resource_metadata="https://models.example/meta"'
  for (const [index, port] of ports.entries()) {
    const api = index === 0 ? 'ext_authz' : 'ext_proc'
    const kinds: [kind: string, headers: Readonly<Record<string, string>>, status: number][] = [
      ['http', {}, 401],
      ['json', { 'content-type': 'application/json' }, 401],
      ['grpc-web', { 'content-type': 'application/grpc-web+proto' }, 200],
    ]
    for (const [kind, headers, status] of kinds) {
      const answer = await http({ port, path: '/v2/models/fraud/infer', body: '{}', headers })
      t.equal(answer.status, status, `${api} ${kind}`)
      t.equal(answer.headers['www-authenticate'], challenge, `${api} ${kind}`)
      t.equal(answer.headers['dpop-nonce'], 'n-1', `${api} ${kind}`)
      if (kind === 'grpc-web') t.equal(answer.headers['grpc-status'], '16')
    }
    const called = await grpcInfer({ port, message: inferRequest() })
    t.equal(called.code, 16, `${api} grpc`)
    t.same(called.metadata.get('www-authenticate'), [challenge], `${api} grpc`)
    t.same(called.metadata.get('dpop-nonce'), ['n-1'], `${api} grpc`)
  }
})
