import { createConnection } from 'node:net'
import { valkeyBinary } from './components.ts'
import { freePorts } from './ports.ts'
import { type RunningProcess, startProcess } from './process.ts'

/** A real Valkey server that keeps nothing on disk; at a free port if none is named. */
export async function startValkey(
  options: { readonly port?: number } = {},
): Promise<RunningProcess & { readonly port: number }> {
  const port = options.port ?? ((await freePorts(1)) as [number])[0]
  const process = await startProcess({
    name: 'Valkey',
    program: await valkeyBinary(),
    args: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    isReady: async () => (await ask(port, 'PING\r\n')) === '+PONG\r\n',
  })
  return { ...process, port }
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
