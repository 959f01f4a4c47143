import fc from 'fast-check'
import t from 'tap'
import { frame, MessageReader } from '#grpc/messages.ts'

t.test('messages come out as they went in, however the bytes are cut', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 }),
      fc.array(fc.nat(300)),
      (messages, cuts) => {
        const bytes = Buffer.concat(messages.map(frame))
        const reader = new MessageReader(200)
        const taken: Buffer[] = []
        let at = 0
        for (const end of [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort(
          (a, b) => a - b,
        )) {
          if (reader.feed(bytes.subarray(at, end), (message) => taken.push(message)) !== undefined)
            return false
          at = end
        }
        return (
          !reader.isPartial &&
          taken.length === messages.length &&
          taken.every((message, index) => message.equals(messages[index] as Uint8Array))
        )
      },
    ),
  )
})

t.test('a message that is too long is refused by its header, before its bytes are held', async (t) => {
  const reader = new MessageReader(10)
  t.equal(
    reader.feed(frame(new Uint8Array(10)), () => {}),
    undefined,
  )
  t.match(
    reader.feed(frame(new Uint8Array(11)).subarray(0, 5), () => t.fail('no message')),
    { code: 8 },
  )
})

t.test('a compressed message is refused', async (t) => {
  t.match(
    new MessageReader(10).feed(Buffer.from([1, 0, 0, 0, 0]), () => t.fail('no message')),
    { code: 12 },
  )
})
