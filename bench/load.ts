import { createConnection } from 'node:net'

export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers by status. */
  readonly statuses: ReadonlyMap<number, number>
}

/**
 * A closed loop over plain HTTP/1.1: each connection sends one request, waits for the whole answer, sends the next.
 * Answers must carry `content-length`. `request(i)` gives the bytes of the i-th request.
 */
export async function load(options: {
  readonly port: number
  readonly connections: number
  readonly seconds: number
  readonly request: (index: number) => string
}): Promise<LoadResult> {
  const latenciesMs: number[] = []
  const statuses = new Map<number, number>()
  let index = 0
  const began = performance.now()
  const end = began + options.seconds * 1000

  const connection = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = createConnection({ host: '127.0.0.1', port: options.port, noDelay: true })
      let sentAt = 0
      let received = ''
      const send = () => {
        if (performance.now() >= end) {
          socket.end()
          return resolve()
        }
        received = ''
        sentAt = performance.now()
        socket.write(options.request(index++))
      }
      socket.once('connect', send)
      socket.once('error', reject)
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1')
        const headEnd = received.indexOf('\r\n\r\n')
        if (headEnd === -1) return
        const length = /\r\ncontent-length: (\d+)/i.exec(received.slice(0, headEnd + 2))
        if (length === null)
          return reject(new Error(`an answer without content-length: ${received.slice(0, headEnd)}`))
        if (received.length < headEnd + 4 + Number(length[1])) return
        latenciesMs.push(performance.now() - sentAt)
        const status = Number(received.slice(9, 12))
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        send()
      })
    })

  await Promise.all(Array.from({ length: options.connections }, connection))
  const seconds = (performance.now() - began) / 1000
  latenciesMs.sort((a, b) => a - b)
  const at = (quantile: number) => latenciesMs[Math.floor((latenciesMs.length - 1) * quantile)] ?? Number.NaN
  return { requests: latenciesMs.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99), statuses }
}
