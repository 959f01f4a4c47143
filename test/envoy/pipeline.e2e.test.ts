import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import t from 'tap'
import { startWorld, type World } from '../../demo/world.ts'
import { grpcInfer, inferRequest } from '../harness/grpc.ts'
import { http, keepAliveAgent } from '../harness/http.ts'
import type { EmbeddedModelServer } from '../harness/model-server.ts'
import { run } from '../harness/run.ts'
import { eventually } from '../harness/temp.ts'

const body = JSON.stringify({ inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }] })
const inferPath = '/v2/models/fraud/infer'
const root = new URL('../..', import.meta.url).pathname

const world: World = await startWorld({ modelServer: 'embedded', say: () => {} })
t.teardown(() => world[Symbol.asyncDispose]())
const upstream = world.modelServer as EmbeddedModelServer
const tls = (who: keyof World['identities']) => ({ ca: world.ca, identity: world.identities[who] })

/** Sends bytes as they are over mTLS and gives what comes back until the other side is done. */
function raw(text: string | Buffer): Promise<string> {
  const { certificatePem: cert, privateKeyPem: key } = world.identities.acme
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = connect(
      {
        host: '127.0.0.1',
        port: world.mainPort,
        ca: world.ca,
        cert,
        key,
        ALPNProtocols: ['http/1.1'],
        checkServerIdentity: () => undefined,
      },
      () => socket.write(text),
    )
    const done = () => resolve(Buffer.concat(chunks).toString('latin1'))
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('end', done)
    socket.on('error', done)
    socket.on('close', done)
    socket.setTimeout(30_000, () => socket.destroy())
  })
}
const rawRequest = (path: string, headers: readonly string[] = []) =>
  raw(
    [
      `POST ${path} HTTP/1.1`,
      'host: models',
      'connection: close',
      'content-type: application/json',
      `content-length: ${body.length}`,
      ...headers,
      '',
      body,
    ].join('\r\n'),
  )

t.test('the chosen version is what reaches the model server, over HTTP and gRPC', async (t) => {
  upstream.clear()
  const answer = await http({
    port: world.mainPort,
    path: `${inferPath}?trace=1`,
    body,
    headers: { 'x-session-id': 's1' },
    tls: tls('acme'),
  })
  t.equal(answer.status, 200)
  const version = answer.headers['x-sluice-model-version']
  t.equal(upstream.arrivals[0]?.path, `/v2/models/fraud/versions/${version}/infer?trace=1`)
  t.equal(upstream.arrivals[0]?.body.toString(), body)
  const called = await grpcInfer({
    port: world.mainPort,
    message: inferRequest(),
    metadata: { 'x-session-id': 's1' },
    tls: tls('acme'),
  })
  t.equal(called.response?.modelVersion, version, 'the same session, the same version')
})

t.test('a client cannot speak for Sluice', async (t) => {
  upstream.clear()
  const forged = [
    'X-Sluice-Tenant: globex',
    'x-sluice-tenant: umbrella',
    'x-sluice-decision-id: forged',
    'x-sluice-anything: 1',
  ]
  t.match(await rawRequest(inferPath, forged), /^HTTP\/1\.1 200/)
  const [arrival] = upstream.arrivals
  t.equal(arrival?.headers['x-sluice-tenant'], 'acme')
  t.not(arrival?.headers['x-sluice-decision-id'], 'forged')
  t.equal(arrival?.headers['x-sluice-anything'], undefined)
})

