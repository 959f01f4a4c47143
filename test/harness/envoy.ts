import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { envoyBinary } from './components.ts'
import { http } from './http.ts'
import { type RunningProcess, startProcess } from './process.ts'
import { run } from './run.ts'
import { temporaryFolder } from './temp.ts'

export interface Envoy extends RunningProcess {
  /** Of the admin interface, as `unix:/path`. */
  readonly adminAddress: string
  /** GET on the admin interface. */
  admin(path: string): Promise<string>
  /** Counters and gauges by name. */
  stats(): Promise<Map<string, number>>
}

/**
 * Runs the real Envoy on a bootstrap of which the admin address is replaced by a private Unix socket.
 * One worker thread, so that figures and orders are those of one connection pool.
 */
export async function startEnvoy(
  config: object,
  options: {
    /** False for one that is expected to stay unready. */
    readonly untilReady?: boolean
  } = {},
): Promise<Envoy> {
  const folder = temporaryFolder()
  const socketPath = join(folder.path, 'admin.sock')
  const path = join(folder.path, 'envoy.json')
  writeFileSync(path, JSON.stringify({ ...config, admin: { address: { pipe: { path: socketPath } } } }))
  const admin = async (target: string) => (await http({ socketPath, path: target })).body
  try {
    const process = await startProcess({
      name: 'Envoy',
      program: await envoyBinary(),
      // Without hot restart several Envoys may run side by side without agreeing on a base id.
      args: [
        '-c',
        path,
        '--disable-hot-restart',
        '--concurrency',
        '1',
        '--log-level',
        'warning',
        '--drain-time-s',
        '1',
      ],
      isReady: async () => {
        const said = await admin('/ready')
        return options.untilReady === false || said.startsWith('LIVE')
      },
    })
    return {
      ...process,
      adminAddress: `unix:${socketPath}`,
      admin,
      stats: async () => {
        const lines = (await admin('/stats')).split('\n')
        return new Map(
          lines.map((line) => line.split(': ')).map(([name = '', value]) => [name, Number(value)]),
        )
      },
      [Symbol.asyncDispose]: async () => {
        await process[Symbol.asyncDispose]()
        folder[Symbol.dispose]()
      },
    }
  } catch (cause) {
    folder[Symbol.dispose]()
    throw cause
  }
}

/** Resolves when `envoy --mode validate` accepts the bootstrap; rejects with Envoy's words. */
export async function validateEnvoyConfig(config: object): Promise<void> {
  using folder = temporaryFolder()
  const path = join(folder.path, 'envoy.json')
  writeFileSync(path, JSON.stringify(config))
  await run(await envoyBinary(), ['--mode', 'validate', '-c', path, '--log-level', 'error'])
}
