import type { MessageInitShape } from '@bufbuild/protobuf'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import type { ProcessingResponseSchema } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { createGate } from '../../harness/gate.ts'
import { streamCall } from '../../harness/grpc.ts'
import { startGrpcStream } from '../../harness/grpc-stream-server.ts'
import { startOpenAiServer } from '../../harness/openai-server.ts'
import { openStream } from '../../harness/stream-client.ts'
import { eventually } from '../../harness/temp.ts'
import { framed } from '../kit.ts'
import { type ProcessScript, startBench } from './scripted-server.ts'

type Answer = MessageInitShape<typeof ProcessingResponseSchema>

const [none, streamed, fullDuplex] = [0, 1, 4]
const pass = (kind: string, more: Answer = {}): Answer =>
  ({ response: { case: kind, value: {} }, ...more }) as Answer
const override = (responseBodyMode: number, requestTrailerMode = 2): Answer => ({
  modeOverride: {
    requestHeaderMode: 1,
    responseHeaderMode: 1,
    requestBodyMode: none,
    responseBodyMode,
    requestTrailerMode,
    responseTrailerMode: 1,
  },
})
const replace = (body: string): Answer => ({
  response: {
    case: 'responseBody',
    value: { response: { bodyMutation: { mutation: { case: 'body', value: Buffer.from(body) } } } },
  },
})
const sendBack = (body: Uint8Array, endOfStream: boolean): Answer => ({
  response: {
    case: 'responseBody',
    value: {
      response: { bodyMutation: { mutation: { case: 'streamedResponse', value: { body, endOfStream } } } },
    },
  },
})
const immediate: Answer = { response: { case: 'immediateResponse', value: { status: { code: 429 } } } }
const bye = 'data: bye\n\n'
const protocols = ['http/1.1', 'h2'] as const

/** Passes everything, with more said at some steps. */
const saying =
  (more: Readonly<Record<string, Answer>>): ProcessScript =>
  (message, stream) => {
    const kind = message.request.case as string
    stream.send(pass(kind, more[kind]))
  }

const wholeBody = JSON.stringify({ model: 'm', messages: [] })
const streamBody = JSON.stringify({ model: 'm', messages: [], stream: true })
const path = '/v1/chat/completions'

t.test(
  'an answer to headers changes how bodies come, where that is allowed and Envoy waits for answers',
  async (t) => {
    await using server = await startOpenAiServer()
    const allowed = (mode: JsonObject): JsonObject => ({
      allow_mode_override: true,
      allowed_override_modes: [{ response_header_mode: 'SEND', response_trailer_mode: 'SEND', ...mode }],
    })
    const exact = { request_body_mode: 'NONE', response_body_mode: 'STREAMED', request_trailer_mode: 'SKIP' }
    const rows: [name: string, settings: JsonObject, isShown: boolean][] = [
      ['allowed', { allow_mode_override: true }, true],
      ['not allowed', {}, false],
      [
        'allowed, but Envoy sends bodies without waiting',
        { allow_mode_override: true, send_body_without_waiting_for_header_response: true },
        false,
      ],
      ['listed', allowed(exact), true],
      ['another body listed', allowed({ ...exact, response_body_mode: 'FULL_DUPLEX_STREAMED' }), false],
      [
        'a field left out, which is not what it defaults to',
        allowed({ response_body_mode: 'STREAMED' }),
        false,
      ],
    ]
    for (const [name, settings, isShown] of rows) {
      await using bench = await startBench({
        process: saying({ responseHeaders: override(streamed) }),
        filters: [{ kind: 'extProc', settings }],
        upstreamPort: server.port,
      })
      const answer = await openStream({ port: bench.port, protocol: 'http/1.1', path, body: wholeBody })
      t.equal(await answer.ended, 'complete', name)
      t.equal(
        bench.messages.some(({ request }) => request.case === 'responseBody'),
        isShown,
        name,
      )
      t.ok(Number(answer.headers['content-length']) > 0, `${name}: the length stays`)
    }
  },
)

