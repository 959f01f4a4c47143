import { createConnection, type NetConnectOpts } from 'node:net'

/** What answers on an address. */
export type Listener = 'http/2' | 'http/1.1' | 'tls' | 'silence' | 'unknown' | 'nobody'

const timeoutMs = 2000
const settingsFrame = 4
/** Connection preface and an empty SETTINGS frame (RFC 9113, §3.4). */
const greeting = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  Buffer.from([0, 0, 0, settingsFrame, 0, 0, 0, 0, 0]),
])

/** Greets whoever listens there as an HTTP/2 client does, and tells by the first octets of the answer what it speaks. */
export function listenerAt(address: NetConnectOpts): Promise<Listener> {
  return new Promise((resolve) => {
    const socket = createConnection(address)
    let seen = Buffer.alloc(0)
    let isConnected = false
    const done = (listener: Listener) => {
      socket.destroy()
      resolve(listener)
    }
    socket.setTimeout(timeoutMs, () => done(isConnected ? 'silence' : 'nobody'))
    socket.once('connect', () => {
      isConnected = true
      socket.write(greeting)
    })
    socket.on('data', (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk])
      const [first] = seen
      // A TLS record: an alert about our greeting, mostly.
      if (first === 0x15 || first === 0x16) return done('tls')
      if (seen.length < 9) return
      if (seen.toString('latin1', 0, 5) === 'HTTP/') done('http/1.1')
      else done(seen[3] === settingsFrame ? 'http/2' : 'unknown')
    })
    socket.once('end', () => done('unknown'))
    socket.once('error', () => done(isConnected ? 'unknown' : 'nobody'))
  })
}
