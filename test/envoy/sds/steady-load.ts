import { type ClientHttp2Session, connect } from 'node:http2'
import type { Agent } from 'node:https'
import { http, type Identity, keepAliveAgent } from '../../harness/http.ts'
import { eventually } from '../../harness/temp.ts'

/** Who the clients are and whom they trust, at this moment. */
export interface Clients {
  readonly identity: Identity
  /** PEM. */
  readonly trust: string
}

/** Clients that ask one request after the other, each in its own way, until it is enough. */
export interface SteadyLoad extends AsyncDisposable {
  /** Resolves when every client has begun and ended at least `count` more requests. */
  served(count: number): Promise<void>
  readonly total: () => number
  readonly failures: readonly string[]
}

type Ask = () => Promise<number>

/**
 * Two clients with a new HTTP/1.1 connection for each request, one that keeps its connection, one with a new HTTP/2
 * connection for each four streams, and one that keeps its HTTP/2 connection.
 *
 * @param options.doRenew whether what is kept is opened anew with each other identity, as careful clients do.
 */
export function startLoad(
  port: number,
  clients: () => Clients,
  { path = '/', doRenew = false }: { readonly path?: string; readonly doRenew?: boolean } = {},
): SteadyLoad {
  const failures: string[] = []
  const kept = keepAliveAgent(1)
  const overHttp1 = (agent?: Agent): Ask => {
    return async () => {
      const { identity, trust } = clients()
      const { status } = await http({
        port,
        path,
        tls: { ca: trust, identity, ...(agent && { agent }) },
      })
      return status
    }
  }
  let keptSession: ClientHttp2Session | undefined
  let keptAs: Identity | undefined
  const ways: readonly (readonly [name: string, ask: Ask])[] = [
    ['HTTP/1.1, new', overHttp1()],
    ['HTTP/1.1, new too', overHttp1()],
    ['HTTP/1.1, kept', overHttp1(kept)],
    [
      'HTTP/2, new',
      async () => {
        const session = openSession(port, clients())
        const statuses = await Promise.all([1, 2, 3, 4].map(() => overHttp2(session, path)))
        await new Promise<void>((resolve) => session.close(resolve))
        return worst(statuses)
      },
    ],
    [
      'HTTP/2, kept',
      async () => {
        const now = clients()
        if (doRenew && keptAs !== now.identity) {
          keptSession?.close()
          keptSession = undefined
        }
        keptSession ??= openSession(port, now)
        keptAs = now.identity
        const session = keptSession
        return worst(await Promise.all([1, 2].map(() => overHttp2(session, path))))
      },
    ],
  ]
  const counts = ways.map(() => 0)
  let isOver = false
  const loops = ways.map(async ([name, ask], index) => {
    while (!isOver) {
      try {
        const status = await ask()
        if (status !== 200) failures.push(`${name}: ${status}`)
      } catch (cause) {
        failures.push(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`)
        // One that fails at once must not keep everybody else from running.
        await new Promise((resolve) => setImmediate(resolve))
      }
      counts[index] = (counts[index] as number) + 1
    }
  })
  return {
    failures,
    total: () => counts.reduce((sum, count) => sum + count, 0),
    served: async (count) => {
      // What is under way now was begun before.
      const due = counts.map((each) => each + count + 1)
      await eventually('every client was served', () => counts.every((each, i) => each >= (due[i] as number)))
    },
    [Symbol.asyncDispose]: async () => {
      isOver = true
      await Promise.all(loops)
      kept.destroy()
      keptSession?.destroy()
    },
  }
}

function openSession(port: number, { identity, trust }: Clients): ClientHttp2Session {
  const session = connect(`https://127.0.0.1:${port}`, {
    ca: trust,
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    checkServerIdentity: () => undefined,
  })
  // Its streams fail with it, and say so.
  session.on('error', () => {})
  return session
}

function overHttp2(session: ClientHttp2Session, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path })
    let status = 0
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0
    })
    stream.on('error', reject)
    stream.on('end', () => resolve(status))
    stream.resume()
  })
}

function worst(statuses: readonly number[]): number {
  return statuses.find((status) => status !== 200) ?? 200
}
