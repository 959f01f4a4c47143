import t, { type Test } from 'tap'
import { startEnvoy, validateEnvoyConfig } from './envoy.ts'
import { grpcInfer, inferRequest } from './grpc.ts'
import { http } from './http.ts'
import { startEmbeddedModelServer } from './model-server.ts'
import { freePorts } from './ports.ts'
import { type ModelServer, startTriton } from './triton.ts'
import { startValkey } from './valkey.ts'

const body = JSON.stringify({ inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }] })

async function answersBothVersions(t: Test, server: ModelServer): Promise<void> {
  for (const version of ['1', '2']) {
    const answer = await http({
      port: server.httpPort,
      path: `/v2/models/fraud/versions/${version}/infer`,
      body,
    })
    t.equal(answer.status, 200, answer.body)
    const { model_version, outputs } = JSON.parse(answer.body)
    t.equal(model_version, version)
    t.equal(outputs[0].data[0], 2 / Number(version))
    const called = await grpcInfer({
      port: server.grpcPort,
      message: inferRequest({ modelVersion: version }),
    })
    t.equal(called.response?.modelVersion, version, called.details)
  }
  const latest = await http({ port: server.httpPort, path: '/v2/models/fraud/infer', body })
  t.equal(
    JSON.parse(latest.body).model_version,
    '2',
    'an unversioned request is answered by the latest version',
  )
  const unknown = await grpcInfer({ port: server.grpcPort, message: inferRequest({ modelVersion: '9' }) })
  t.not(unknown.code, 0, 'a version that does not exist is an error')
}

t.test('the real Triton answers with both versions over HTTP and gRPC', async (t) => {
  await using server = await startTriton()
  await answersBothVersions(t, server)
})

t.test('the embedded model server answers as Triton does', async (t) => {
  await using server = await startEmbeddedModelServer()
  await answersBothVersions(t, server)
})

t.test('the real Envoy starts, answers and stops', async (t) => {
  const [port] = (await freePorts(1)) as [number]
  const manager =
    'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
  const router = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router'
  const route = { match: { prefix: '/' }, direct_response: { status: 418, body: { inline_string: 'tea' } } }
  const config = {
    static_resources: {
      listeners: [
        {
          name: 'plain',
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [
            {
              filters: [
                {
                  name: 'hcm',
                  typed_config: {
                    '@type': manager,
                    stat_prefix: 'plain',
                    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
                    http_filters: [{ name: 'router', typed_config: { '@type': router } }],
                  },
                },
              ],
            },
          ],
        },
      ],
    },
  }
  await validateEnvoyConfig(config)
  await t.rejects(validateEnvoyConfig({ static_resources: { listenerz: [] } }), /listenerz/)
  let pid = 0
  {
    await using envoy = await startEnvoy(config)
    pid = envoy.pid
    t.equal((await http({ port, path: '/' })).status, 418)
    t.equal((await envoy.stats()).get('http.plain.downstream_rq_total'), 1)
  }
  t.throws(() => process.kill(pid, 0), 'no process is left')
})

t.test('the real Valkey starts and answers', async (t) => {
  await using valkey = await startValkey()
  t.ok(valkey.port > 0)
})
