import { join } from 'node:path'
import type { JsonObject } from '#base/json.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { extProcMethod } from '#envoy/ext-proc.ts'
import type { MessageKind } from '#envoy/processing-message.ts'
import { decodeProcessing } from '#envoy/processing-message.ts'
import { startGrpcServer } from '#grpc/grpc.ts'
import { type Envoy, startEnvoy } from '../harness/envoy.ts'
import { freePorts } from '../harness/ports.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { agentConfig, changed, parts } from './audit/good.ts'
import type { Kit } from './kit.ts'

export interface MeteringWorld extends AsyncDisposable {
  readonly port: number
  readonly envoy: Envoy
  /** What Envoy told, by kind, in order. */
  readonly told: (MessageKind | undefined)[]
  stopAgent(): Promise<void>
}

/**
 * A real Envoy as it is configured where there are limits, in plain text, with a scripted pipeline behind ext_proc and a model
 * server of the test's own.
 */
export async function startMeteringWorld(options: {
  readonly kit: Kit
  readonly httpPort?: number
  readonly grpcPort?: number
  /** More of the agent's configuration. */
  readonly config?: JsonObject
}): Promise<MeteringWorld> {
  await using opening = new AsyncDisposableStack()
  const { path: folder } = opening.use(temporaryFolder())
  const told: (MessageKind | undefined)[] = []
  const { pipeline, log } = options.kit
  const method = extProcMethod({ pipeline, log, firstMessageTimeoutMs: 60_000 })
  if (method.kind !== 'stream') throw new Error('Process is a stream')
  const server = opening.use(
    await startGrpcServer({
      listen: `unix:${join(folder, 'agent.sock')}`,
      maxMessageBytes: 4 << 20,
      drainMs: 100,
      methods: [
        {
          ...method,
          open: (writer, call) => {
            const reader = method.open(writer, call)
            const message = (bytes: Buffer) => {
              told.push(decodeProcessing(bytes).kind)
              reader.message(bytes)
            }
            return { message, halfClosed: () => reader.halfClosed(), ended: () => reader.ended() }
          },
        },
      ],
    }),
  )
  const [port, unused] = (await freePorts(2)) as [number, number]
  const upstream = {
    http: `127.0.0.1:${options.httpPort ?? unused}`,
    grpc: `127.0.0.1:${options.grpcPort ?? unused}`,
  }
  const limited = { limits: {}, resources: { dir: '.' }, policy: undefined, ...options.config }
  // A busy machine must not end a test.
  const section = { main: `127.0.0.1:${port}`, admission: undefined, upstream, messageTimeoutMs: 30_000 }
  const generated = envoyConfig(agentConfig(folder, section, limited))
  const envoy = opening.use(
    await startEnvoy(changed(generated, `${parts.chain}.transport_socket`, undefined)),
  )
  const owned = opening.move()
  return {
    port,
    envoy,
    told,
    stopAgent: () => Promise.resolve(server[Symbol.asyncDispose]()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
