import t from 'tap'
import { type EchoServer, echo, startEcho } from '../harness/echo-server.ts'
import { data, headers, message } from '../harness/h2-frames.ts'
import { call } from '../harness/h2-hpack.ts'
import { attacked, type Case, judge } from '../harness/h2-judge.ts'

let server: EchoServer
t.before(async () => {
  server = await startEcho({ maxMessageBytes: 1000 })
})
t.teardown(() => server[Symbol.asyncDispose]())

const status = { ok: 0, deadlineExceeded: 4, resourceExhausted: 8, unimplemented: 12, internal: 13 } as const

/** A call of `path` with these octets as its whole body. */
const body = (path: string, ...parts: readonly Uint8Array[]) => [
  headers(attacked, call(path)),
  data(attacked, Buffer.concat(parts), { end: true }),
]
/** A call with one field changed, or left out. */
const changed = (changes: Readonly<Record<string, string | undefined>>) => [
  headers(attacked, call(echo.now, changes)),
  data(attacked, message('x'), { end: true }),
]

const cases: readonly Omit<Case, 'rule'>[] = [
  {
    name: 'a unary call that ends with its head',
    send: [headers(attacked, call(echo.now), { end: true })],
    want: { grpc: status.unimplemented },
  },
  { name: 'a unary call with an empty body', send: body(echo.now), want: { grpc: status.unimplemented } },
  {
    name: 'two messages for a unary method',
    send: body(echo.now, message('a'), message('b')),
    want: { grpc: status.unimplemented },
  },
  {
    name: 'messages without end for a unary method',
    send: [headers(attacked, call(echo.now)), data(attacked, Buffer.concat([message('a'), message('b')]))],
    want: { grpc: status.unimplemented },
  },
  {
    name: 'a stream that ends with its head',
    send: [headers(attacked, call(echo.all), { end: true })],
    want: { grpc: status.ok },
  },
  ...[echo.now, echo.all].flatMap((path): Omit<Case, 'rule'>[] => [
    {
      name: `${path}: half a message at the end`,
      send: body(path, message('abc').subarray(0, 7)),
      want: { grpc: status.internal },
    },
    {
      name: `${path}: half a prefix at the end`,
      send: body(path, Buffer.alloc(3)),
      want: { grpc: status.internal },
    },
    {
      name: `${path}: a message of 4 GB`,
      send: [headers(attacked, call(path)), data(attacked, message('', { length: 0xffffffff }))],
      want: { grpc: status.resourceExhausted },
    },
    {
      name: `${path}: a message one octet too long`,
      send: body(path, message(Buffer.alloc(1001))),
      want: { grpc: status.resourceExhausted },
    },
    {
      name: `${path}: the longest message`,
      send: body(path, message(Buffer.alloc(1000))),
      want: { grpc: status.ok },
    },
    { name: `${path}: an empty message`, send: body(path, message('')), want: { grpc: status.ok } },
    {
      name: `${path}: a compressed message without an encoding`,
      send: body(path, message('x', { compressed: 1 })),
      want: { grpc: status.internal },
    },
    {
      name: `${path}: a compressed message, as grpc-encoding says`,
      send: [
        headers(attacked, call(path, { 'grpc-encoding': 'gzip' })),
        data(attacked, message('x', { compressed: 1 }), { end: true }),
      ],
      want: { grpc: status.unimplemented, fields: { 'grpc-accept-encoding': 'identity' } },
    },
    {
      name: `${path}: a flag that is neither 0 nor 1`,
      send: body(path, message('x', { compressed: 2 })),
      want: { grpc: status.internal },
    },
  ]),
  {
    name: 'grpc-encoding with messages that are not compressed',
    send: changed({ 'grpc-encoding': 'gzip' }),
    want: { grpc: status.ok },
  },
  {
    name: 'an unknown method',
    send: changed({ ':path': '/test.Echo/What' }),
    want: { grpc: status.unimplemented },
  },
  {
    name: 'a path without a slash',
    send: changed({ ':path': 'test.Echo/Now' }),
    want: { grpc: status.unimplemented },
  },
  { name: 'GET', send: changed({ ':method': 'GET' }), want: { http: 405 } },
  { name: 'no content-type', send: changed({ 'content-type': undefined }), want: { http: 415 } },
  { name: 'JSON', send: changed({ 'content-type': 'application/json' }), want: { http: 415 } },
  { name: 'gRPC-Web', send: changed({ 'content-type': 'application/grpc-web' }), want: { http: 415 } },
  {
    name: 'application/grpc+proto',
    send: changed({ 'content-type': 'application/grpc+proto' }),
    want: { grpc: 0 },
  },
  ...['1', 'S', '1s', '-1S', '1.5S', '123456789S', ' 1S', '1 S', '0x1S'].map((timeout) => ({
    name: `grpc-timeout of "${timeout}"`,
    send: changed({ 'grpc-timeout': timeout }),
    want: timeout.startsWith(' ') ? ({ reset: ['PROTOCOL_ERROR'] } as const) : { grpc: status.internal },
  })),
  ...['99999999H', '1M', '1000m', '1000000u', '99999999n'].map((timeout) => ({
    name: `grpc-timeout of "${timeout}"`,
    send: changed({ 'grpc-timeout': timeout }),
    want: { grpc: status.ok },
  })),
  {
    name: 'grpc-timeout of 10 ms for work that takes longer',
    send: [
      headers(attacked, call(echo.never, { 'grpc-timeout': '10m' })),
      data(attacked, message('x'), { end: true }),
    ],
    want: { grpc: status.deadlineExceeded },
  },
]

for (const each of cases) judge(t, () => server, { rule: 'gRPC', ...each })
