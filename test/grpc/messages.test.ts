import t from 'tap'
import { MessageReader } from '#grpc/messages.ts'
import fc from '../fast-check.ts'

function frame(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5, flag)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** A reader whose memory is counted. */
function reader(maxBytes: number, more: { encoding?: string; budget?: number } = {}) {
  const state = { held: 0, most: 0 }
  const messages = new MessageReader({
    maxBytes,
    encoding: more.encoding ?? '',
    hold: (bytes) => {
      if (state.held + bytes > (more.budget ?? Number.POSITIVE_INFINITY)) return false
      state.held += bytes
      state.most = Math.max(state.most, state.held)
      return true
    },
  })
  return { messages, state }
}

const none = () => {
  throw new Error('no message was expected')
}

t.test('messages come out as they went in, however the bytes are cut, and nothing is kept', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 }),
      fc.array(fc.nat(300)),
      (sent, cuts) => {
        const bytes = Buffer.concat(sent.map((message) => frame(message)))
        const { messages, state } = reader(200)
        const taken: Buffer[] = []
        let at = 0
        const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
        for (const end of ends) {
          if (messages.feed(bytes.subarray(at, end), (message) => taken.push(message)) !== undefined)
            return false
          at = end
        }
        return (
          !messages.isPartial &&
          state.held === 0 &&
          taken.length === sent.length &&
          taken.every((message, index) => message.equals(sent[index] as Uint8Array))
        )
      },
    ),
  )
})

t.test('a message that is too long is refused by its prefix, before its bytes are kept', async (t) => {
  const { messages } = reader(10)
  t.equal(
    messages.feed(frame(new Uint8Array(10)), () => {}),
    undefined,
  )
  t.match(messages.feed(frame(new Uint8Array(11)).subarray(0, 5), none), { code: 8 })
  const dripped = reader(10).messages
  for (const byte of [0, 0, 0, 0]) t.equal(dripped.feed(Buffer.from([byte]), none), undefined)
  t.match(dripped.feed(Buffer.from([11]), none), { code: 8 })
})

t.test('memory beyond 64 KiB grows with what has come, not with what was announced', async (t) => {
  const { messages, state } = reader(4 << 20)
  messages.feed(frame(new Uint8Array(4 << 20)).subarray(0, 1000), none)
  t.ok(state.most <= 65_536, `${state.most} bytes`)
  messages.release()
  t.equal(state.held, 0)
})

t.test('what may not be kept ends the call', async (t) => {
  const { messages } = reader(4 << 20, { budget: 100_000 })
  const half = frame(new Uint8Array(400_000)).subarray(0, 300_000)
  t.match(messages.feed(half, none), { code: 8, message: 'too many unfinished messages' })
})

t.test(
  'a compressed message is refused: as unsupported, or as a fault where no encoding was named',
  async (t) => {
    for (const [flag, encoding, code] of [
      [1, 'gzip', 12],
      [1, '', 13],
      [1, 'identity', 13],
      [2, 'gzip', 13],
    ] as const)
      t.match(reader(10, { encoding }).messages.feed(frame(new Uint8Array(3), flag), none), { code })
  },
)
