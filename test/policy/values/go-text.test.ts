import t from 'tap'
import { goText } from '#policy/values/go-text.ts'
import { unescapedText } from '#policy/values/percent.ts'
import fc from '../../fast-check.ts'

const of = (...octets: number[]) => goText(Buffer.from(octets))

t.test('each octet that is no part of UTF-8 is one U+FFFD, as Go reads it', async (t) => {
  const rows: readonly (readonly [octets: readonly number[], text: string])[] = [
    [[], ''],
    [[0x61, 0x00], 'a\0'],
    [[0xc3, 0xa9], 'é'],
    [[0xf0, 0x9f, 0x98, 0x80], '😀'],
    [[0xff], '\ufffd'],
    [[0x80, 0x80], '\ufffd\ufffd'],
    // Where JavaScript's decoders say it once.
    [[0xe2, 0x82], '\ufffd\ufffd'],
    [[0xe2, 0x82, 0x41], '\ufffd\ufffdA'],
    [[0xf0, 0x9f, 0x98], '\ufffd\ufffd\ufffd'],
    // Too long a form, a surrogate, beyond the last character.
    [[0xc0, 0x80], '\ufffd\ufffd'],
    [[0xe0, 0x80, 0x80], '\ufffd\ufffd\ufffd'],
    [[0xed, 0xa0, 0x80], '\ufffd\ufffd\ufffd'],
    [[0xf4, 0x90, 0x80, 0x80], '\ufffd\ufffd\ufffd\ufffd'],
    [[0xf5, 0x80, 0x80, 0x80], '\ufffd\ufffd\ufffd\ufffd'],
    [[0xff, 0xed, 0x9f, 0xbf, 0xf4, 0x8f, 0xbf, 0xbf], '\ufffd\ud7ff\u{10ffff}'],
  ]
  for (const [octets, text] of rows) t.equal(of(...octets), text, Buffer.from(octets).toString('hex'))
})

t.test('text that is UTF-8 is kept, whatever stands beside it', async (t) => {
  const text = fc.string({ unit: 'binary' }).map((each) => each.toWellFormed())
  fc.assert(
    fc.property(text, text, (before, after) => {
      t.equal(goText(Buffer.from(before)), before)
      const broken = Buffer.concat([Buffer.from(before), Buffer.from([0xff]), Buffer.from(after)])
      t.equal(goText(broken), `${before}\ufffd${after}`)
    }),
    { numRuns: 100 },
  )
})

t.test('escapes are undone, and malformed ones are told', async (t) => {
  const rows: readonly (readonly [text: string, found: string | undefined])[] = [
    ['', ''],
    ['a+b', 'a+b'],
    ['%41%2f%2F', 'A//'],
    ['%C3%A9é', 'éé'],
    ['%25zz', '%zz'],
    ['%ff', '\ufffd'],
    ['é%C3', 'é\ufffd'],
    ['%C3é', '\ufffdé'],
    ['%', undefined],
    ['%4', undefined],
    ['%4g', undefined],
    ['%ff%zz', undefined],
  ]
  for (const [text, found] of rows) t.equal(unescapedText(text), found, text)
  const text = fc.string({ unit: 'binary' }).map((each) => each.toWellFormed())
  fc.assert(fc.property(text, (each) => unescapedText(encodeURIComponent(each)) === each))
})
