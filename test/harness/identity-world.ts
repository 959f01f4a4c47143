import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AgentProcess, startAgent } from './agent.ts'
import { type Envoy, startEnvoy } from './envoy.ts'
import { startEmbeddedModelServer } from './model-server.ts'
import { freePorts } from './ports.ts'
import { run } from './run.ts'
import { temporaryFolder } from './temp.ts'

const root = join(import.meta.dirname, '..', '..')

/** A whole agent that demands identities and nothing else, and an Envoy with its certificates from it. */
export interface IdentityWorld extends AsyncDisposable {
  readonly folder: string
  readonly agent: AgentProcess
  readonly envoy: Envoy
  readonly port: number
  /** Of the decision that was recorded last; `undefined` where it allowed. */
  lastReason(): string | undefined
  /** A reading of a metric of the agent; `undefined` where there is none. */
  metric(name: string): Promise<number | undefined>
}

/** What a model server answers without a body. */
export const askedPath = '/v2/models/fraud/ready'

export async function startIdentityWorld(options: {
  readonly identity: Readonly<Record<string, unknown>>
  /** Fills the agent's folder. */
  readonly prepare?: (folder: string) => void
}): Promise<IdentityWorld> {
  await using opening = new AsyncDisposableStack()
  const { path: folder } = opening.use(temporaryFolder())
  options.prepare?.(folder)
  const [port, admissionPort] = (await freePorts(2)) as [number, number]
  const upstream = opening.use(await startEmbeddedModelServer())
  const agent = opening.use(
    await startAgent({
      folder,
      config: {
        role: 'model',
        audit: { dir: 'audit' },
        identity: options.identity,
        envoy: {
          main: `127.0.0.1:${port}`,
          admission: `127.0.0.1:${admissionPort}`,
          upstream: { http: `127.0.0.1:${upstream.httpPort}`, grpc: `127.0.0.1:${upstream.grpcPort}` },
        },
      },
    }),
  )
  const cli = ['agent/main.ts', 'envoy', 'config', '--json', '--config', agent.configPath]
  const generated = JSON.parse((await run(process.execPath, cli, { cwd: root })).toString())
  const envoy = opening.use(await startEnvoy(generated))
  const owned = opening.move()
  return {
    ...{ folder, agent, envoy, port },
    lastReason: () => {
      const lines = readFileSync(join(folder, 'audit', 'decisions.jsonl'), 'utf8')
        .trimEnd()
        .split('\n')
      return JSON.parse(lines.at(-1) as string).reason
    },
    metric: async (name) => {
      const { body } = await agent.probe('/metrics')
      const line = body.split('\n').find((each) => each.startsWith(name))
      return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')))
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
