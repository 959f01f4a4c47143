import { writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { valkeyBinary } from './components.ts'
import { freePorts } from './ports.ts'
import { type RunningProcess, startProcess } from './process.ts'
import { eventually, temporaryFolder } from './temp.ts'

export interface Valkey extends RunningProcess {
  readonly port: number
  /** A client of the test's own, as the default user; closed with the server. */
  readonly client: Redis
}

/** A real Valkey server that keeps nothing on disk; at a free port if none is named. */
export async function startValkey(
  options: { readonly port?: number; readonly settings?: readonly string[]; readonly password?: string } = {},
): Promise<Valkey> {
  const port = options.port ?? ((await freePorts(1)) as [number])[0]
  const { settings = [], password } = options
  const process = await startProcess({
    name: 'Valkey',
    program: await valkeyBinary(),
    args: [
      ...['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      ...(password === undefined ? [] : ['--requirepass', password]),
      ...settings,
    ],
    isReady: async () => /^(\+PONG|-NOAUTH)/.test(await ask(port, 'PING\r\n')),
  })
  const client = clientOf(port, password)
  return {
    ...process,
    port,
    client,
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await process[Symbol.asyncDispose]()
    },
  }
}

export interface SentinelWorld extends AsyncDisposable {
  readonly primary: Valkey
  readonly replica: Valkey
  readonly sentinelPort: number
  /** The name of the primary. */
  readonly name: string
}

/** A primary, a replica of it, and a sentinel that promotes it once the primary is gone for half a second. */
export async function startSentinelWorld(): Promise<SentinelWorld> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(temporaryFolder())
  const primary = stack.use(await startValkey({ settings: ['--repl-diskless-sync-delay', '0'] }))
  const replica = stack.use(
    await startValkey({ settings: ['--replicaof', `127.0.0.1 ${primary.port}`, '--dir', folder.path] }),
  )
  const [sentinelPort] = (await freePorts(1)) as [number]
  const file = join(folder.path, 'sentinel.conf')
  const name = 'quotas'
  const lines = [
    `port ${sentinelPort}`,
    'bind 127.0.0.1',
    `sentinel monitor ${name} 127.0.0.1 ${primary.port} 1`,
    `sentinel down-after-milliseconds ${name} 500`,
    `sentinel failover-timeout ${name} 5000`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  stack.use(
    await startProcess({
      name: 'Valkey Sentinel',
      program: await valkeyBinary(),
      args: [file, '--sentinel'],
      isReady: async () => (await ask(sentinelPort, 'PING\r\n')).startsWith('+PONG'),
    }),
  )
  const sentinel = clientOf(sentinelPort)
  stack.defer(() => sentinel.disconnect())
  await eventually('the sentinel knows the replica', async () => {
    const replicas = await sentinel.call('SENTINEL', 'REPLICAS', name)
    return /flags,slave,/.test(String(replicas)) && /master-link-status,ok/.test(String(replicas))
  })
  const owned = stack.move()
  return { primary, replica, sentinelPort, name, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export interface ClusterWorld extends AsyncDisposable {
  readonly nodes: readonly Valkey[]
}

const slotCount = 16_384

/** A cluster of primaries without replicas, that have all slots among them. */
export async function startCluster(size = 3): Promise<ClusterWorld> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(temporaryFolder())
  const busPorts = await freePorts(size)
  const nodes: Valkey[] = []
  for (const [index, busPort] of busPorts.entries()) {
    const settings = [
      ...['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--dir', folder.path],
      ...['--cluster-config-file', `nodes-${index}.conf`, '--cluster-node-timeout', '30000'],
      ...['--cluster-require-full-coverage', 'no'],
    ]
    nodes.push(stack.use(await startValkey({ settings })))
  }
  for (const [index, { client }] of nodes.entries()) {
    const [first, last] = [index, index + 1].map((each) => Math.floor((each * slotCount) / size)) as [
      number,
      number,
    ]
    await client.cluster('ADDSLOTSRANGE', first, last - 1)
    if (index > 0)
      await client.call('CLUSTER', ['MEET', '127.0.0.1', nodes[0]?.port, busPorts[0]].map(String))
  }
  await eventually('every node knows all slots', async () => {
    const infos = await Promise.all(nodes.map(({ client }) => client.cluster('INFO')))
    return infos.every(
      (info) => info.includes('cluster_state:ok') && info.includes(`cluster_slots_ok:${slotCount}`),
    )
  })
  const owned = stack.move()
  return { nodes, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function clientOf(port: number, password?: string): Redis {
  const client = new Redis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    ...(password !== undefined && { password }),
  })
  // A server that a test kills; who asks is told.
  client.on('error', () => {})
  return client
}

function ask(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write(text))
    socket.once('data', (chunk) => {
      socket.destroy()
      resolve(chunk.toString())
    })
    socket.once('error', reject)
  })
}
