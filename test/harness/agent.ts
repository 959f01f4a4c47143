import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { http } from './http.ts'
import { freePorts } from './ports.ts'
import { startProcess } from './process.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')

export interface AgentProcess extends AsyncDisposable {
  readonly pid: number
  readonly configPath: string
  logs(): string
  /** GET on the probe port. */
  probe(path: string): Promise<{ readonly status: number; readonly body: string }>
  kill(signal: NodeJS.Signals): void
  /** Waits for the end of a killed one and starts it anew on the same configuration. */
  restart(): Promise<void>
}

/**
 * Writes `sluice.yaml` into `folder` and starts the agent in a process of its own, as a user would.
 * `listen.agent` is `agent.sock` in that folder unless the configuration says otherwise.
 */
export async function startAgent(options: {
  readonly folder: string
  readonly config: Readonly<Record<string, unknown>>
  /** False for an agent that is expected to stay unready. */
  readonly untilReady?: boolean
}): Promise<AgentProcess> {
  const [probesPort] = (await freePorts(1)) as [number]
  mkdirSync(options.folder, { recursive: true })
  const configPath = join(options.folder, 'sluice.yaml')
  const listen = { agent: `unix:${join(options.folder, 'agent.sock')}`, probes: `127.0.0.1:${probesPort}` }
  // JSON is YAML.
  const config = {
    ...patient(options.config),
    listen: { ...listen, ...(options.config['listen'] as object) },
  }
  writeFileSync(configPath, JSON.stringify(config, null, 2))
  const probe = (path: string) => http({ port: probesPort, path })
  const start = () =>
    startProcess({
      name: 'the agent',
      program: process.execPath,
      args: [main, 'agent', '--config', configPath],
      isReady: async () => {
        const { status } = await probe(options.untilReady === false ? '/livez' : '/readyz')
        return status === 200
      },
    })
  let running = await start()
  return {
    get pid() {
      return running.pid
    },
    configPath,
    logs: () => running.logs(),
    probe,
    kill: (signal) => running.kill(signal),
    restart: async () => {
      await running[Symbol.asyncDispose]()
      running = await start()
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** A busy machine must not refuse for time where a test asks something else. */
function patient(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { decision, envoy } = config
  return {
    ...config,
    decision: { deadlineMs: 8000, ...(decision as object) },
    ...(envoy !== undefined && { envoy: { messageTimeoutMs: 10_000, ...(envoy as object) } }),
  }
}
