import { createGrpcCounters, type GrpcCounters } from '#grpc/counters.ts'
import { type GrpcServerOptions, startGrpcServer } from '#grpc/grpc.ts'
import type { Method } from '#grpc/service.ts'
import { H2Client } from './h2-client.ts'
import { data, headers, message } from './h2-frames.ts'
import { call } from './h2-hpack.ts'

/** What the handlers of an echo server have seen. */
export interface Seen {
  /** Calls of `Never` that were begun, and those that wait for `release` now. */
  begun: number
  waiting: number
  /** Streams whose reader has been told of the end, and streams that were opened. */
  ended: number
  opened: number
  readonly faults: unknown[]
}

export interface EchoServer extends AsyncDisposable {
  readonly port: number
  readonly counters: GrpcCounters
  readonly seen: Seen
  /** Lets every waiting call of `Never` answer. */
  release(): void
}

export const echo = {
  /** Unary, answered at once. */
  now: '/test.Echo/Now',
  /** Unary, answered in a later turn of the event loop. */
  later: '/test.Echo/Later',
  /** Unary, answered when the test says so. */
  never: '/test.Echo/Never',
  /** Unary: the message is a number, the answer has so many octets. */
  long: '/test.Echo/Long',
  /** Bidirectional; ends when the client's side ends. */
  all: '/test.Echo/All',
} as const

/** Hosts methods that give back what they get, for clients that mean no good. */
export async function startEcho(
  options: Partial<Omit<GrpcServerOptions, 'methods' | 'counters' | 'onHandlerFault'>> = {},
): Promise<EchoServer> {
  const counters = createGrpcCounters()
  const seen: Seen = { begun: 0, waiting: 0, ended: 0, opened: 0, faults: [] }
  const waiting: (() => void)[] = []
  const methods: readonly Method[] = [
    { kind: 'unary', path: echo.now, handle: (bytes) => bytes },
    {
      kind: 'unary',
      path: echo.later,
      handle: (bytes) => new Promise((resolve) => setImmediate(() => resolve(bytes))),
    },
    {
      kind: 'unary',
      path: echo.never,
      handle: (bytes) => {
        seen.begun++
        seen.waiting++
        return new Promise((resolve) => waiting.push(() => resolve(bytes)))
      },
    },
    {
      kind: 'unary',
      path: echo.long,
      handle: (bytes) => Buffer.alloc(Number(/^\d{1,7}$/.exec(bytes.toString())?.[0] ?? 0), 'x'),
    },
    {
      kind: 'stream',
      path: echo.all,
      open: (writer) => {
        seen.opened++
        return {
          message: (bytes) => writer.send(bytes),
          halfClosed: () => writer.close(),
          ended: () => {
            seen.ended++
          },
        }
      },
    },
  ]
  const server = await startGrpcServer({
    listen: '127.0.0.1:0',
    maxMessageBytes: 4 << 20,
    drainMs: 0,
    ...options,
    methods,
    counters,
    onHandlerFault: (cause) => seen.faults.push(cause),
  })
  const release = () => {
    for (const answer of waiting.splice(0)) answer()
    seen.waiting = 0
  }
  return {
    port: server.port,
    counters,
    seen,
    release,
    [Symbol.asyncDispose]: async () => {
      release()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** A whole call with one message, in one piece. */
export function wholeCall(id: number, path: string, text: string): Buffer {
  return Buffer.concat([headers(id, call(path)), data(id, message(text), { end: true })])
}

/** Whether somebody who behaves gets the right answer on a connection of their own. */
export async function isServed(
  address: { readonly port: number } | { readonly path: string },
): Promise<boolean> {
  await using client = await H2Client.open(address)
  client.send(wholeCall(1, echo.later, 'still here?'))
  const { fields, messages } = await client.answer(1)
  return fields.get('grpc-status') === '0' && messages.join() === 'still here?'
}
