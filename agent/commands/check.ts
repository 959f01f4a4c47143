import { statSync } from 'node:fs'
import { Command } from 'commander'
import { splitHostPort } from '#base/address.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { httpGet } from '#base/http-get.ts'
import { type Config, loadConfig, missingFiles } from '#config/config.ts'
import { envoyFindings } from './check-envoy.ts'
import { orFail } from './fail.ts'
import { type Listener, listenerAt } from './listener.ts'
import { type Finding, policyFindings } from './policy-check.ts'
import { socketFolderFault } from './socket-folder.ts'

interface CheckOptions {
  readonly config?: string
  readonly envoyConfig?: string
  readonly envoy?: string
  readonly json?: true
}

/** What the agent's own probes answer at most. */
const maxAnswerBytes = 16 << 20

const good = (text: string): Finding => ({ isGood: true, text })
const bad = (text: string): Finding => ({ isGood: false, text })

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'Look for what is missing or would fail open: configuration, policy, resources, sockets, Envoy settings.',
    )
    .option('-c, --config <file>', 'the configuration, sluice.yaml; without it only Envoy is looked at')
    .option('--envoy <address>', "a running Envoy's admin address: host:port or unix:/path")
    .option('--envoy-config <file>', 'an Envoy bootstrap, or a saved dump, of your own to read as well')
    .option('--json', 'print JSON')
    .action(
      orFail(async (options: CheckOptions) => {
        const { config: path, json: isJson = false } = options
        checkOptions(options)
        const config = path === undefined ? undefined : loadConfig(path)
        const findings: Finding[] = [
          ...(config === undefined ? [] : await ownFindings(config, `${path}`)),
          ...(await envoyFindings(config, options)),
        ]
        const toMend = findings.filter((finding) => !finding.isGood).length
        process.stdout.write(
          isJson ? `${JSON.stringify({ toMend, findings }, null, 2)}\n` : textOf(findings, toMend),
        )
        if (toMend > 0) process.exitCode = 1
      }),
    )
}

/** @throws SluiceError where there is nothing to look at, or no address to look at it. */
function checkOptions({ config, envoy, envoyConfig }: CheckOptions): void {
  if (config === undefined && envoy === undefined && envoyConfig === undefined)
    throw new SluiceError({
      code: 'option_invalid',
      place: 'sluice check',
      found: 'nothing to look at',
      expected: '--config, --envoy or --envoy-config',
    })
  if (envoy !== undefined && !/^(unix:\/.+|([^\s:/[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5})$/.test(envoy))
    throw new SluiceError({
      code: 'option_invalid',
      place: '--envoy',
      found: envoy,
      expected: 'host:port or unix:/path',
    })
}

async function ownFindings(config: Config, path: string): Promise<Finding[]> {
  return [
    good(`${path}: valid`),
    ...missingFiles(config).map(({ place, found, expected }) =>
      bad(`${place}: ${found}; expected ${expected}`),
    ),
    ...(await policyFindings(config)),
    ...socketFindings(config),
    ...(await agentFindings(config)),
  ]
}

function textOf(findings: readonly Finding[], toMend: number): string {
  const lines = findings.map(({ isGood, text }) => `${isGood ? 'ok  ' : 'BAD '} ${text}\n`)
  return `${lines.join('')}${toMend === 0 ? 'Nothing to mend.' : `${toMend} to mend.`}\n`
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

function connectionOptions(address: string): { path: string } | { host: string; port: number } {
  return address.startsWith('unix:') ? { path: address.slice('unix:'.length) } : splitHostPort(address)
}

async function get(
  address: string,
  path: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const { status, body } = await httpGet({ address, path, deadlineMs: 2000, maxBytes: maxAnswerBytes })
  return { status, body: body.toString() }
}
