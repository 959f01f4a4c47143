import t from 'tap'
import { type EchoServer, echo, startEcho } from '../harness/echo-server.ts'
import { continuation, data, headers, message } from '../harness/h2-frames.ts'
import {
  call,
  callFields,
  type Fields,
  indexed,
  integer,
  literals,
  remembered,
  tableSize,
} from '../harness/h2-hpack.ts'
import { attacked, type Case, judge } from '../harness/h2-judge.ts'
import { eventually } from '../harness/temp.ts'

let server: EchoServer
t.before(async () => {
  server = await startEcho()
})
t.teardown(() => server[Symbol.asyncDispose]())

const plain = callFields(echo.now)
const body = data(attacked, message('x'), { end: true })
const served = { grpc: 0 } as const
const malformed = { reset: ['PROTOCOL_ERROR'] } as const
const lost = { goaway: ['COMPRESSION_ERROR'] } as const
const dynamic = 62
const hex = (text: string) => Buffer.from(text, 'hex')

/** A call whose head is exactly these octets. */
const block = (...parts: readonly Uint8Array[]) => [headers(attacked, Buffer.concat(parts)), body]
/** A call with these fields. */
const fields = (...list: Fields) => block(literals(list))
/** A call with one field changed, or left out. */
const changed = (changes: Readonly<Record<string, string | undefined>>) => block(call(echo.now, changes))
/** A header block in frames of 16,384 octets. */
function long(bytes: Buffer): Buffer[] {
  const step = 16_384
  const frames = [headers(attacked, bytes.subarray(0, step), { whole: bytes.length <= step })]
  for (let at = step; at < bytes.length; at += step)
    frames.push(continuation(attacked, bytes.subarray(at, at + step), at + step >= bytes.length))
  return frames
}

