import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a server on this machine that can be made bad. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** Where new connections lead. */
  target: number
  /** How much later everything arrives, in each direction. */
  delayMs: number
  /** Ends every connection. */
  cut(): void
  /** While it is parted nothing gets through, and nobody is told. */
  isParted: boolean
}

export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  const waiting: { readonly to: Socket; readonly chunk: Buffer }[] = []
  let isParted = false
  const pass = (to: Socket, chunk: Buffer) => {
    if (isParted) waiting.push({ to, chunk })
    else if (!to.destroyed) to.write(chunk)
  }
  const join = (from: Socket, to: Socket) => {
    sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk) => {
      // One timer each: what is later by the same time stays in order.
      if (proxy.delayMs > 0) setTimeout(pass, proxy.delayMs, to, chunk)
      else pass(to, chunk)
    })
    // The other end goes too; what was wrong with this one does not matter.
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
  }
  const server = createServer((client) => {
    const upstream = connect(proxy.target, '127.0.0.1')
    join(client, upstream)
    join(upstream, client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: TcpProxy = {
    port: (server.address() as AddressInfo).port,
    target,
    delayMs: 0,
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    get isParted() {
      return isParted
    },
    set isParted(value: boolean) {
      isParted = value
      if (!value) for (const { to, chunk } of waiting.splice(0)) if (!to.destroyed) to.write(chunk)
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}