t.test(
  'no spelling of a forbidden path is allowed, and nothing undecided reaches the model server',
  async (t) => {
    upstream.clear()
    const rows = [
      '/v2/repository/index',
      '/v2/./repository/index',
      '/v2//repository/index',
      '/v2/models/../repository/index',
      '/v2/repository%2Findex',
      '/v2%2frepository/index',
      '/%76%32/repository/index',
      '/v2/repository;x/index',
      '/v2/repository\\index',
      '/v2/models/fraud%2finfer',
      '/v2/models/fraud/versions/9/infer',
      '/v2/models/ocr/infer',
      '/v2/models/fraud%00/infer',
      '/..%2f..%2fv2/models/ocr/infer',
    ]
    for (const path of rows) {
      const answer = await rawRequest(path)
      t.match(answer, /^HTTP\/1\.1 4\d\d/, JSON.stringify(path))
    }
    // Envoy's own parser ends the connection.
    t.equal(await rawRequest('/v2/models/fr\u00e4ud/infer'), '')
    t.same(upstream.arrivals, [])
  },
)

t.test('a harmless spelling has the verdict of the canonical one', async (t) => {
  for (const path of [
    '/v2//models/fraud/infer',
    '/v2/./models/fraud/infer',
    '/x/../v2/models/fraud/infer',
    '/%76%32/models/fraud/infer',
  ]) {
    t.match(await rawRequest(path), /^HTTP\/1\.1 200/, path)
  }
})

t.test('a header that decides something is refused when it comes twice', async (t) => {
  t.match(await rawRequest(inferPath, ['x-session-id: a', 'x-session-id: b']), /^HTTP\/1\.1 400/)
})

t.test('ten megabytes of headers are refused and others go on', async (t) => {
  const many = Array.from({ length: 200 }, (_, index) => `x-${index}: ${'a'.repeat(50_000)}`)
  t.match(await rawRequest(inferPath, many), /^(HTTP\/1\.1 431|$)/)
  t.match(await rawRequest(inferPath), /^HTTP\/1\.1 200/)
})

t.test('gRPC messages that lie are refused with a gRPC status', async (t) => {
  upstream.clear()
  const hidden = Buffer.concat([inferRequest({ modelVersion: '1' }), Buffer.from([0x12, 1, 0x32])])
  const twice = Buffer.concat([Buffer.from([0x0a, 1, 0x61]), inferRequest()])
  const rows: [name: string, message: Uint8Array][] = [
    ['a version behind the tensors', hidden],
    ['two names', twice],
    ['rubbish', Buffer.from('this is no protobuf')],
    ['no model', Buffer.alloc(0)],
    ['a name with a slash', inferRequest({ modelName: 'a/b' })],
    ['a version that is none', inferRequest({ modelVersion: 'latest' })],
  ]
  for (const [name, message] of rows) {
    const answer = await grpcInfer({ port: world.mainPort, message, tls: tls('acme') })
    t.equal(answer.code, 3, `${name}: ${answer.details}`)
  }
  t.same(upstream.arrivals, [], 'no message reached the model server')
})

t.test('a message of 24 MB arrives whole, with the version spliced in', async (t) => {
  upstream.clear()
  const floats = 6_000_000
  const rawInput = Buffer.alloc(floats * 4, 1)
  const message = inferRequest({
    inputs: [{ name: 'features', datatype: 'FP32', shape: [BigInt(floats)] }],
    rawInputContents: [rawInput],
  })
  const answer = await grpcInfer({ port: world.mainPort, message, tls: tls('acme'), deadlineMs: 60_000 })
  t.equal(answer.code, 0, answer.details)
  const arrived = upstream.arrivals[0]?.body
  t.equal(arrived?.length, message.length + 3)
  t.equal(arrived?.subarray(-rawInput.length).equals(rawInput), true)
})

t.test('admission alone refuses as the pipeline does, and wants the version named', async (t) => {
  const ask = (who: keyof World['identities'], path: string) =>
    http({ port: world.admissionPort, path, body, tls: tls(who) })
  t.equal((await ask('acme', '/v2/models/fraud/versions/1/infer')).status, 200)
  t.equal((await ask('acme', inferPath)).status, 400)
  t.equal((await ask('globex', '/v2/models/fraud/versions/1/infer')).status, 403)
  t.equal((await ask('umbrella', '/v2/models/fraud/versions/1/infer')).status, 403)
  const called = await grpcInfer({ port: world.admissionPort, message: inferRequest(), tls: tls('acme') })
  t.equal(called.code, 7, 'the model of a gRPC call is not seen there')
})