t.test(
  'what is configured to be streamed loses its length, also where an answer takes it back',
  async (t) => {
    await using server = await startOpenAiServer()
    await using bench = await startBench({
      process: saying({ responseHeaders: override(none) }),
      filters: [
        {
          kind: 'extProc',
          settings: { allow_mode_override: true, processing_mode: { response_body_mode: 'STREAMED' } },
        },
      ],
      upstreamPort: server.port,
    })
    const answer = await openStream({ port: bench.port, protocol: 'http/1.1', path, body: wholeBody })
    t.equal(await answer.ended, 'complete')
    t.notOk(bench.messages.some(({ request }) => request.case === 'responseBody'))
    t.equal(answer.headers['content-length'], undefined)
  },
)

t.test('a body that changes needs its length taken away at the headers', async (t) => {
  await using server = await startOpenAiServer()
  const without = { response: { headerMutation: { removeHeaders: ['content-length'] } } }
  for (const isRemoved of [true, false]) {
    await using bench = await startBench({
      process: (message, stream) => {
        const { case: kind } = message.request
        if (kind === 'responseBody') return stream.send(replace('longer'.repeat(200)))
        if (kind !== 'responseHeaders') return stream.send(pass(kind as string))
        stream.send({
          response: { case: 'responseHeaders', value: isRemoved ? without : {} },
          ...override(streamed),
        })
      },
      filters: [{ kind: 'extProc', settings: { allow_mode_override: true } }],
      upstreamPort: server.port,
    })
    const answer = await openStream({ port: bench.port, protocol: 'http/1.1', path, body: wholeBody })
    await answer.ended
    t.equal(answer.status, isRemoved ? 200 : 500)
    if (isRemoved) t.equal(answer.text().length, 1200)
  }
})

t.test('a server that asks to drain answers is shown them all the same', async (t) => {
  await using server = await startOpenAiServer()
  await using bench = await startBench({
    process: saying({ responseHeaders: { requestDrainResponses: true } }),
    filters: [{ kind: 'extProc', settings: { processing_mode: { response_body_mode: 'STREAMED' } } }],
    upstreamPort: server.port,
  })
  const answer = await openStream({ port: bench.port, protocol: 'http/1.1', path, body: wholeBody })
  t.equal(await answer.ended, 'complete')
  t.ok(bench.messages.some(({ request }) => request.case === 'responseBody'))
})

t.test('how an answer can be ended that has begun', async (t) => {
  const rows: [name: string, mode: number, said: readonly Answer[], end: string, shown: string][] = [
    ['full duplex takes an end from us', fullDuplex, [sendBack(Buffer.from(bye), true)], 'complete', bye],
    ['an immediate response resets', streamed, [immediate], 'broken', ''],
    ['in full duplex too', fullDuplex, [immediate], 'broken', ''],
    ['what was replaced before goes out', streamed, [replace(bye), immediate], 'broken', bye],
    ['an end that the mode does not know resets', streamed, [sendBack(Buffer.from(bye), true)], 'broken', ''],
  ]
  for (const [name, mode, said, end, shown] of rows) {
    for (const protocol of protocols) {
      const gate = createGate()
      await using server = await startOpenAiServer({ before: (_, index) => gate.pass(index) })
      let pieces = 0
      await using bench = await startBench({
        process: (message, stream) => {
          const { request } = message
          if (request.case === 'responseHeaders') return stream.send(pass(request.case, override(mode)))
          if (request.case !== 'responseBody') return stream.send(pass(request.case as string))
          pieces++
          const { body, endOfStream } = request.value
          if (pieces === 1)
            stream.send(mode === fullDuplex ? sendBack(body, endOfStream) : pass('responseBody'))
          else if (pieces === 2) for (const answer of said) stream.send(answer)
        },
        filters: [{ kind: 'extProc', settings: { allow_mode_override: true } }],
        upstreamPort: server.port,
      })
      gate.open(1)
      const answer = await openStream({ port: bench.port, protocol, path, body: streamBody })
      await eventually('the first token is shown', () => answer.text().includes('t0'))
      const before = answer.text()
      gate.open(2)
      t.equal(await answer.ended, end, `${name}, ${protocol}`)
      t.equal(answer.text().slice(before.length), shown, `${name}, ${protocol}`)
      await eventually('the model server is told', () => server.calls[0]?.state === 'cancelled')
      await eventually('the stream is over', () => bench.endings.length === 1)
    }
  }
})

