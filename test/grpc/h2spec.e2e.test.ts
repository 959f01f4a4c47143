import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { createGrpcCounters } from '#grpc/counters.ts'
import { startGrpcServer } from '#grpc/grpc.ts'
import { encodeHeaders } from '#grpc/hpack/encoder.ts'
import { Connection } from '#grpc/http2/connection.ts'
import { MemoryBudget } from '#grpc/http2/memory-budget.ts'
import { type H2specCase, runH2spec } from '../harness/go-peers.ts'

type Exceptions = Readonly<Record<string, readonly string[]>>

/** Reason, and the cases that are not met for it. */
const always: Exceptions = {
  'a peer of the wrong protocol is told so in HTTP/1.1, which h2spec takes for a broken frame': [
    'http2/3.5 Sends invalid connection preface',
  ],
}

const atTheDoor: Exceptions = {
  ...always,
  'what is no gRPC is answered without a body, and h2spec needs one': [
    'generic/2 Sends a WINDOW_UPDATE frame on half-closed (remote) stream',
    'generic/2 Sends a PRIORITY frame on half-closed (remote) stream',
    'http2/6.5.3 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE',
    'http2/6.9.1 Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame',
    'http2/6.9.2 Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame',
    'http2/6.9.2 Sends a SETTINGS frame for window size to be negative',
  ],
  'the request is refused by its head, so that its stream is gone before what is wrong arrives (RFC 9113, §5.1)':
    [
      'http2/6.9 Sends a WINDOW_UPDATE frame with a flow control window increment of 0 on a stream',
      'http2/6.9.1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream',
      'http2/8.1 Sends a second HEADERS frame without the END_STREAM flag',
      'http2/8.1.2.1 Sends a HEADERS frame that contains a pseudo-header field as trailers',
      'http2/8.1.2.6 Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload length',
      'http2/8.1.2.6 Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the multiple DATA frames payload length',
    ],
  'refused requests leave no streams open, so that there is nothing to limit': [
    'http2/5.1.2 Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded',
  ],
}

/** The answer to whatever asks, once all of it was read: that is when a server's state is the most interesting. */
const head = encodeHeaders([[':status', '200']])
const trailers = encodeHeaders([['served', 'yes']])

async function listenWithLayerAlone(): Promise<AsyncDisposable & { readonly port: number }> {
  const connections = new Set<Connection>()
  const server = createServer((socket) => {
    const connection = new Connection({
      socket,
      limits: {
        maxHeaderListBytes: 64 << 10,
        streamWindowBytes: 1 << 20,
        connectionWindowBytes: 16 << 20,
        maxHeldBytes: 64 << 20,
        maxConcurrentStreams: 100,
        prefaceTimeoutMs: 10_000,
      },
      counters: createGrpcCounters(),
      budget: new MemoryBudget(1 << 20),
      nowMs: () => performance.now(),
      accept: (stream) => ({
        data: () => {},
        end: () => {
          stream.headers(head, false)
          stream.message(Buffer.from('an answer'))
          stream.headers(trailers, true)
        },
        closed: () => {},
      }),
      onClosed: () => connections.delete(connection),
    })
    connections.add(connection)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const connection of connections) connection.destroy()
      }),
  }
}

function judge(t: Test, cases: readonly H2specCase[], exceptions: Exceptions): void {
  const reasons = new Map(
    Object.entries(exceptions).flatMap(([reason, names]) => names.map((name) => [name, reason])),
  )
  t.ok(cases.length >= 146, `${cases.length} cases were run`)
  for (const { name, outcome, problem } of cases) {
    const reason = reasons.get(name)
    if (reason === undefined) t.equal(outcome, 'passed', `${name}${problem && `: ${problem}`}`)
    else t.not(outcome, 'passed', `${name} is not met: ${reason}`)
  }
  const ran = new Set(cases.map(({ name }) => name))
  t.same(
    [...reasons.keys()].filter((name) => !ran.has(name)),
    [],
    'every exception names a case that exists',
  )
}

t.test('the HTTP/2 layer does what h2spec wants of a server that reads requests to their end', async (t) => {
  await using server = await listenWithLayerAlone()
  judge(t, await runH2spec(server.port), always)
})

t.test('the gRPC server, which h2spec does not speak to in gRPC, does it too where it can', async (t) => {
  await using server = await startGrpcServer({ listen: '127.0.0.1:0', methods: [], maxMessageBytes: 1 << 20 })
  judge(t, await runH2spec(server.port), atTheDoor)
})
