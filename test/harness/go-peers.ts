import { connect } from 'node:net'
import { splitHostPort } from '#base/address.ts'
import { goTool } from './go-tools.ts'
import { type RunningProcess, startProcess } from './process.ts'

/**
 * A grpc-go server with fixed answers on `unix:/path` or `host:port`: ext_authz allows, ext_proc changes nothing, health
 * is good. What Go reads from its environment (`GOMAXPROCS`, `GOGC`) goes into `env`.
 */
export async function startGoServer(
  listen: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProcess> {
  return startProcess({
    name: 'the grpc-go server',
    program: await goTool('grpc'),
    args: ['serve', '-listen', listen],
    env,
    isReady: () => answers(listen),
  })
}

function answers(listen: string): Promise<boolean> {
  return new Promise((resolve) => {
    const target = listen.startsWith('unix:') ? { path: listen.slice('unix:'.length) } : splitHostPort(listen)
    const socket = connect(target)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
