import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { goTool } from './go-tools.ts'
import { http } from './http.ts'
import { freePorts } from './ports.ts'
import { type RunningProcess, startProcess } from './process.ts'

/** The real `opa run --server` with policy files and a configuration; answers its REST API on `port`. */
export async function startOpaServer(
  folder: string,
  files: Readonly<Record<string, string>>,
  config: Readonly<Record<string, unknown>>,
): Promise<RunningProcess & { readonly port: number }> {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const configPath = `${folder}.config.json`
  writeFileSync(configPath, JSON.stringify(config))
  const [port] = (await freePorts(1)) as [number]
  const running = await startProcess({
    name: 'opa',
    program: await goTool('opa'),
    args: [
      ...['run', '--server', '--addr', `127.0.0.1:${port}`, '--log-level', 'error', '--skip-version-check'],
      ...['--config-file', configPath, folder],
    ],
    isReady: async () => (await http({ port, path: '/health' })).status === 200,
  })
  return { ...running, port }
}
