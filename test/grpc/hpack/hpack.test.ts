import t from 'tap'
import { HpackDecoder } from '#grpc/hpack/decoder.ts'
import { encodeHeaders } from '#grpc/hpack/encoder.ts'
import { staticTable } from '#grpc/hpack/static-table.ts'
import fc from '../../fast-check.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const decoder = (maxTableBytes = 4096) => new HpackDecoder({ maxListBytes: 65_536, maxTableBytes })

const firstRequest = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com']
const secondRequest = [...firstRequest, 'cache-control', 'no-cache']
const thirdRequest = [
  ...[':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com'],
  ...['custom-key', 'custom-value'],
]
const response = (status: string, date: string, more: string[] = []) => [
  ...[':status', status, 'cache-control', 'private', 'date', date, 'location', 'https://www.example.com'],
  ...more,
]
const early = 'Mon, 21 Oct 2013 20:13:21 GMT'
const late = 'Mon, 21 Oct 2013 20:13:22 GMT'
const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
const responses = [
  response('302', early),
  [':status', '307', 'cache-control', 'private', 'date', early, 'location', 'https://www.example.com'],
  [
    ...[':status', '200', 'cache-control', 'private', 'date', late, 'location', 'https://www.example.com'],
    ...['content-encoding', 'gzip', 'set-cookie', cookie],
  ],
]

/** RFC 7541, appendix C: the blocks of one connection each. */
const examples: readonly { name: string; table?: number; blocks: readonly [string, string[]][] }[] = [
  {
    name: 'C.2.1 literal with indexing',
    blocks: [
      ['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', ['custom-key', 'custom-header']],
    ],
  },
  {
    name: 'C.2.2 literal without indexing',
    blocks: [['040c 2f73 616d 706c 652f 7061 7468', [':path', '/sample/path']]],
  },
  {
    name: 'C.2.3 literal never indexed',
    blocks: [['1008 7061 7373 776f 7264 0673 6563 7265 74', ['password', 'secret']]],
  },
  { name: 'C.2.4 indexed', blocks: [['82', [':method', 'GET']]] },
  {
    name: 'C.3 requests without Huffman',
    blocks: [
      ['8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', firstRequest],
      ['8286 84be 5808 6e6f 2d63 6163 6865', secondRequest],
      ['8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65', thirdRequest],
    ],
  },
  {
    name: 'C.4 requests with Huffman',
    blocks: [
      ['8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', firstRequest],
      ['8286 84be 5886 a8eb 1064 9cbf', secondRequest],
      ['8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf', thirdRequest],
    ],
  },
  {
    name: 'C.5 responses without Huffman, with eviction',
    table: 256,
    blocks: [
      [
        '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        responses[0] as string[],
      ],
      ['4803 3330 37c1 c0bf', responses[1] as string[]],
      [
        '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
        responses[2] as string[],
      ],
    ],
  },
  {
    name: 'C.6 responses with Huffman, with eviction',
    table: 256,
    blocks: [
      [
        '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
        responses[0] as string[],
      ],
      ['4883 640e ffc1 c0bf', responses[1] as string[]],
      [
        '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
        responses[2] as string[],
      ],
    ],
  },
]

for (const { name, table, blocks } of examples) {
  t.test(`RFC 7541 ${name}`, async (t) => {
    const own = decoder(table)
    for (const [bytes, fields] of blocks) t.strictSame(own.decode(hex(bytes)).fields, fields)
  })
}

t.test('the static table has the 61 entries of appendix A', async (t) => {
  t.equal(staticTable.length, 61)
  t.strictSame(
    [1, 16, 17, 31, 38, 61].map((index) => staticTable[index - 1]?.[0]),
    [':authority', 'accept-encoding', 'accept-language', 'content-type', 'host', 'www-authenticate'],
  )
})

const bad: readonly [string, string][] = [
  ['80', 'an index of zero'],
  ['be', 'an index beyond the table'],
  ['ff80808080 80808080 01', 'an integer that is too large'],
  ['ff8080808080808080808000', 'an integer of endless zeros'],
  ['ff', 'an integer that does not end'],
  ['3fe21f', 'a table larger than was announced'],
  ['8220', 'a size update behind a header'],
  ['40', 'a header that does not end'],
  ['4005 6162', 'a string that does not end'],
  ['4085 ffff ffff ff 00', 'the end-of-string symbol'],
  ['0081 00 00', 'padding of zeros'],
  ['0082 1fff 00', 'padding of more than seven bits'],
]
for (const [bytes, why] of bad) {
  t.test(`refused: ${why}`, async (t) => {
    t.throws(() => decoder().decode(hex(bytes)), { name: 'HpackFault' })
  })
}

t.test('a list that is too large leaves the table as the peer knows it', async (t) => {
  const own = new HpackDecoder({ maxListBytes: 100 })
  const long = Buffer.concat([encodeHeaders([['a', 'x'.repeat(200)]]), hex('4001 62 01 63')])
  const block = own.decode(long)
  t.ok(block.isTooLarge)
  t.strictSame(own.decode(hex('be')).fields, ['b', 'c'])
})

t.test('a block that came before is the same object, until the table changes', async (t) => {
  const own = decoder()
  own.decode(hex('4001 61 01 62'))
  const first = own.decode(hex('be 82'))
  t.equal(own.decode(hex('be 82')), first)
  t.strictSame(first.fields, ['a', 'b', ':method', 'GET'])
  own.decode(hex('4001 63 01 64'))
  t.strictSame(own.decode(hex('be 82')).fields, ['c', 'd', ':method', 'GET'])
})

t.test('what is encoded is decoded', async () => {
  const name = fc.oneof(
    fc.constantFrom(':status', 'content-type', 'grpc-status'),
    fc.stringMatching(/^[a-z-]{1,20}$/),
  )
  const value = fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 300 })
    .map((octets) => Buffer.from(octets).toString('latin1'))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 20 }), (headers) => {
      const { fields } = decoder().decode(encodeHeaders(headers))
      return JSON.stringify(fields) === JSON.stringify(headers.flat())
    }),
  )
})

t.test('no bytes make the decoder do anything but answer or refuse', async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 5 }), (blocks) => {
      const own = decoder()
      for (const bytes of blocks) {
        try {
          own.decode(Buffer.from(bytes))
        } catch (thrown) {
          return (thrown as Error).name === 'HpackFault'
        }
      }
      return true
    }),
  )
})