const hpack: readonly Case[] = [
  { rule: 'RFC 7541 §6.1', name: 'an index of 0', send: block(indexed(0)), want: lost },
  {
    rule: 'RFC 7541 §2.3.3',
    name: 'an index beyond an empty table',
    send: block(indexed(dynamic)),
    want: lost,
  },
  {
    rule: 'RFC 7541 §2.3.3',
    name: 'a name with an index beyond',
    send: block(integer(0x40, 6, 200), hex('0161')),
    want: lost,
  },
  {
    rule: 'RFC 7541 §4.4',
    name: 'an index of an entry that was evicted',
    send: block(
      call(echo.now),
      remembered('a', 'b'.repeat(4000)),
      remembered('c', 'd'.repeat(100)),
      indexed(dynamic + 1),
    ),
    want: lost,
  },
  {
    rule: 'RFC 7541 §4.4',
    name: 'an entry that is larger than the table empties it',
    send: block(call(echo.now), remembered('a', 'b'), remembered('c', 'd'.repeat(5000)), indexed(dynamic)),
    want: lost,
  },
  {
    rule: 'RFC 7541 §6.3',
    name: 'a table of 4,097 octets',
    send: block(tableSize(4097), call(echo.now)),
    want: lost,
  },
  {
    rule: 'RFC 7541 §4.2',
    name: 'a table size behind a field',
    send: block(call(echo.now), tableSize(0)),
    want: lost,
  },
  {
    rule: 'RFC 7541 §4.2',
    name: 'two table sizes before the fields',
    send: block(tableSize(0), tableSize(4096), call(echo.now)),
    want: served,
  },
  {
    rule: 'RFC 7541 §5.2',
    name: 'a Huffman string',
    send: block(call(echo.now), hex('00016181f1')),
    want: served,
  },
  {
    rule: 'RFC 7541 §5.2',
    name: 'Huffman padding of a whole octet',
    send: block(hex('00016184f1ffffff')),
    want: lost,
  },
  { rule: 'RFC 7541 §5.2', name: 'Huffman padding with zeros', send: block(hex('00016181f0')), want: lost },
  {
    rule: 'RFC 7541 §5.2',
    name: 'the end-of-string symbol',
    send: block(hex('00016184ffffffff')),
    want: lost,
  },
  { rule: 'RFC 7541 §5.1', name: 'an integer above 2^32', send: block(hex('ff80808080808001')), want: lost },
  {
    rule: 'RFC 7541 §5.1',
    name: 'an integer of zeros without end',
    send: block(Buffer.concat([Buffer.of(0xff), Buffer.alloc(1000, 0x80)])),
    want: lost,
  },
  { rule: 'RFC 7541 §5.1', name: 'an integer that is cut off', send: block(hex('ff')), want: lost },
  {
    rule: 'RFC 7541 §5.2',
    name: 'a string longer than its block',
    send: block(hex('00057465'), hex('7374')),
    want: lost,
  },
  {
    rule: 'RFC 7541 §5.2',
    name: 'a string that says 200 MB',
    send: block(integer(0, 4, 0), integer(0, 7, 200_000_000)),
    want: lost,
  },
  { rule: 'RFC 7541 §6.2', name: 'a name without a value', send: block(hex('000161')), want: lost },
  {
    rule: 'RFC 7541 §6.2.3',
    name: 'fields that must never be indexed',
    send: block(call(echo.now), Buffer.concat([Buffer.of(0x10), literals([['a', 'b']]).subarray(1)])),
    want: served,
  },
  {
    rule: '§4.3',
    name: 'a table that a refused request filled is there for the next',
    send: [
      headers(5, Buffer.concat([literals([['UPPER', 'x']]), remembered('content-type', 'application/grpc')])),
      headers(attacked, Buffer.concat([call(echo.now, { 'content-type': undefined }), indexed(dynamic)])),
      body,
    ],
    want: served,
  },
  {
    rule: '§10.5.1',
    name: 'a bomb: an entry of 4,000 octets, 60,000 times',
    send: long(
      Buffer.concat([
        call(echo.now),
        remembered('a', 'b'.repeat(4000)),
        Buffer.alloc(60_000, indexed(dynamic)),
      ]),
    ),
    want: { reset: ['ENHANCE_YOUR_CALM', 'PROTOCOL_ERROR', 'REFUSED_STREAM'] },
  },
  {
    rule: '§10.5.1',
    name: 'a header list above 64 KB, in a block that is not',
    send: long(
      Buffer.concat([call(echo.now), remembered('a', 'b'.repeat(4000)), Buffer.alloc(20, indexed(dynamic))]),
    ),
    want: { reset: ['ENHANCE_YOUR_CALM', 'PROTOCOL_ERROR', 'REFUSED_STREAM'] },
  },
  {
    rule: '§10.5.1',
    name: 'a header block above 64 KB',
    send: long(Buffer.concat([call(echo.now), literals([['a', 'b'.repeat(70_000)]])])),
    want: { goaway: ['ENHANCE_YOUR_CALM', 'COMPRESSION_ERROR'] },
  },
  {
    rule: '§10.5.1',
    name: 'a header list of 60 KB',
    send: [...long(Buffer.concat([call(echo.now), literals([['a', 'b'.repeat(60_000)]])])), body],
    want: served,
  },
]