t.test('no way of ending a gRPC answer early both tells the client why and cancels the call', async (t) => {
  const trailers: Answer = {
    response: {
      case: 'responseTrailers',
      value: {
        headerMutation: { setHeaders: [{ header: { key: 'grpc-status', rawValue: Buffer.from('8') } }] },
      },
    },
  }
  const rows: [
    name: string,
    mode: string,
    second: Answer[],
    code: number,
    shown: string[],
    isCancelled: boolean,
  ][] = [
    [
      'an end without trailers',
      'FULL_DUPLEX_STREAMED',
      [sendBack(framed(Buffer.from('bye')), true)],
      13,
      ['m0', 'bye'],
      true,
    ],
    ['an immediate response', 'STREAMED', [immediate], 13, ['m0'], true],
    [
      'a goodbye before it',
      'STREAMED',
      [replace(framed(Buffer.from('bye')).toString('latin1')), immediate],
      13,
      ['m0', 'bye'],
      true,
    ],
    ['pieces dropped until the trailers come', 'FULL_DUPLEX_STREAMED', [], 8, ['m0'], false],
    [
      'an answer to trailers that have not come, which lets everything pass',
      'FULL_DUPLEX_STREAMED',
      [trailers],
      0,
      ['m0', 'm2'],
      false,
    ],
  ]
  for (const [name, mode, second, code, shown, isCancelled] of rows) {
    const gate = createGate()
    await using server = await startGrpcStream({ before: (index) => gate.pass(index) })
    let pieces = 0
    await using bench = await startBench({
      process: (message, stream) => {
        const { request } = message
        if (request.case === 'responseTrailers') return stream.send(trailers)
        if (request.case !== 'responseBody') return stream.send(pass(request.case as string))
        pieces++
        const { body, endOfStream } = request.value
        if (pieces === 1)
          stream.send(mode === 'STREAMED' ? pass('responseBody') : sendBack(body, endOfStream))
        else if (pieces === 2) for (const answer of second) stream.send(answer)
      },
      filters: [
        {
          kind: 'extProc',
          settings: {
            send_body_without_waiting_for_header_response: true,
            processing_mode: { response_body_mode: mode, response_trailer_mode: 'SEND' },
          },
        },
      ],
      isHttp2: true,
      upstreamPort: server.port,
    })
    const { got, status } = streamCall({ port: bench.port, method: '/x.Y/Z', message: Buffer.from('hello') })
    gate.open(1)
    await eventually('the first message is shown', () => got.length === 1)
    gate.open(2)
    await eventually('the second piece was shown to us', () => pieces === 2)
    if (isCancelled) await eventually('the model server is told', () => server.cancelled() === 1)
    // Where the call lives on, it is ended by the model server.
    gate.open(3)
    t.equal(await status, code, name)
    t.same(got, shown, name)
    t.equal(server.cancelled(), isCancelled ? 1 : 0, name)
  }
})

t.test('a request body that is replaced arrives whole, however its length was told', async (t) => {
  const changed = 'longer than what came'
  await using bench = await startBench({
    process: (message, stream) => {
      const { case: kind } = message.request
      if (kind !== 'requestBody') return stream.send(pass(kind as string))
      const mutation = { mutation: { case: 'body' as const, value: Buffer.from(changed) } }
      const length = { key: 'content-length', rawValue: Buffer.from(String(changed.length)) }
      const setHeaders = [{ header: length, append: false, appendAction: 2 }]
      stream.send({
        response: {
          case: 'requestBody',
          value: { response: { bodyMutation: mutation, headerMutation: { setHeaders } } },
        },
      })
    },
    filters: [{ kind: 'extProc', settings: { processing_mode: { request_body_mode: 'BUFFERED_PARTIAL' } } }],
  })
  const rows = [
    ['with a length', 'http/1.1', false],
    ['in chunks', 'http/1.1', true],
    ['over HTTP/2', 'h2', false],
  ] as const
  for (const [name, protocol, isChunked] of rows) {
    const answer = await openStream({ port: bench.port, protocol, path: '/', body: 'short', isChunked })
    await answer.ended
    t.equal(answer.status, 200, name)
    t.equal(bench.upstream.arrivals.at(-1)?.bodyBytes, changed.length, name)
    t.same(
      bench.upstream.lastHeader('transfer-encoding'),
      ['chunked'],
      `${name}: Envoy takes the length away`,
    )
  }
})
