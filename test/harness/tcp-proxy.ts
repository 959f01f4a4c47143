import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a server on this machine that can be made bad. What gets through stays in order, as over TCP. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** Where new connections lead. */
  target: number
  /** How much later everything arrives, in each direction. */
  delayMs: number
  /** While it is parted nothing gets through, and nobody is told. */
  isParted: boolean
  /** While it is mute, what is sent arrives, and nothing that is answered. */
  isMute: boolean
  /** Whether what was sent before its sender went away arrives all the same, as from the buffers of a network. */
  isLate: boolean
  /** Ends every connection. */
  cut(): void
}

export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  const lanes = new Set<Lane>()
  let isParted = false
  let isMute = false
  const pumpAll = () => {
    for (const lane of lanes) lane.pump()
  }
  const join = (from: Socket, to: Socket, direction: 'questions' | 'answers') => {
    const lane = new Lane(to, () => isParted || (isMute && direction === 'answers'))
    lanes.add(lane)
    sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk) => lane.send(chunk, proxy.delayMs))
    // The other end goes too; what was wrong with this one does not matter.
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      if (proxy.isLate && direction === 'questions')
        return lane.drain(() => {
          lanes.delete(lane)
          to.end()
        })
      lanes.delete(lane)
      lane.end()
      to.destroy()
    })
  }
  const server = createServer((client) => {
    const upstream = connect(proxy.target, '127.0.0.1')
    join(client, upstream, 'questions')
    join(upstream, client, 'answers')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: TcpProxy = {
    port: (server.address() as AddressInfo).port,
    target,
    delayMs: 0,
    isLate: false,
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    get isParted() {
      return isParted
    },
    set isParted(value: boolean) {
      isParted = value
      pumpAll()
    },
    get isMute() {
      return isMute
    },
    set isMute(value: boolean) {
      isMute = value
      pumpAll()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}

/** One direction of a connection. */
class Lane {
  readonly #to: Socket
  readonly #isShut: () => boolean
  readonly #waiting: { readonly chunk: Buffer; readonly dueMs: number }[] = []
  #timer: NodeJS.Timeout | undefined
  #onEmpty: (() => void) | undefined

  constructor(to: Socket, isShut: () => boolean) {
    this.#to = to
    this.#isShut = isShut
  }

  send(chunk: Buffer, delayMs: number): void {
    this.#waiting.push({ chunk, dueMs: performance.now() + delayMs })
    this.pump()
  }

  /** Sends what is due, but nothing before what came before it. */
  pump(): void {
    clearTimeout(this.#timer)
    while (!this.#isShut()) {
      const [next] = this.#waiting
      if (next === undefined) return this.#onEmpty?.()
      const leftMs = next.dueMs - performance.now()
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.pump(), leftMs)
        return
      }
      this.#waiting.shift()
      if (!this.#to.destroyed) this.#to.write(next.chunk)
    }
  }

  /** Nothing more comes; tells when what waits has been sent. */
  drain(onEmpty: () => void): void {
    this.#onEmpty = onEmpty
    this.pump()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#waiting.length = 0
  }
}
