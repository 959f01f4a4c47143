import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type GrpcServerOptions, startGrpcServer } from '#grpc/grpc.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { interopCases, runInteropCase } from '../harness/go-peers.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'
import { testService } from './test-service.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())

/** The bound that the case of the message that is too large goes by. */
const maxMessageBytes = 1 << 20
const faults: unknown[] = []

function serve(options: Pick<GrpcServerOptions, 'listen' | 'tls' | 'transport'>) {
  return startGrpcServer({
    ...options,
    methods: testService,
    maxMessageBytes,
    onHandlerFault: (cause) => faults.push(cause),
  })
}

async function everyCase(t: Test, address: string, caFile?: string): Promise<void> {
  const names = await interopCases()
  t.ok(names.length >= 18, `${names.length} cases`)
  for (const name of names) t.equal(await runInteropCase({ name, address, caFile }), undefined, name)
  t.same(faults, [], 'no handler threw')
}

t.test('grpc-go meets every interop case on a Unix socket', async (t) => {
  const path = join(folder.path, 'plain.sock')
  await using server = await serve({ listen: `unix:${path}` })
  await everyCase(t, `unix:${path}`)
  await eventually('no stream is left', () => server.counters.openStreams === 0)
  t.same([...server.counters.protocolErrors], [], 'nobody broke the protocol')
})

t.test('grpc-go meets every interop case on a port with TLS', async (t) => {
  const ca = createDevCa({ trustDomain: 'test.example' })
  const caFile = join(folder.path, 'ca.pem')
  writeFileSync(caFile, ca.bundlePem)
  const { certificatePem, privateKeyPem } = ca.issue({
    spiffeId: 'spiffe://test.example/server',
    dnsNames: ['localhost'],
  })
  await using server = await serve({
    listen: '127.0.0.1:0',
    tls: { cert: certificatePem, key: privateKeyPem },
  })
  await everyCase(t, `127.0.0.1:${server.port}`, caFile)
})

t.test('grpc-go meets the same cases where @grpc/grpc-js hosts the table', async (t) => {
  const path = join(folder.path, 'grpc-js.sock')
  await using _ = await serve({ listen: `unix:${path}`, transport: 'grpc-js' })
  const problems: string[] = []
  for (const name of await interopCases())
    if ((await runInteropCase({ name, address: `unix:${path}`, caFile: undefined })) !== undefined)
      problems.push(name)
  // It takes compressed messages apart, which ours refuses.
  t.same(problems, ['compressed_request'])
})
