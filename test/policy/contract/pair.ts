import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { startAgent } from '../../harness/agent.ts'
import { buildBundle } from '../../harness/opa.ts'
import { startOpaEnvoyPlugin } from '../../harness/opa-envoy-plugin.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { type Answer, answerOf } from './answer.ts'
import { pathOf } from './check.ts'

/** Answers a CheckRequest's bytes. */
export interface Side extends Disposable {
  ask(bytes: Buffer): Promise<Answer>
}

/** One side over gRPC, `address` as grpc-js takes it. */
export function sideAt(address: string): Side {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': 64 << 20,
  })
  return {
    ask: (bytes) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          '/envoy.service.auth.v3.Authorization/Check',
          (message: Buffer) => message,
          (answer: Buffer) => answer,
          bytes,
          (error: ServiceError | null, answer?: Buffer) => {
            if (error) resolve({ kind: 'failed', grpcCode: error.code, details: error.details })
            else resolve(answerOf(answer ?? Buffer.alloc(0), pathOf(bytes)))
          },
        )
      }),
    [Symbol.dispose]: () => client.close(),
  }
}

export interface Pair extends AsyncDisposable {
  readonly plugin: Side
  readonly sluice: Side
}

/** The real plugin and a real agent on one policy. */
export async function startPair(options: {
  readonly rego: string
  /** More of `policy:` in sluice.yaml, and of the plugin's settings. */
  readonly policy?: Readonly<Record<string, unknown>>
  readonly settings?: readonly string[]
}): Promise<Pair> {
  const opened = new AsyncDisposableStack()
  try {
    const folder = opened.use(temporaryFolder())
    const files = { 'policy.rego': options.rego }
    const [plugin, bundle] = await Promise.all([
      startOpaEnvoyPlugin(join(folder.path, 'opa'), files, { settings: options.settings }),
      buildBundle({ files }),
    ])
    opened.use(plugin)
    const own = join(folder.path, 'sluice')
    mkdirSync(own)
    writeFileSync(join(own, 'policy.tar.gz'), bundle)
    const config = { policy: { bundle: 'policy.tar.gz', ...options.policy }, log: { level: 'error' } }
    opened.use(await startAgent({ folder: own, config }))
    return {
      plugin: opened.use(sideAt(`127.0.0.1:${plugin.port}`)),
      sluice: opened.use(sideAt(`unix:${join(own, 'agent.sock')}`)),
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    }
  } catch (cause) {
    await opened.disposeAsync()
    throw cause
  }
}

/** The policy that shows its input, or answers what the request asks for. */
export const contractRego = readFileSync(join(import.meta.dirname, 'policy.rego'), 'utf8')
