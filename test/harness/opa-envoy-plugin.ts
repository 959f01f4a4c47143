import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { goTool } from './go-tools.ts'
import { http } from './http.ts'
import { freePorts } from './ports.ts'
import { type RunningProcess, startProcess } from './process.ts'

/**
 * The real OPA Envoy plugin with policy and data files, answering ext_authz on `port`; it asks `envoy/authz/allow`.
 * `settings` are more of its own, such as `dry-run=true`.
 */
export async function startOpaEnvoyPlugin(
  folder: string,
  files: Readonly<Record<string, string>>,
  settings: readonly string[] = [],
): Promise<RunningProcess & { readonly port: number }> {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const [port, api] = (await freePorts(2)) as [number, number]
  const running = await startProcess({
    name: 'opa-envoy-plugin',
    program: await goTool('opa-envoy-plugin'),
    args: [
      ...['run', '--server', '--addr', `127.0.0.1:${api}`, '--log-level', 'error', '--disable-telemetry'],
      ...['--set', `plugins.envoy_ext_authz_grpc.addr=127.0.0.1:${port}`],
      ...['--set', 'plugins.envoy_ext_authz_grpc.path=envoy/authz/allow'],
      ...settings.flatMap((each) => ['--set', `plugins.envoy_ext_authz_grpc.${each}`]),
      folder,
    ],
    isReady: async () => (await http({ port: api, path: '/health?plugins' })).status === 200,
  })
  return { ...running, port }
}
