import { statSync } from 'node:fs'
import type { RequestOptions } from 'node:http'
import { createConnection } from 'node:net'
import { Command } from 'commander'
import { splitHostPort } from '#base/address.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { request } from '#base/http.ts'
import { type Config, loadConfig, missingFiles } from '#config/config.ts'
import { auditEnvoyConfig } from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { readEnvoyFile } from './envoy.ts'
import { orFail } from './fail.ts'

interface CheckOptions {
  readonly config: string
  readonly envoyConfig?: string
  readonly envoyAdmin?: string
}

/** One line of the report. */
interface Finding {
  readonly isGood: boolean
  readonly text: string
}

export function checkCommand(): Command {
  return new Command('check')
    .description('Look for what is missing or would fail open: configuration, sockets, Envoy settings.')
    .requiredOption('-c, --config <file>', 'the configuration, sluice.yaml')
    .option('--envoy-config <file>', 'an Envoy bootstrap of your own to read as well')
    .option('--envoy-admin <address>', "a running Envoy's admin address: host:port or unix:/path")
    .action(
      orFail(async (options: CheckOptions) => {
        const config = loadConfig(options.config)
        const findings: Finding[] = [
          { isGood: true, text: `${options.config}: valid` },
          ...missingFiles(config).map(({ place, found, expected }) => ({
            isGood: false,
            text: `${place}: ${found}; expected ${expected}`,
          })),
          ...socketFindings(config),
          ...(await agentFindings(config)),
          ...(await envoyFindings(config, options)),
        ]
        for (const finding of findings) {
          process.stdout.write(`${finding.isGood ? 'ok  ' : 'BAD '} ${finding.text}\n`)
        }
        const bad = findings.filter((finding) => !finding.isGood).length
        process.stdout.write(bad === 0 ? 'Nothing to mend.\n' : `${bad} to mend.\n`)
        if (bad > 0) process.exitCode = 1
      }),
    )
}

/** Whether others than the agent's own user and group could reach its socket. */
function socketFindings(config: Config): Finding[] {
  if (!config.listen.agent.startsWith('unix:')) {
    return [
      {
        isGood: true,
        text: `listen.agent ${config.listen.agent}: loopback TCP; a Unix socket is cheaper and private`,
      },
    ]
  }
  const path = config.listen.agent.slice('unix:'.length)
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return []
  if (!stats.isSocket()) return [{ isGood: false, text: `listen.agent ${path}: is not a socket; remove it` }]
  return (stats.mode & 0o007) === 0
    ? [{ isGood: true, text: `listen.agent ${path}: private to its user and group` }]
    : [{ isGood: false, text: `listen.agent ${path}: open to every user; expected mode 0660` }]
}

/** Whether an agent answers there. Not running is not a fault: the check is also made before the first start. */
async function agentFindings(config: Config): Promise<Finding[]> {
  if (!(await canConnect(config.listen.agent))) {
    return [
      {
        isGood: true,
        text: `listen.agent ${config.listen.agent}: nobody listens (the agent is not running)`,
      },
    ]
  }
  try {
    const { status, body } = await get(config.listen.probes, '/readyz?verbose')
    return [
      {
        isGood: status === 200,
        text: `agent: ${status === 200 ? 'ready' : body.trim().replaceAll('\n', ', ')}`,
      },
    ]
  } catch (cause) {
    return [
      {
        isGood: false,
        text: `listen.probes ${config.listen.probes}: ${messageOf(cause)}; the agent's socket is open but its probes do not answer`,
      },
    ]
  }
}

async function envoyFindings(config: Config, options: CheckOptions): Promise<Finding[]> {
  const sources: { readonly name: string; readonly dump: unknown }[] = []
  if (options.envoyConfig !== undefined) {
    sources.push({ name: options.envoyConfig, dump: readEnvoyFile(options.envoyConfig) })
  }
  if (options.envoyAdmin !== undefined) {
    sources.push({ name: `Envoy at ${options.envoyAdmin}`, dump: await configDump(options.envoyAdmin) })
  }
  if (sources.length === 0 && config.envoy !== undefined) {
    sources.push({ name: 'generated Envoy configuration', dump: envoyConfig(config) })
  }
  return sources.flatMap(({ name, dump }): Finding[] => {
    const found = auditEnvoyConfig(dump)
    if (found.length === 0) return [{ isGood: true, text: `${name}: nothing that fails open` }]
    return found.map(({ place, setting, why, fix }) => ({
      isGood: false,
      text: `${name}: ${place}: ${setting}: ${why} Fix: ${fix}`,
    }))
  })
}

async function configDump(admin: string): Promise<unknown> {
  try {
    const { status, body } = await get(admin, '/config_dump')
    if (status !== 200) throw new Error(`answered ${status}`)
    return JSON.parse(body)
  } catch (cause) {
    throw new SluiceError({
      code: 'envoy_admin_unreachable',
      place: `--envoy-admin ${admin}`,
      found: messageOf(cause),
      expected: "an Envoy's admin interface",
      cause,
    })
  }
}

function connectionOptions(address: string): { path: string } | { host: string; port: number } {
  return address.startsWith('unix:') ? { path: address.slice('unix:'.length) } : splitHostPort(address)
}

function canConnect(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(connectionOptions(address))
    const done = (isOpen: boolean) => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.setTimeout(2000, () => done(false))
    socket.once('connect', () => done(true))
    socket.once('error', () => done(false))
  })
}

function get(address: string, path: string): Promise<{ readonly status: number; readonly body: string }> {
  const where = connectionOptions(address)
  const options: RequestOptions =
    'path' in where ? { socketPath: where.path, path, timeout: 2000 } : { ...where, path, timeout: 2000 }
  return new Promise((resolve, reject) => {
    const call = request(options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      )
      response.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new Error('no answer within 2 s')))
    call.on('error', reject)
    call.end()
  })
}
