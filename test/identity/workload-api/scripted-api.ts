import type { Answer, GrpcClient, OutgoingCall } from '#grpc/client.ts'
import type { Status } from '#grpc/service.ts'
import { settle } from '../../base/virtual-time.ts'

interface OpenStream {
  readonly path: string
  send(message: Uint8Array): void
  end(status: Status): void
}

/** A Workload API that says what a test has it say, in the client's place of a connection: for faults that no real one has. */
export interface ScriptedWorkloadApi extends GrpcClient {
  /** A message on the open stream of that method. */
  send(method: string, message: Uint8Array): Promise<void>
  end(method: string, code: number, message?: string): Promise<void>
  /** How often a stream was asked for. */
  opened(method: string): number
  /** Answers the calls that are no streams. */
  answer: (call: OutgoingCall) => Answer | Promise<Answer>
  readonly isClosed: boolean
}

export function scriptedWorkloadApi(): ScriptedWorkloadApi {
  const streams = new Map<string, OpenStream>()
  const opened = new Map<string, number>()
  const stream = (method: string): OpenStream => {
    const found = streams.get(method)
    if (found === undefined) throw new Error(`nobody follows ${method}`)
    return found
  }
  let isClosed = false
  const api: ScriptedWorkloadApi = {
    answer: () => ({ ok: false, status: { code: 12, message: 'not scripted' } }),
    unary: async (call) => api.answer(call),
    serverStream: (call, onMessage) =>
      new Promise((resolve) => {
        const method = call.path.slice(call.path.lastIndexOf('/') + 1)
        opened.set(method, (opened.get(method) ?? 0) + 1)
        const end = (status: Status) => {
          streams.delete(method)
          resolve(status)
        }
        streams.set(method, {
          path: call.path,
          send: (message) => onMessage(Buffer.from(message)),
          end,
        })
        call.signal.addEventListener('abort', () => end({ code: 1, message: 'cancelled' }), { once: true })
      }),
    send: async (method, message) => {
      stream(method).send(message)
      await settle()
    },
    end: async (method, code, message = '') => {
      stream(method).end({ code, message })
      await settle()
    },
    opened: (method) => opened.get(method) ?? 0,
    get isClosed() {
      return isClosed
    },
    [Symbol.dispose]: () => {
      isClosed = true
    },
  }
  return api
}