const heads: readonly Case[] = [
  { rule: '§8.2.1', name: 'a name in upper case', send: fields(...plain, ['X-Upper', 'x']), want: malformed },
  { rule: '§8.2.1', name: 'a name with a space', send: fields(...plain, ['x y', 'x']), want: malformed },
  {
    rule: '§8.2.1',
    name: 'a name with a colon inside',
    send: fields(...plain, ['x:y', 'x']),
    want: malformed,
  },
  { rule: '§8.2.1', name: 'an empty name', send: fields(...plain, ['', 'x']), want: malformed },
  {
    rule: '§8.2.1',
    name: 'a name with an octet above 0x7f',
    send: fields(...plain, ['x\xff', 'x']),
    want: malformed,
  },
  {
    rule: '§8.2.1',
    name: 'a value with a line feed',
    send: fields(...plain, ['x', 'a\nb: c']),
    want: malformed,
  },
  {
    rule: '§8.2.1',
    name: 'a value with a carriage return',
    send: fields(...plain, ['x', 'a\rb']),
    want: malformed,
  },
  { rule: '§8.2.1', name: 'a value with NUL', send: fields(...plain, ['x', 'a\0b']), want: malformed },
  {
    rule: '§8.2.1',
    name: 'a value that begins with a space',
    send: fields(...plain, ['x', ' a']),
    want: malformed,
  },
  {
    rule: '§8.2.1',
    name: 'a path with a line feed',
    send: changed({ ':path': `${echo.now}\n` }),
    want: malformed,
  },
  {
    rule: '§8.3',
    name: 'a pseudo field behind a regular one',
    send: fields(['x', 'y'], ...plain),
    want: malformed,
  },
  { rule: '§8.3', name: 'a path twice', send: fields([':path', echo.now], ...plain), want: malformed },
  { rule: '§8.3', name: 'an unknown pseudo field', send: fields([':what', 'x'], ...plain), want: malformed },
  {
    rule: '§8.3',
    name: 'a pseudo field of answers',
    send: fields([':status', '200'], ...plain),
    want: malformed,
  },
  { rule: '§8.3.1', name: 'no method', send: changed({ ':method': undefined }), want: malformed },
  { rule: '§8.3.1', name: 'no path', send: changed({ ':path': undefined }), want: malformed },
  { rule: '§8.3.1', name: 'an empty path', send: changed({ ':path': '' }), want: malformed },
  { rule: '§8.3.1', name: 'no scheme', send: changed({ ':scheme': undefined }), want: malformed },
  { rule: '§8.3.1', name: 'no fields at all', send: block(), want: malformed },
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map(
    (name): Case => ({ rule: '§8.2.2', name, send: changed({ [name]: 'close' }), want: malformed }),
  ),
  {
    rule: '§8.2.2',
    name: 'te with more than trailers',
    send: changed({ te: 'trailers, deflate' }),
    want: malformed,
  },
  { rule: '§8.2.2', name: 'no te, as proxies send', send: changed({ te: undefined }), want: served },
  {
    rule: '§8.1.1',
    name: 'a body longer than content-length',
    send: changed({ 'content-length': '5' }),
    want: malformed,
  },
  {
    rule: '§8.1.1',
    name: 'a body shorter than content-length',
    send: changed({ 'content-length': '7' }),
    want: malformed,
  },
  {
    rule: '§8.1.1',
    name: 'a body as long as content-length',
    send: changed({ 'content-length': '6' }),
    want: served,
  },
  {
    rule: '§8.1.1',
    name: 'a content-length that is no number',
    send: changed({ 'content-length': '+6' }),
    want: malformed,
  },
  {
    rule: '§8.1.1',
    name: 'two values of content-length',
    send: fields(...plain, ['content-length', '6'], ['content-length', '7']),
    want: malformed,
  },
  {
    rule: '§8.1.1',
    name: 'a content-length and no body',
    send: [headers(attacked, call(echo.now, { 'content-length': '6' }), { end: true })],
    want: malformed,
  },
  {
    rule: '§8.1.1',
    name: 'a body shorter than content-length, with trailers',
    send: [
      headers(attacked, call(echo.now, { 'content-length': '7' })),
      data(attacked, message('x')),
      headers(attacked, literals([['x', 'y']]), { end: true }),
    ],
    want: malformed,
  },
  {
    rule: '§8.1',
    name: 'trailers with a pseudo field',
    send: [
      headers(attacked, call(echo.now)),
      data(attacked, message('x')),
      headers(attacked, literals([[':path', '/']]), { end: true }),
    ],
    want: malformed,
  },
  {
    rule: '§8.1',
    name: 'trailers that do not end the stream',
    send: [
      headers(attacked, call(echo.now)),
      data(attacked, message('x')),
      headers(attacked, literals([['x', 'y']])),
    ],
    want: malformed,
  },
  {
    rule: '§8.1',
    name: 'trailers',
    send: [
      headers(attacked, call(echo.now)),
      data(attacked, message('x')),
      headers(attacked, literals([['x', 'y']]), { end: true }),
    ],
    want: served,
  },
]

for (const each of [...hpack, ...heads]) judge(t, () => server, each)

t.test('nobody is left when all have gone', async (t) => {
  await eventually('all closed', () => server.counters.openConnections === 0)
  t.equal(server.counters.openStreams, 0)
  t.strictSame(server.seen.faults, [])
})
