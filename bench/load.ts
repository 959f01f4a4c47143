import { createConnection } from 'node:net'
import { connect } from 'node:tls'
import type { Identity } from '../test/harness/http.ts'

/** What is asked of a listener, and by whom. */
export interface Questions {
  /** The bytes of the n-th request (HTTP/1.1, keep-alive), for the connection they go over. */
  request(index: number, connection: number): string | Uint8Array
  /** mTLS: who signed the server's certificate, and whom each connection is. */
  readonly tls?: { readonly ca: string; identity(connection: number): Identity }
}

export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers by status: `200`, or `200 grpc 7` where the answer has a gRPC status that is not OK. */
  readonly statuses: ReadonlyMap<string, number>
  /** CPU that the load itself used, percent of a core. Near 100 the load was the bottleneck, not what it asked. */
  readonly loadPercent: number
}

/**
 * A closed loop over HTTP/1.1: each connection sends one request, waits for the whole answer, sends the next. The clock
 * starts when every connection is there. Answers must carry `content-length`.
 */
export async function load(
  questions: Questions,
  options: { readonly port: number; readonly connections: number; readonly seconds: number },
): Promise<LoadResult> {
  const latenciesMs: number[] = []
  const statuses = new Map<string, number>()
  const connections = await Promise.all(
    Array.from({ length: options.connections }, (_, index) => open(questions, options.port, index)),
  )
  let index = 0
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const end = began + options.seconds * 1000

  const loop = (connection: Connection, number: number): Promise<void> =>
    new Promise((resolve, reject) => {
      let sentAt = 0
      const next = () => {
        sentAt = performance.now()
        if (sentAt >= end) {
          connection.close()
          return resolve()
        }
        connection.ask(questions.request(index++, number))
      }
      connection.onFailure = reject
      connection.onAnswer = (status) => {
        latenciesMs.push(performance.now() - sentAt)
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        next()
      }
      next()
    })

  try {
    await Promise.all(connections.map(loop))
  } finally {
    for (const connection of connections) connection.close()
  }
  const seconds = (performance.now() - began) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  latenciesMs.sort((a, b) => a - b)
  const at = (quantile: number) => latenciesMs[Math.floor((latenciesMs.length - 1) * quantile)] ?? Number.NaN
  return {
    requests: latenciesMs.length,
    seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    statuses,
    loadPercent: (cpu.user + cpu.system) / seconds / 1e4,
  }
}

/** Sends one request over a connection of its own and gives the status, as `LoadResult` counts them. */
export async function askOnce(
  questions: Pick<Questions, 'tls'>,
  port: number,
  request: string | Uint8Array,
): Promise<string> {
  const connection = await open(questions, port, 0)
  try {
    return await new Promise((resolve, reject) => {
      connection.onAnswer = resolve
      connection.onFailure = reject
      connection.ask(request)
    })
  } finally {
    connection.close()
  }
}

interface Connection {
  ask(request: string | Uint8Array): void
  close(): void
  onAnswer: (status: string) => void
  onFailure: (cause: Error) => void
}

function open({ tls }: Pick<Questions, 'tls'>, port: number, index: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port }
    const identity = tls?.identity(index)
    const socket =
      tls === undefined || identity === undefined
        ? createConnection({ ...to, noDelay: true })
        : connect({
            ...to,
            ca: tls.ca,
            cert: identity.certificatePem,
            key: identity.privateKeyPem,
            ALPNProtocols: ['http/1.1'],
            // An SVID names a workload, not a host.
            checkServerIdentity: () => undefined,
          })
    socket.setNoDelay(true)
    let received = ''
    const connection: Connection = {
      ask: (request) => {
        // A connection may have ended while the others were being opened.
        if (socket.destroyed) return connection.onFailure(new Error('the server closed a connection'))
        received = ''
        socket.write(request)
      },
      close: () => socket.destroy(),
      onAnswer: () => {},
      onFailure: reject,
    }
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => resolve(connection))
    socket.once('error', (cause) => connection.onFailure(cause))
    socket.once('end', () => connection.onFailure(new Error('the server closed a connection')))
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const headEnd = received.indexOf('\r\n\r\n')
      if (headEnd === -1) return
      const head = received.slice(0, headEnd + 2)
      const length = /\r\ncontent-length: (\d+)/i.exec(head)
      if (length === null) return connection.onFailure(new Error(`no content-length: ${head}`))
      if (received.length < headEnd + 4 + Number(length[1])) return
      const grpc = /\r\ngrpc-status: ([1-9]\d*)/i.exec(head)
      const status = head.slice(9, 12)
      connection.onAnswer(grpc === null ? status : `${status} grpc ${grpc[1]}`)
    })
  })
}
