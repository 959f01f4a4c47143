import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { goModuleFolder, goTool } from './go-tools.ts'
import { http } from './http.ts'
import { freePorts } from './ports.ts'
import { type RunningProcess, startProcess } from './process.ts'

export interface RatelimitPeer extends RunningProcess {
  /** Where it answers, as `unix:/path`. */
  readonly address: string
  /** Writes or, where the text is `undefined`, removes a file of its configuration. It is read again soon after. */
  configure(name: string, text: string | undefined): void
  /** What it counts, by the names of its statistics. */
  stats(): Promise<ReadonlyMap<string, number>>
}

/**
 * The real envoyproxy/ratelimit with its counters in a Valkey.
 *
 * @param options.files its configuration, by name
 * @param options.env more of its environment variables
 */
export async function startRatelimit(options: {
  readonly folder: string
  readonly files: Readonly<Record<string, string>>
  readonly valkeyPort: number
  readonly env?: Readonly<Record<string, string>>
}): Promise<RatelimitPeer> {
  const { folder, files, valkeyPort, env = {} } = options
  const config = join(folder, 'runtime', 'ratelimit', 'config')
  mkdirSync(config, { recursive: true })
  const configure = (name: string, text: string | undefined) => {
    if (text === undefined) rmSync(join(config, name), { force: true })
    else writeFileSync(join(config, name), text)
  }
  for (const [name, text] of Object.entries(files)) configure(name, text)
  const socket = join(folder, 'peer.sock')
  mkdirSync(dirname(socket), { recursive: true })
  const [port, debugPort] = (await freePorts(2)) as [number, number]
  const running = await startProcess({
    name: 'envoyproxy/ratelimit',
    program: await goTool('ratelimit'),
    args: [],
    env: {
      HOST: '127.0.0.1',
      PORT: `${port}`,
      DEBUG_HOST: '127.0.0.1',
      DEBUG_PORT: `${debugPort}`,
      GRPC_UDS: socket,
      USE_STATSD: 'false',
      REDIS_SOCKET_TYPE: 'tcp',
      REDIS_URL: `127.0.0.1:${valkeyPort}`,
      RUNTIME_ROOT: join(folder, 'runtime'),
      RUNTIME_SUBDIRECTORY: 'ratelimit',
      RUNTIME_WATCH_ROOT: 'false',
      ...env,
    },
    // Its ports and its socket come one by one.
    isReady: async () =>
      (await http({ port, path: '/healthcheck' })).status === 200 &&
      (await http({ port: debugPort, path: '/stats' })).status === 200 &&
      existsSync(socket),
  })
  return {
    ...running,
    address: `unix:${socket}`,
    configure,
    stats: async () => statsOf((await http({ port: debugPort, path: '/stats' })).body),
  }
}

function statsOf(text: string): ReadonlyMap<string, number> {
  const pairs = [...text.matchAll(/^(\S+): (\d+)$/gm)]
  return new Map(pairs.map(([, name = '', value = '']) => [name, Number(value)]))
}

/** Where its source lies, with the files of its own tests. */
export function ratelimitSource(): Promise<string> {
  return goModuleFolder('ratelimit', 'github.com/envoyproxy/ratelimit')
}
