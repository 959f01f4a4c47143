import t from 'tap'
import { type EchoServer, echo, startEcho } from '../harness/echo-server.ts'
import { H2Client } from '../harness/h2-client.ts'
import {
  continuation,
  data,
  flag,
  frame,
  headers,
  message,
  ping,
  priority,
  rst,
  setting,
  settings,
  settingsAck,
  type,
  uint32,
  windowUpdate,
} from '../harness/h2-frames.ts'
import { call } from '../harness/h2-hpack.ts'
import { attacked, type Case, judge } from '../harness/h2-judge.ts'
import { eventually } from '../harness/temp.ts'

let server: EchoServer
t.before(async () => {
  server = await startEcho()
})
t.teardown(() => server[Symbol.asyncDispose]())

const request = call(echo.now)
const max31 = 2 ** 31 - 1
const reserved = 2 ** 31
const protocol = { goaway: ['PROTOCOL_ERROR'] } as const
const size = { goaway: ['FRAME_SIZE_ERROR'] } as const
const flow = { goaway: ['FLOW_CONTROL_ERROR'] } as const
const body = data(attacked, message('x'), { end: true })
const open = headers(attacked, request)

const frames: readonly Case[] = [
  // Length
  {
    rule: '§4.2',
    name: 'a frame of 16,385 octets',
    send: [frame(type.data, 1, Buffer.alloc(16_385))],
    want: size,
  },
  {
    rule: '§4.2',
    name: 'a frame that says 16 MB, before any of it has come',
    send: [frame(type.ping, 0, undefined, { length: 0xffffff })],
    want: size,
  },
  {
    rule: '§4.2',
    name: 'an unknown frame that is too long',
    send: [frame(0xbb, 0, Buffer.alloc(16_385))],
    want: size,
  },
  {
    rule: '§6.5',
    name: 'SETTINGS of 5 octets',
    send: [frame(type.settings, 0, Buffer.alloc(5))],
    want: size,
  },
  {
    rule: '§6.5',
    name: 'an acknowledgement with settings',
    send: [frame(type.settings, 0, Buffer.alloc(6), { flags: flag.ack })],
    want: size,
  },
  { rule: '§6.7', name: 'PING of 7 octets', send: [frame(type.ping, 0, Buffer.alloc(7))], want: size },
  { rule: '§6.7', name: 'PING of 9 octets', send: [frame(type.ping, 0, Buffer.alloc(9))], want: size },
  { rule: '§6.4', name: 'RST_STREAM of 3 octets', send: [frame(type.rst, 1, Buffer.alloc(3))], want: size },
  { rule: '§6.4', name: 'RST_STREAM of 5 octets', send: [frame(type.rst, 1, Buffer.alloc(5))], want: size },
  {
    rule: '§6.9',
    name: 'WINDOW_UPDATE of 3 octets',
    send: [frame(type.window, 0, Buffer.alloc(3))],
    want: size,
  },
  {
    rule: '§6.9',
    name: 'WINDOW_UPDATE of 5 octets',
    send: [frame(type.window, 1, Buffer.alloc(5))],
    want: size,
  },
  { rule: '§6.8', name: 'GOAWAY of 7 octets', send: [frame(type.goaway, 0, Buffer.alloc(7))], want: size },
  {
    rule: '§6.3',
    name: 'PRIORITY of 4 octets',
    send: [open, frame(type.priority, attacked, Buffer.alloc(4))],
    want: { reset: ['FRAME_SIZE_ERROR'] },
  },
  {
    rule: '§6.2',
    name: 'HEADERS too short for their priority',
    send: [frame(type.headers, attacked, Buffer.alloc(4), { flags: flag.priority | flag.endHeaders })],
    want: { goaway: ['FRAME_SIZE_ERROR', 'PROTOCOL_ERROR'] },
  },

  // Values of settings
  { rule: '§6.5.2', name: 'ENABLE_PUSH of 2', send: [settings([setting.push, 2])], want: protocol },
  {
    rule: '§6.5.2',
    name: 'an initial window of 2^31',
    send: [settings([setting.window, reserved])],
    want: flow,
  },
  {
    rule: '§6.5.2',
    name: 'MAX_FRAME_SIZE of 16,383',
    send: [settings([setting.frame, 16_383])],
    want: protocol,
  },
  {
    rule: '§6.5.2',
    name: 'MAX_FRAME_SIZE of 2^24',
    send: [settings([setting.frame, 2 ** 24])],
    want: protocol,
  },
  { rule: '§6.5.2', name: 'an unknown setting', send: [settings([0xabcd, 1])], want: 'nothing' },
  {
    rule: '§6.5',
    name: 'the last of several values counts',
    send: [settings([setting.window, 0], [setting.window, 65_535])],
    want: 'nothing',
  },

  // Stream identifiers
  { rule: '§5.1.1', name: 'HEADERS on an even stream', send: [headers(8, request)], want: protocol },
  { rule: '§5.1.1', name: 'a stream below the last', send: [open, headers(5, request)], want: protocol },
  { rule: '§6.1', name: 'DATA on stream 0', send: [data(0, message('x'))], want: protocol },
  { rule: '§6.2', name: 'HEADERS on stream 0', send: [headers(0, request)], want: protocol },
  { rule: '§6.3', name: 'PRIORITY on stream 0', send: [priority(0, 1)], want: protocol },
  { rule: '§6.4', name: 'RST_STREAM on stream 0', send: [rst(0)], want: protocol },
  { rule: '§6.5', name: 'SETTINGS on a stream', send: [frame(type.settings, 1)], want: protocol },
  { rule: '§6.7', name: 'PING on a stream', send: [frame(type.ping, 1, Buffer.alloc(8))], want: protocol },
  {
    rule: '§6.8',
    name: 'GOAWAY on a stream',
    send: [frame(type.goaway, 1, Buffer.alloc(8))],
    want: protocol,
  },
  { rule: '§6.10', name: 'CONTINUATION on stream 0', send: [continuation(0, request)], want: protocol },
  { rule: '§5.1', name: 'DATA on an idle stream', send: [data(attacked, message('x'))], want: protocol },
  { rule: '§5.1', name: 'RST_STREAM on an idle stream', send: [rst(attacked)], want: protocol },
  {
    rule: '§5.1',
    name: 'WINDOW_UPDATE on an idle stream',
    send: [windowUpdate(attacked, 1)],
    want: protocol,
  },
  { rule: '§5.1', name: 'PRIORITY on an idle stream', send: [priority(attacked, 1)], want: 'nothing' },
  { rule: '§8.4', name: 'a PUSH_PROMISE', send: [frame(type.push, 1, uint32(2))], want: protocol },

  // Padding
  {
    rule: '§6.1',
    name: 'DATA with more padding than frame',
    send: [open, data(attacked, Buffer.alloc(4), { announced: 6 })],
    want: protocol,
  },
  {
    rule: '§6.1',
    name: 'DATA with padding as long as the frame',
    send: [open, data(attacked, Buffer.alloc(4), { announced: 5 })],
    want: protocol,
  },
  {
    rule: '§6.1',
    name: 'padded DATA without the length of its padding',
    send: [open, frame(type.data, attacked, undefined, { flags: flag.padded })],
    want: { goaway: ['FRAME_SIZE_ERROR', 'PROTOCOL_ERROR'] },
  },
  {
    rule: '§6.2',
    name: 'HEADERS with more padding than frame',
    send: [headers(attacked, request, { announced: 255 })],
    want: protocol,
  },
  {
    rule: '§6.1',
    name: 'padding around a call',
    send: [
      headers(attacked, request, { padding: 200 }),
      data(attacked, message('x'), { end: true, padding: 255 }),
    ],
    want: { grpc: 0 },
  },

  // Header blocks
  { rule: '§6.10', name: 'CONTINUATION of nothing', send: [continuation(1, request)], want: protocol },
  {
    rule: '§6.10',
    name: 'CONTINUATION behind the end of a block',
    send: [open, continuation(attacked, request)],
    want: protocol,
  },
  {
    rule: '§6.10',
    name: 'CONTINUATION of another stream',
    send: [headers(attacked, request, { whole: false }), continuation(9, request)],
    want: protocol,
  },
  ...[ping(), data(1, message('x')), settingsAck, windowUpdate(0, 1), priority(9, 1), frame(0xbb, 0)].map(
    (between): Case => ({
      rule: '§6.2',
      name: `a frame of type ${between[3]} within a header block`,
      send: [headers(attacked, request, { whole: false }), between, continuation(attacked, Buffer.alloc(0))],
      want: protocol,
    }),
  ),
  {
    rule: '§6.10',
    name: 'a head in pieces of one octet',
    send: [
      headers(attacked, Buffer.alloc(0), { whole: false }),
      ...[...request].map((octet, at) => continuation(attacked, Buffer.of(octet), at === request.length - 1)),
      body,
    ],
    want: { grpc: 0 },
  },

  // Windows
  { rule: '§6.9', name: 'WINDOW_UPDATE of 0 on the connection', send: [windowUpdate(0, 0)], want: protocol },
  {
    rule: '§6.9',
    name: 'WINDOW_UPDATE of 0 on a stream',
    send: [open, windowUpdate(attacked, 0)],
    want: { reset: ['PROTOCOL_ERROR'] },
  },
  {
    rule: '§6.9.1',
    name: 'a window of the connection above 2^31-1',
    send: [windowUpdate(0, max31)],
    want: flow,
  },
  {
    rule: '§6.9.1',
    name: 'a window of a stream above 2^31-1',
    send: [open, windowUpdate(attacked, max31)],
    want: { reset: ['FLOW_CONTROL_ERROR'] },
  },
  {
    rule: '§6.9.2',
    name: 'a setting that takes the window of a stream above 2^31-1',
    send: [open, windowUpdate(attacked, max31 - 65_535), settings([setting.window, 65_536])],
    want: flow,
  },

  // What must be ignored
  {
    rule: '§4.1',
    name: 'an unknown frame type',
    send: [frame(0xbb, attacked, Buffer.from('what?'))],
    want: 'nothing',
  },
  {
    rule: '§4.1',
    name: 'flags without a meaning',
    send: [
      frame(type.ping, 0, Buffer.alloc(8), { flags: 0xf0 }),
      frame(type.headers, attacked, request, { flags: 0xd4 }),
      body,
    ],
    want: { grpc: 0 },
  },
  {
    rule: '§4.1',
    name: 'the reserved bit of a stream identifier',
    send: [headers(attacked + reserved, request), data(attacked + reserved, message('x'), { end: true })],
    want: { grpc: 0 },
  },
  {
    rule: '§6.9',
    name: 'the reserved bit of an increment',
    send: [windowUpdate(0, reserved + 1)],
    want: 'nothing',
  },
  {
    rule: '§6.5.3',
    name: 'an acknowledgement of nothing',
    send: [settingsAck, settingsAck],
    want: 'nothing',
  },
  {
    rule: '§6.7',
    name: 'an answer to no PING',
    send: [frame(type.ping, 0, Buffer.alloc(8), { flags: flag.ack })],
    want: 'nothing',
  },
  { rule: '§7', name: 'an unknown error code', send: [open, rst(attacked, 0xdeadbeef)], want: 'nothing' },
  {
    rule: '§5.3.2',
    name: 'a stream that depends on itself, which only RFC 7540 forbade',
    send: [headers(attacked, request, { dependsOn: attacked }), body],
    want: { reset: ['PROTOCOL_ERROR'] },
  },
  {
    rule: '§6.8',
    name: 'a client that says it goes',
    send: [frame(type.goaway, 0, uint32(0, 0))],
    want: 'nothing',
  },
]

for (const each of frames) judge(t, () => server, each)

t.test('a frame or a header block that never ends is not waited for', async (t) => {
  await using impatient = await startEcho({ prefaceTimeoutMs: 1000 })
  for (const bytes of [
    frame(type.ping, 0, Buffer.alloc(4), { length: 8 }),
    Buffer.concat([headers(1, request), frame(type.data, 1, Buffer.alloc(10), { length: 100 })]),
    headers(1, request, { whole: false }),
  ]) {
    await using client = await H2Client.open({ port: impatient.port })
    client.send(bytes)
    t.equal(await client.farewell(), 'ENHANCE_YOUR_CALM')
  }
})

t.test('nobody is left when all have gone', async (t) => {
  const { counters, seen } = server
  await eventually('all closed', () => counters.openConnections === 0)
  t.equal(counters.openStreams, 0)
  t.equal(seen.ended, seen.opened)
  t.strictSame(seen.faults, [])
})
