import { createConnection } from 'node:net'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { AnySchema, anyPack, durationFromMs, StringValueSchema } from '@bufbuild/protobuf/wkt'
import t from 'tap'
import { typeUrls } from '#envoy/bootstrap/types.ts'
import type { HeaderValueOptionSchema } from '#gen/envoy/config/core/v3/base_pb.js'
import type { CheckResponseSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import type { ProcessingResponseSchema } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { grpcInfer } from '../../harness/grpc.ts'
import { http } from '../../harness/http.ts'
import { eventually } from '../../harness/temp.ts'
import { type ProcessScript, startBench } from './scripted-server.ts'

type HeaderOption = MessageInitShape<typeof HeaderValueOptionSchema>
type CheckAnswer = MessageInitShape<typeof CheckResponseSchema>
type ProcessAnswer = MessageInitShape<typeof ProcessingResponseSchema>

const append = 0
const overwrite = 2
const okWith = (headers: HeaderOption[]): CheckAnswer => ({
  status: { code: 0 },
  httpResponse: { case: 'okResponse', value: { headers } },
})
const headersWith = (setHeaders: HeaderOption[]): ProcessAnswer => ({
  response: { case: 'requestHeaders', value: { response: { headerMutation: { setHeaders } } } },
})
/** Goes on with everything, but for what `special` answers. */
const passing =
  (special: Partial<Record<string, ProcessAnswer>> = {}): ProcessScript =>
  (message, stream) => {
    const kind = message.request.case as 'requestHeaders'
    stream.send(special[kind] ?? ({ response: { case: kind, value: {} } } as ProcessAnswer))
  }
const value = (text: string) => ({ key: 'x-who', value: text })
const rawValue = (text: string) => ({ key: 'x-who', rawValue: Buffer.from(text) })

t.test('ext_authz: a header overwrites unless it is told to append', async (t) => {
  let answer: CheckAnswer = {}
  await using bench = await startBench({ authz: () => answer, filters: [{ kind: 'extAuthz' }] })
  const reached = async (option: HeaderOption) => {
    answer = okWith([option])
    await http({ port: bench.port, path: '/', headers: { 'x-who': 'client' } })
    return bench.upstream.lastHeader('x-who')
  }
  t.same(await reached({ header: value('ours') }), ['ours'], 'both switches unset')
  t.same(await reached({ header: value('ours'), append: true }), ['client,ours'], 'append')
  t.same(
    await reached({ header: value('ours'), append: false, appendAction: overwrite }),
    ['ours'],
    'both set to overwrite',
  )
  t.same(await reached({ header: rawValue('ours') }), [''], 'raw_value is not read: the header is emptied')
})

t.test('ext_authz: what removes is applied after what sets', async (t) => {
  await using bench = await startBench({
    authz: () => ({
      status: { code: 0 },
      httpResponse: {
        case: 'okResponse',
        value: { headers: [{ header: value('ours') }], headersToRemove: ['x-who'] },
      },
    }),
    filters: [{ kind: 'extAuthz' }],
  })
  await http({ port: bench.port, path: '/', headers: { 'x-who': 'client' } })
  t.same(bench.upstream.lastHeader('x-who'), [])
})

t.test('ext_proc: a header reads raw_value, and what sets is applied after what removes', async (t) => {
  let answer: ProcessAnswer = {}
  await using bench = await startBench({
    process: (message, stream) => passing({ requestHeaders: answer })(message, stream),
    filters: [{ kind: 'extProc' }],
  })
  const reached = async (option: HeaderOption) => {
    answer = headersWith([option])
    await http({ port: bench.port, path: '/', headers: { 'x-who': 'client' } })
    return bench.upstream.lastHeader('x-who')
  }
  t.same(await reached({ header: rawValue('ours') }), ['ours'], 'both switches unset')
  t.same(await reached({ header: rawValue('ours'), append: false, appendAction: overwrite }), ['ours'])
  t.same(await reached({ header: rawValue('ours'), append: true, appendAction: append }), ['client', 'ours'])
  t.same(await reached({ header: value('ours') }), [''], 'value is not read: the header is emptied')
  answer = {
    response: {
      case: 'requestHeaders',
      value: {
        response: {
          headerMutation: { setHeaders: [{ header: rawValue('ours') }], removeHeaders: ['x-who'] },
        },
      },
    },
  }
  await http({ port: bench.port, path: '/', headers: { 'x-who': 'client' } })
  t.same(bench.upstream.lastHeader('x-who'), ['ours'])
})

t.test('ext_proc: attributes come with the first message of each direction', async (t) => {
  await using bench = await startBench({
    process: passing(),
    filters: [
      {
        kind: 'extProc',
        settings: {
          request_attributes: ['request.path'],
          response_attributes: ['response.code'],
          processing_mode: { request_body_mode: 'STREAMED', response_body_mode: 'STREAMED' },
        },
      },
    ],
  })
  await http({ port: bench.port, path: '/p', body: 'body' })
  const seen = bench.messages.map(({ request, attributes }) => [
    request.case,
    Object.keys(attributes['envoy.filters.http.ext_proc'] ?? {}),
  ])
  t.same(
    seen.filter(([, names]) => names?.length !== 0),
    [
      ['requestHeaders', ['request.path']],
      ['responseHeaders', ['response.code']],
    ],
  )
  t.ok(seen.length >= 4)
})

t.test('a gRPC client reads the status that a denial names, over both APIs', async (t) => {
  const denied: CheckAnswer = {
    status: { code: 7 },
    httpResponse: {
      case: 'deniedResponse',
      value: {
        status: { code: 429 },
        headers: [{ header: { key: 'grpc-status', value: '8' }, append: false, appendAction: overwrite }],
        body: 'slow down',
      },
    },
  }
  {
    await using bench = await startBench({
      authz: () => denied,
      filters: [{ kind: 'extAuthz' }],
      isHttp2: true,
    })
    const { code, details } = await grpcInfer({ port: bench.port, message: new Uint8Array() })
    t.same([code, details], [8, 'slow down'], 'ext_authz, by header')
  }
  {
    const plain = { status: { code: 429 }, body: 'slow down' }
    const answer: CheckAnswer = { ...denied, httpResponse: { case: 'deniedResponse', value: plain } }
    await using bench = await startBench({
      authz: () => answer,
      filters: [{ kind: 'extAuthz' }],
      isHttp2: true,
    })
    t.equal(
      (await grpcInfer({ port: bench.port, message: new Uint8Array() })).code,
      14,
      'ext_authz, without: UNAVAILABLE for 429',
    )
  }
  const immediate: ProcessAnswer = {
    response: {
      case: 'immediateResponse',
      value: { status: { code: 429 }, grpcStatus: { status: 8 }, body: Buffer.from('slow down') },
    },
  }
  await using bench = await startBench({
    process: passing({ requestHeaders: immediate }),
    filters: [{ kind: 'extProc' }],
    isHttp2: true,
  })
  const { code, details } = await grpcInfer({ port: bench.port, message: new Uint8Array() })
  t.same([code, details], [8, 'slow down'], 'ext_proc')
})

t.test('ext_proc: a stream closed with OK after the first chunk loses nothing of a 24 MB body', async (t) => {
  await using bench = await startBench({
    process: (message, stream) => {
      passing()(message, stream)
      if (message.request.case === 'requestBody') stream.close()
    },
    filters: [
      {
        kind: 'extProc',
        settings: { processing_mode: { request_body_mode: 'STREAMED', response_header_mode: 'SKIP' } },
      },
    ],
  })
  const body = Buffer.alloc(24 << 20, 1)
  t.equal((await http({ port: bench.port, path: '/', body })).status, 200)
  t.equal(bench.upstream.arrivals.at(-1)?.bodyBytes, body.length)
  t.ok(bench.messages.length < 24, `only ${bench.messages.length} messages were sent`)
})

t.test('ext_proc: every good stream ends with a reset', async (t) => {
  await using bench = await startBench({ process: passing(), filters: [{ kind: 'extProc' }] })
  for (let i = 0; i < 3; i++) await http({ port: bench.port, path: '/' })
  await eventually('the streams have ended', () => bench.endings.length === 3)
  t.equal((await bench.envoy.stats()).get('cluster.scripted.upstream_rq_tx_reset'), 3)
})

t.test(
  'ext_proc: the answer to the headers may wait for the first chunk, with a per-route mode, and more time may be asked for',
  async (t) => {
    let isAskingForTime = false
    const benchOf = (timeoutSeconds: number) =>
      startBench({
        process: (message, stream) => {
          const { case: kind } = message.request
          const body = message.request.case === 'requestBody' ? message.request.value.body : new Uint8Array()
          if (kind === 'requestHeaders') {
            if (isAskingForTime) stream.send({ overrideMessageTimeout: durationFromMs(60_000) })
            return
          }
          if (kind !== 'requestBody' || body.length === 0) return passing()(message, stream)
          stream.send(headersWith([{ header: rawValue('ours') }]))
          const mutation = { mutation: { case: 'body' as const, value: Buffer.from('changed') } }
          stream.send({ response: { case: 'requestBody', value: { response: { bodyMutation: mutation } } } })
        },
        filters: [
          {
            kind: 'extProc',
            settings: {
              message_timeout: `${timeoutSeconds}s`,
              max_message_timeout: '60s',
              send_body_without_waiting_for_header_response: true,
            },
          },
        ],
        perRoute: {
          'envoy.filters.http.ext_proc': {
            '@type': typeUrls.extProcPerRoute,
            overrides: { processing_mode: { request_body_mode: 'STREAMED', response_header_mode: 'SEND' } },
          },
        },
      })
    {
      await using bench = await benchOf(20)
      t.equal((await http({ port: bench.port, path: '/', body: 'original' })).status, 200)
      t.same(bench.upstream.lastHeader('x-who'), ['ours'])
      t.equal(bench.upstream.arrivals.at(-1)?.bodyBytes, 'changed'.length)
      t.equal(bench.messages[0]?.protocolConfig?.requestBodyMode, 1, 'the mode of the route is told')
    }
    await using bench = await benchOf(0.3)
    t.match(await slowBody(bench.port), /^HTTP\/1\.1 504/, 'a client slower than message_timeout')
    isAskingForTime = true
    // Again where we were so slow ourselves that Envoy did not hear it in time.
    await eventually('the same after more time was asked for', async () =>
      /^HTTP\/1\.1 200/.test(await slowBody(bench.port, 700)),
    )
  },
)

t.test('ext_proc: an answer that does not fit, and a server that is gone, refuse', async (t) => {
  await using bench = await startBench({
    process: (_message, stream) => stream.send({ response: { case: 'responseTrailers', value: {} } }),
    filters: [{ kind: 'extProc' }],
  })
  t.equal((await http({ port: bench.port, path: '/' })).status, 500)
  t.same(bench.upstream.arrivals, [])
})

t.test('ext_proc: :path set without clearing the route cache reaches the upstream', async (t) => {
  const answer = headersWith([{ header: { key: ':path', rawValue: Buffer.from('/changed?q=1') } }])
  await using bench = await startBench({
    process: passing({ requestHeaders: answer }),
    filters: [{ kind: 'extProc' }],
  })
  await http({ port: bench.port, path: '/original' })
  t.equal(bench.upstream.arrivals[0]?.path, '/changed?q=1')
})

t.test('ext_proc: typed metadata is received, and passed on to a later filter', async (t) => {
  const packed = anyPack(StringValueSchema, create(StringValueSchema, { value: 'hello' }))
  await using bench = await startBench({
    process: (message, stream) => {
      const typedDynamicMetadata = { ours: create(AnySchema, packed) }
      const isFirst = bench.messages.filter(({ request }) => request.case === 'requestHeaders').length === 1
      if (message.request.case !== 'requestHeaders' || !isFirst) return passing()(message, stream)
      stream.send({ response: { case: 'requestHeaders', value: {} }, typedDynamicMetadata } as ProcessAnswer)
    },
    filters: [
      { kind: 'extProc', settings: { metadata_options: { receiving_namespaces: { typed: ['ours'] } } } },
      { kind: 'extProc', settings: { metadata_options: { forwarding_namespaces: { typed: ['ours'] } } } },
    ],
  })
  t.equal((await http({ port: bench.port, path: '/' })).status, 200)
  const forwarded = bench.messages.find(
    (message) => message.metadataContext?.typedFilterMetadata['ours'] !== undefined,
  )
  t.same(
    forwarded?.metadataContext?.typedFilterMetadata['ours']?.value,
    toBinary(StringValueSchema, create(StringValueSchema, { value: 'hello' })),
  )
})

t.test('ext_authz: in shadow mode a denial passes, and the changes of an OK are applied', async (t) => {
  let answer: CheckAnswer = { status: { code: 7 } }
  await using bench = await startBench({
    authz: () => answer,
    filters: [{ kind: 'extAuthz', settings: { shadow_mode: true } }],
  })
  t.equal((await http({ port: bench.port, path: '/' })).status, 200)
  answer = okWith([{ header: value('ours') }])
  await http({ port: bench.port, path: '/', headers: { 'x-who': 'client' } })
  t.same(bench.upstream.lastHeader('x-who'), ['ours'])
})

t.test('ext_authz: error_response refuses with its own answer unless failures are allowed', async (t) => {
  const error: CheckAnswer = {
    status: { code: 14 },
    httpResponse: { case: 'errorResponse', value: { status: { code: 503 }, body: 'ours' } },
  }
  const denied: CheckAnswer = {
    ...error,
    httpResponse: { case: 'deniedResponse', value: { status: { code: 503 }, body: 'ours' } },
  }
  const rows: [name: string, answer: CheckAnswer, isAllowed: boolean, status: number, counter: string][] = [
    ['an error, failures refused', error, false, 503, 'error'],
    ['an error, failures allowed', error, true, 200, 'error'],
    ['a denial, failures refused', denied, false, 503, 'denied'],
    ['a denial, failures allowed', denied, true, 503, 'denied'],
  ]
  for (const [name, answer, isAllowed, status, counter] of rows) {
    await using bench = await startBench({
      authz: () => answer,
      filters: [{ kind: 'extAuthz', settings: { failure_mode_allow: isAllowed, stat_prefix: 'facts' } }],
    })
    const got = await http({ port: bench.port, path: '/' })
    t.equal(got.status, status, name)
    if (status === 503) t.equal(got.body, 'ours', name)
    const stats = await bench.envoy.stats()
    const counted = [...stats].filter(
      ([key, count]) => key.endsWith(`ext_authz.facts.${counter}`) && count === 1,
    )
    t.ok(counted.length > 0, `${name}: counted as ${counter}`)
  }
})

t.test('without thresholds of its own a cluster refuses the stream after the 1,024th', async (t) => {
  const held: (() => void)[] = []
  await using bench = await startBench({
    process: (message, stream) => {
      if (message.request.case === 'requestHeaders') held.push(() => passing()(message, stream))
      else passing()(message, stream)
    },
    filters: [{ kind: 'extProc', settings: { message_timeout: '60s' } }],
  })
  const statuses: number[] = []
  const all = Array.from({ length: 1030 }, () =>
    http({ port: bench.port, path: '/' }).then(({ status }) => statuses.push(status)),
  )
  await eventually(
    '1,024 streams wait and the others were refused',
    () => held.length === 1024 && statuses.length === 6,
  )
  t.same([...new Set(statuses)], [500], 'fail closed')
  for (const release of held) release()
  await Promise.all(all)
  t.equal(statuses.filter((status) => status === 200).length, 1024)
})

t.test(
  'Envoy joins a repeated authorization header before any filter sees it, and keeps other names apart',
  async (t) => {
    await using bench = await startBench({ process: passing(), filters: [{ kind: 'extProc' }] })
    await http({
      port: bench.port,
      path: '/',
      headers: { authorization: ['a', 'b'] as never, 'x-other': ['a', 'b'] },
    })
    const { request } = bench.messages[0] as (typeof bench.messages)[0]
    const headers = request.case === 'requestHeaders' ? (request.value.headers?.headers ?? []) : []
    const valuesOf = (name: string) =>
      headers.filter(({ key }) => key === name).map((header) => Buffer.from(header.rawValue).toString())
    t.same(valuesOf('x-other'), ['a', 'b'])
    t.equal(valuesOf('authorization').length, 1)
  },
)

/** A request of which the body comes late, or never. */
function slowBody(port: number, afterMs?: number): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = createConnection({ host: '127.0.0.1', port }, () => {
      socket.write('POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 4\r\n\r\n')
      if (afterMs !== undefined) setTimeout(() => socket.write('late'), afterMs)
    })
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
    socket.setTimeout(60_000, () => socket.destroy())
  })
}
