import { Duplex } from 'node:stream'
import t from 'tap'
import { createGrpcCounters } from '#grpc/counters.ts'
import { Connection } from '#grpc/http2/connection.ts'
import { clientPreface } from '#grpc/http2/frames.ts'
import { MemoryBudget } from '#grpc/http2/memory-budget.ts'

/** A connection on a clock that stands until it is moved, and a peer that says what a test wants. */
function connect() {
  const clock = { ms: 0 }
  const counters = createGrpcCounters()
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
  const connection = new Connection({
    socket,
    limits: {
      maxConcurrentStreams: 10,
      maxHeaderListBytes: 1000,
      streamWindowBytes: 65_535,
      connectionWindowBytes: 65_535,
      maxHeldBytes: 100_000,
      prefaceTimeoutMs: 10_000,
    },
    counters,
    budget: new MemoryBudget(1 << 20),
    nowMs: () => clock.ms,
    accept: () => undefined,
    onClosed: () => {},
  })
  return {
    clock,
    counters,
    connection,
    say: (...bytes: Buffer[]) => socket.emit('data', Buffer.concat(bytes)),
  }
}

const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
const ping = Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, ...Buffer.alloc(8)])

t.test(
  'a peer that is busy all the time, and whose every read ends within a frame, is left alone',
  async (t) => {
    const { clock, counters, connection, say } = connect()
    say(clientPreface, settings, ping.subarray(0, 12))
    for (let i = 0; i < 20; i++) {
      clock.ms += 5000
      say(ping.subarray(12), ping.subarray(0, 12))
      connection.sweep(clock.ms)
    }
    t.same([...counters.protocolErrors], [])
    clock.ms += 10_001
    connection.sweep(clock.ms)
    t.same([...counters.protocolErrors], [['ENHANCE_YOUR_CALM', 1]], 'and not, when it stops there')
  },
)

t.test('a frame of which an octet comes now and then is not waited for', async (t) => {
  const { clock, counters, connection, say } = connect()
  say(clientPreface, settings)
  for (const octet of ping.subarray(0, 15)) {
    clock.ms += 1000
    say(Buffer.from([octet]))
    connection.sweep(clock.ms)
  }
  t.same([...counters.protocolErrors], [['ENHANCE_YOUR_CALM', 1]])
})

t.test(
  'all connections of a server keep no more than its budget, and what is given back is there again',
  async (t) => {
    const budget = new MemoryBudget(100)
    t.strictSame([budget.add(60), budget.add(41), budget.add(40), budget.add(1)], [true, false, true, false])
    t.strictSame([budget.add(-40), budget.add(40)], [true, true])
  },
)
