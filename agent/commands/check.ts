import { statSync } from 'node:fs'
import type { RequestOptions } from 'node:http'
import { Command } from 'commander'
import { splitHostPort } from '#base/address.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { request } from '#base/http.ts'
import { type Config, loadConfig, missingFiles } from '#config/config.ts'
import { auditEnvoyConfig } from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { readEnvoyFile } from './envoy.ts'
import { orFail } from './fail.ts'
import { type Listener, listenerAt } from './listener.ts'
import { type Finding, policyFindings } from './policy-check.ts'
import { socketFolderFault } from './socket-folder.ts'

interface CheckOptions {
  readonly config: string
  readonly envoyConfig?: string
  readonly envoyAdmin?: string
}

const good = (text: string): Finding => ({ isGood: true, text })
const bad = (text: string): Finding => ({ isGood: false, text })

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'Look for what is missing or would fail open: configuration, policy, resources, sockets, Envoy settings.',
    )
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
          ...(await policyFindings(config)),
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
  const fault = socketFolderFault(path)
  if (fault !== undefined) return [{ isGood: false, text: `listen.agent ${path}: ${fault}` }]
  return (stats.mode & 0o007) === 0
    ? [{ isGood: true, text: `listen.agent ${path}: private to its user and group` }]
    : [{ isGood: false, text: `listen.agent ${path}: open to every user; expected mode 0660` }]
}

const kinds: Readonly<Record<Exclude<Listener, 'http/2' | 'nobody'>, string>> = {
  'http/1.1': 'speaks HTTP/1.1',
  tls: 'speaks TLS',
  silence: 'answers nothing',
  unknown: 'speaks no HTTP/2',
}

/** Whether an agent answers there. Not running is not a fault: the check is also made before the first start. */
async function agentFindings(config: Config): Promise<Finding[]> {
  const place = `listen.agent ${config.listen.agent}`
  const listener = await listenerAt(connectionOptions(config.listen.agent))
  if (listener === 'nobody') return [good(`${place}: nobody listens (the agent is not running)`)]
  if (listener !== 'http/2')
    return [bad(`${place}: ${kinds[listener]}; expected the agent, gRPC without TLS`)]
  try {
    const { status, body } = await get(config.listen.probes, '/readyz?verbose')
    const readiness =
      status === 200 ? good('agent: ready') : bad(`agent: ${body.trim().replaceAll('\n', ', ')}`)
    const metrics = await get(config.listen.probes, '/metrics')
    return [readiness, ...wrongPeerFindings(metrics.body)]
  } catch (cause) {
    return [
      bad(
        `listen.probes ${config.listen.probes}: ${messageOf(cause)}; the agent's socket is open but its probes do not answer`,
      ),
    ]
  }
}

/** What each kind of wrong peer has to change. */
const mends: ReadonlyMap<string, string> = new Map([
  ['http/1.1', "spoke HTTP/1.1: give Envoy's cluster for the agent http2_protocol_options"],
  ['tls', "spoke TLS: remove transport_socket from Envoy's cluster for the agent"],
  ['unknown', 'spoke no HTTP/2: find out what connects there'],
])

/** Peers that came with another protocol, as the running agent has counted them. */
function wrongPeerFindings(metrics: string): Finding[] {
  const lines = metrics.matchAll(/^sluice_grpc_wrong_peers_total\{protocol="([^"]+)"\} (\d+)$/gm)
  return [...lines].map(([, protocol = '', count]) =>
    bad(
      `agent: ${count === '1' ? 'a connection' : `${count} connections`} ${mends.get(protocol) ?? protocol}`,
    ),
  )
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
    const { response } = config.policy ?? {}
    const judged = response === undefined ? 'none' : response.body === 'none' ? 'headers' : 'body'
    const found = auditEnvoyConfig(dump, judged, {
      hasTrustedForwarders: (config.identity?.trustedForwarders.length ?? 0) > 0,
    })
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
