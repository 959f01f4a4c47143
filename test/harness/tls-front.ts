import { once } from 'node:events'
import { type AddressInfo, createConnection, type Socket } from 'node:net'
import { createServer, type TlsOptions } from 'node:tls'

/** A TLS server that passes everything on to a port of this machine: for servers that were built without TLS. */
export async function startTlsFront(
  toPort: number,
  options: TlsOptions,
): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer(options, (socket) => {
    const inner = createConnection({ host: '127.0.0.1', port: toPort })
    for (const [each, other] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      sockets.add(each)
      each.on('error', () => {})
      each.once('close', () => {
        sockets.delete(each)
        other.destroy()
      })
    }
    socket.pipe(inner).pipe(socket)
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    },
  }
}