t.test('each kind of client is refused in its own words', async (t) => {
  const ask = (headers: Record<string, string>) =>
    http({ port: world.mainPort, path: inferPath, method: 'POST', body, headers, tls: tls('umbrella') })
  const json = await ask({ accept: 'application/json' })
  t.equal(json.headers['content-type'], 'application/problem+json')
  t.match(JSON.parse(json.body), {
    type: /residency-denied$/,
    status: 403,
    title: /processed here/,
    instance: /^urn:uuid:/,
  })
  t.match((await ask({})).headers['content-type'], 'text/plain')
  const web = await ask({ 'content-type': 'application/grpc-web+proto' })
  // Envoy leaves the content type out of an answer without a body.
  t.match([web.status, web.headers['grpc-status']], [200, /^(3|7)$/])
})

t.test('the generated configuration has nothing to mend, also as the running Envoy tells it', async (t) => {
  const cli = ['agent/main.ts', 'check', '-c', world.agentConfig]
  t.match(
    (await run(process.execPath, cli, { cwd: root })).toString(),
    /nothing that fails open[\s\S]*Nothing to mend\./,
  )
})

t.test('thousands of streams, each ended by Envoy with a reset, cost no connection', async (t) => {
  const agent = keepAliveAgent(16)
  const closed = async () => (await world.envoy.stats()).get('cluster.sluice_agent.upstream_cx_destroy') ?? 0
  const before = await closed()
  const statuses = new Set<number>()
  let left = 2500
  const worker = async () => {
    while (left-- > 0) {
      const answer = await http({
        port: world.mainPort,
        path: inferPath,
        body,
        tls: { ...tls('acme'), agent },
      })
      statuses.add(answer.status)
    }
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  agent.destroy()
  t.same([...statuses], [200])
  t.equal(await closed(), before)
})

t.test('an agent that is frozen lets nothing through, and all is well when it thaws', async (t) => {
  upstream.clear()
  world.agent.kill('SIGSTOP')
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => http({ port: world.mainPort, path: inferPath, body, tls: tls('acme') })),
  )
  t.ok(
    answers.every(({ status }) => status >= 500),
    answers.map(({ status }) => status).join(' '),
  )
  t.same(upstream.arrivals, [])
  world.agent.kill('SIGCONT')
  await eventually('the agent decides again', async () => {
    return (await http({ port: world.mainPort, path: inferPath, body, tls: tls('acme') })).status === 200
  })
})

t.test('an agent killed and restarted under load lets not one request through undecided', async (t) => {
  const agent = keepAliveAgent(8)
  let isOver = false
  const statuses = new Map<number, number>()
  const load = Promise.all(
    Array.from({ length: 8 }, async () => {
      while (!isOver) {
        // globex may not: every answer but a refusal would be a request that nobody decided.
        const answer = await http({
          port: world.mainPort,
          path: inferPath,
          body,
          tls: { ...tls('globex'), agent },
        })
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      }
    }),
  )
  upstream.clear()
  for (let round = 0; round < 3; round++) {
    await eventually('some decisions', () => (statuses.get(403) ?? 0) > (round + 1) * 20)
    world.agent.kill(round === 1 ? 'SIGTERM' : 'SIGKILL')
    await sleep(100)
    await world.agent.restart()
  }
  await eventually('decisions again', async () => {
    return (await http({ port: world.mainPort, path: inferPath, body, tls: tls('globex') })).status === 403
  })
  isOver = true
  await load
  agent.destroy()
  t.same(
    [...statuses.keys()].filter((status) => status < 400),
    [],
    JSON.stringify([...statuses]),
  )
  t.same(upstream.arrivals, [])
})

t.test('every decision is in the record, numbered without a gap', async (t) => {
  const numbers = world.auditLines().map((line) => line['seq'] as number)
  t.same(
    numbers,
    numbers.map((_, index) => index + 1),
  )
})
