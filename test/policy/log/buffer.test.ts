import t from 'tap'
import { type BufferLimit, LogBuffer, maxWaitingBytes } from '#policy/log/buffer.ts'
import { LossLedger } from '#policy/log/loss.ts'
import { RateLimit } from '#policy/log/rate.ts'
import { labels } from './a-log.ts'

function bufferOf(limit: BufferLimit, uploadLimitBytes = 32_768) {
  const ledger = new LossLedger()
  const counted: string[] = []
  const buffer = new LogBuffer({
    limit,
    uploadLimitBytes,
    isPackedAtOnce: false,
    ledger,
    labels,
    nowMs: () => 5000,
    onReady: () => {},
    count: (event) => counted.push(event),
  })
  return { buffer, ledger, counted }
}

t.test('whatever the configuration allows, what waits stays bounded; the oldest goes first', async (t) => {
  const bytes = Buffer.alloc(1 << 20, 'x')
  const { buffer, ledger } = bufferOf({ kind: 'event', events: 1_000_000 })
  for (let number = 0; number < 100; number++) {
    buffer.push({ bytes, atMs: number })
    t.ok(buffer.waitingBytes <= maxWaitingBytes, `${buffer.waitingBytes}`)
  }
  t.equal(ledger.totals.get('buffer_full'), 100 - (maxWaitingBytes >> 20))
  t.match(ledger.take(), { sinceMs: 0, untilMs: 35 })

  const packed = bufferOf({ kind: 'size', bytes: undefined }, 1 << 30)
  for (let number = 0; number < 100; number++) packed.buffer.push({ bytes, atMs: number })
  t.ok(packed.buffer.waitingBytes <= maxWaitingBytes, `${packed.buffer.waitingBytes}`)
  t.equal(packed.buffer.waitingDecisions + (packed.ledger.totals.get('buffer_full') ?? 0), 100)
})

t.test('what is being sent is not taken away; it comes first again when it failed', async (t) => {
  const { buffer, ledger, counted } = bufferOf({ kind: 'event', events: 2 })
  const push = (name: string, atMs: number) => buffer.push({ bytes: Buffer.from(`"${name}"`), atMs })
  push('a', 1)
  await buffer.pack()
  const chunk = buffer.next()
  if (chunk === undefined) return t.fail('no chunk')
  t.equal(buffer.size, 1)
  for (const [name, atMs] of [
    ['b', 2],
    ['c', 3],
    ['d', 4],
  ] as const)
    push(name, atMs)
  t.match(ledger.take(), { reasons: { buffer_full: 2 }, sinceMs: 2, untilMs: 3 })
  t.same(counted, Array(2).fill('decision_logs_dropped_buffer_size_limit_exceeded'))
  buffer.putBack(chunk, 'first')
  t.equal(buffer.next(), chunk)
  t.equal(buffer.waitingDecisions, 2)
})

t.test('a bound in bytes is of what is compressed, and its counter is one of its own', async (t) => {
  const { buffer, ledger, counted } = bufferOf({ kind: 'size', bytes: 70 })
  // A tombstone is larger than that, and is let through: none is made here.
  for (let number = 0; number < 10; number++) {
    ledger.take()
    buffer.push({ bytes: Buffer.from(`"${crypto.randomUUID()}"`), atMs: number })
    await buffer.pack()
    t.ok(buffer.size <= 70, `${buffer.size}`)
  }
  const lost = ledger.totals.get('buffer_full') ?? 0
  t.equal(lost + buffer.waitingDecisions, 10)
  t.ok(lost >= 8)
  t.ok(counted.includes('decision_logs_dropped_buffer_size_limit_bytes_exceeded'))
})

t.test('so many a second, and so many at once, pass', async (t) => {
  const rows: [perSecond: number, times: number[], passes: boolean[]][] = [
    [1, [0, 0, 999, 1000, 1001], [true, false, false, true, false]],
    [2, [0, 0, 0, 500, 500], [true, true, false, true, false]],
    [0.5, [0, 1000, 2000, 2000], [true, false, true, false]],
    [1, [5000, 0, 6000], [true, false, true]],
  ]
  for (const [perSecond, times, passes] of rows) {
    const rate = new RateLimit(perSecond)
    t.same(
      times.map((ms) => rate.allows(ms)),
      passes,
      `${perSecond} a second at ${times}`,
    )
  }
})
