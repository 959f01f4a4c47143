import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { goTool } from './go-tools.ts'
import { freePorts } from './ports.ts'
import { type RunningProcess, startProcess } from './process.ts'
import { run } from './run.ts'
import { temporaryFolder } from './temp.ts'

export interface SpireEntry {
  /** Ours to choose. */
  readonly entryId: string
  readonly spiffeId: string
  readonly x509TtlSeconds?: number
  readonly hint?: string
  /** Trust domain IDs. */
  readonly federatesWith?: readonly string[]
}

/** A real SPIRE server and agent, to whose socket whoever runs with our user ID is what is registered. */
export interface Spire extends AsyncDisposable {
  readonly trustDomain: string
  /** Of the Workload API, `unix:///path`. */
  readonly socket: string
  readonly socketPath: string
  register(entry: SpireEntry): Promise<void>
  unregister(entryId: string): Promise<void>
  /** `spire-server`, any of its verbs. What it prints. */
  server(...args: readonly string[]): Promise<string>
  /** Ends the agent as a crash does. */
  killAgent(): Promise<void>
  startAgent(): Promise<void>
  /** Which certificates server and agent show each other at the moment. */
  ownSerials(): Promise<{ readonly server: string; readonly agent: string }>
  /** A file in its folder. */
  write(name: string, text: string): string
  logs(): string
}

export async function startSpire(trustDomain = 'example.org'): Promise<Spire> {
  await using opening = new AsyncDisposableStack()
  const folder = opening.use(temporaryFolder())
  const [serverProgram, agentProgram] = [await goTool('spire-server'), await goTool('spire-agent')]
  const [port] = (await freePorts(1)) as [number]
  const serverSocket = join(folder.path, 'server.sock')
  const socketPath = join(folder.path, 'agent.sock')
  const write = (name: string, text: string) => {
    writeFileSync(join(folder.path, name), text)
    return join(folder.path, name)
  }
  const serverConfig = write('server.conf', serverText(folder.path, { port, trustDomain, serverSocket }))
  const agentConfig = write('agent.conf', agentText(folder.path, { port, trustDomain, socketPath }))

  const serverProcess = opening.use(
    await startProcess({
      name: 'the SPIRE server',
      program: serverProgram,
      args: ['run', '-config', serverConfig],
      isReady: () => isHealthy(serverProgram, serverSocket),
    }),
  )
  const server = async (...args: readonly string[]) => {
    // Its flags follow the words of the verb.
    const words = args.findIndex((each) => each.startsWith('-'))
    const at = words === -1 ? args.length : words
    const all = [...args.slice(0, at), '-socketPath', serverSocket, ...args.slice(at)]
    return (await run(serverProgram, all)).toString()
  }

  const token = /Token: (\S+)/.exec(await server('token', 'generate'))?.[1]
  if (token === undefined) throw new Error('the SPIRE server gave no token')
  const parent = `spiffe://${trustDomain}/spire/agent/join_token/${token}`
  const startAgentProcess = () =>
    startProcess({
      name: 'the SPIRE agent',
      program: agentProgram,
      args: ['run', '-config', agentConfig, '-joinToken', token],
      isReady: () => isHealthy(agentProgram, socketPath),
    })
  let agent: RunningProcess | undefined = await startAgentProcess()
  opening.defer(() => agent?.[Symbol.asyncDispose]())

  const owned = opening.move()
  return {
    ...{ trustDomain, socketPath, socket: `unix://${socketPath}`, server, write },
    register: async ({ entryId, spiffeId, x509TtlSeconds, hint, federatesWith = [] }) => {
      await server(
        ...['entry', 'create', '-entryID', entryId, '-parentID', parent, '-spiffeID', spiffeId],
        ...['-selector', `unix:uid:${process.getuid?.()}`],
        ...(x509TtlSeconds === undefined ? [] : ['-x509SVIDTTL', `${x509TtlSeconds}`]),
        ...(hint === undefined ? [] : ['-hint', hint]),
        ...federatesWith.flatMap((each) => ['-federatesWith', each]),
      )
    },
    unregister: async (entryId) => {
      await server('entry', 'delete', '-entryID', entryId)
    },
    ownSerials: async () => {
      const { agents } = JSON.parse(await server('agent', 'list', '-output', 'json'))
      return { server: await serialAt(port), agent: agents[0].x509svid_serial_number }
    },
    killAgent: async () => {
      agent?.kill('SIGKILL')
      await agent?.ended
      agent = undefined
    },
    startAgent: async () => {
      agent = await startAgentProcess()
    },
    logs: () => `${serverProcess.logs()}\n${agent?.logs() ?? ''}`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** `spire-agent api …`, a client of the Workload API in Go, against any Unix socket. What it prints. */
export async function spireAgentApi(socketPath: string, ...args: readonly string[]): Promise<string> {
  const words = args.findIndex((each) => each.startsWith('-'))
  const at = words === -1 ? args.length : words
  const all = ['api', ...args.slice(0, at), '-socketPath', socketPath, ...args.slice(at)]
  return (await run(await goTool('spire-agent'), all)).toString()
}

async function isHealthy(program: string, socketPath: string): Promise<boolean> {
  await run(program, ['healthcheck', '-socketPath', socketPath])
  return true
}

/** Of the certificate that a TLS server on this machine shows. */
function serialAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] }
    const socket = connect(options, () => {
      resolve(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

interface Names {
  readonly port: number
  readonly trustDomain: string
}

function serverText(folder: string, names: Names & { readonly serverSocket: string }): string {
  return `
server {
  bind_address = "127.0.0.1"
  bind_port = ${names.port}
  socket_path = "${names.serverSocket}"
  trust_domain = "${names.trustDomain}"
  data_dir = "${folder}/server"
  log_level = "INFO"
  ca_ttl = "1h"
  default_x509_svid_ttl = "10m"
  experimental {
    cache_reload_interval = "500ms"
  }
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "sqlite3"
      connection_string = "${folder}/entries.sqlite3"
    }
  }
  NodeAttestor "join_token" {
    plugin_data {}
  }
  KeyManager "memory" {
    plugin_data {}
  }
}
`
}

function agentText(folder: string, names: Names & { readonly socketPath: string }): string {
  return `
agent {
  server_address = "127.0.0.1"
  server_port = ${names.port}
  socket_path = "${names.socketPath}"
  trust_domain = "${names.trustDomain}"
  data_dir = "${folder}/agent"
  log_level = "INFO"
  insecure_bootstrap = true
  experimental {
    sync_interval = "500ms"
  }
}
plugins {
  NodeAttestor "join_token" {
    plugin_data {}
  }
  KeyManager "disk" {
    plugin_data {
      directory = "${folder}/agent"
    }
  }
  WorkloadAttestor "unix" {
    plugin_data {}
  }
}
`
}
