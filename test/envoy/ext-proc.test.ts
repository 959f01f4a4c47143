import { fromBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { ALLOW, allowWith, deny, type Verdict } from '#decision/verdict.ts'
import type {
  CommonResponse,
  ProcessingResponse,
} from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { ModelInferRequestSchema } from '#gen/inference/grpc_service_pb.js'
import {
  framed,
  grpcHeaders,
  inferFrame,
  kit,
  Mode,
  requestBody,
  requestHeaders,
  requestTrailers,
  responseBody,
  responseHeaders,
  responseTrailers,
  script,
  settled,
} from './kit.ts'

/** What an answer sets, as plain text. */
function sets(answer: ProcessingResponse | undefined): Record<string, string> {
  const { case: kind, value } = answer?.response ?? { case: undefined }
  const mutation =
    kind === 'immediateResponse'
      ? value.headers
      : (value as { response?: CommonResponse } | undefined)?.response?.headerMutation
  return Object.fromEntries(
    (mutation?.setHeaders ?? []).map(({ header }) => [
      header?.key ?? '',
      Buffer.from(header?.rawValue ?? []).toString(),
    ]),
  )
}

function bodyOf(answer: ProcessingResponse | undefined): Uint8Array | boolean | undefined {
  const { case: kind, value } = answer?.response ?? { case: undefined }
  if (kind !== 'requestBody' && kind !== 'responseBody') return undefined
  const mutation = value.response?.bodyMutation?.mutation
  return mutation?.case === 'streamedResponse' ? mutation.value.body : mutation?.value
}

const half = new Uint8Array(40)

t.test('each body mode gets one answer a message, in order', async (t) => {
  const rows = [
    {
      name: 'NONE',
      said: [requestHeaders(), responseHeaders(), responseTrailers],
      heard: ['requestHeaders', 'responseHeaders', 'responseTrailers'],
    },
    {
      name: 'BUFFERED',
      said: [
        requestHeaders({ mode: Mode.BUFFERED, responseMode: Mode.BUFFERED }),
        requestBody(half, true),
        responseHeaders(),
        responseBody(half, true),
      ],
      heard: ['requestHeaders', 'requestBody', 'responseHeaders', 'responseBody'],
    },
    {
      name: 'BUFFERED_PARTIAL, cut',
      said: [requestHeaders({ mode: Mode.BUFFERED_PARTIAL }), requestBody(half), responseHeaders()],
      heard: ['requestHeaders', 'requestBody', 'responseHeaders'],
    },
    {
      name: 'STREAMED',
      said: [
        requestHeaders({ mode: Mode.STREAMED, responseMode: Mode.STREAMED }),
        requestBody(half),
        requestBody(half),
        requestTrailers,
        responseHeaders(),
        responseBody(half),
        responseBody(half, true),
        responseTrailers,
      ],
      heard: [
        'requestHeaders',
        'requestBody',
        'requestBody',
        'requestTrailers',
        'responseHeaders',
        'responseBody',
        'responseBody',
        'responseTrailers',
      ],
    },
    {
      name: 'STREAMED gRPC, the model in the second chunk',
      said: [
        grpcHeaders(),
        requestBody(inferFrame().subarray(0, 7)),
        requestBody(inferFrame().subarray(7)),
        requestTrailers,
        responseHeaders(),
      ],
      heard: ['requestHeaders', 'requestBody', 'requestBody', 'requestTrailers', 'responseHeaders'],
    },
    {
      name: 'BUFFERED gRPC',
      said: [grpcHeaders({ mode: Mode.BUFFERED }), requestBody(inferFrame(), true), responseHeaders()],
      heard: ['requestHeaders', 'requestBody', 'responseHeaders'],
    },
    {
      name: 'a request without a body',
      said: [requestHeaders({ mode: Mode.BUFFERED, isEnd: true }), responseHeaders()],
      heard: ['requestHeaders', 'responseHeaders'],
    },
  ]
  for (const answered of ['at once', 'later']) {
    for (const row of rows) {
      const bench = kit({ request: () => (answered === 'later' ? Promise.resolve(ALLOW) : ALLOW) })
      const envoy = script(bench)
      envoy.say(...row.said)
      await settled()
      t.strictSame(envoy.heardKinds(), row.heard, `${row.name}, decided ${answered}`)
      envoy.halfClose()
      t.equal(envoy.closed(), 'ok')
      t.strictSame([...bench.ends.values()], [1])
    }
  }
})

t.test('full duplex sends every byte back in pieces of at most 64 KiB and ends once', async (t) => {
  const frame = inferFrame({}, 200_000)
  const envoy = script(kit())
  envoy.say(grpcHeaders({ mode: Mode.FULL_DUPLEX_STREAMED, responseMode: Mode.FULL_DUPLEX_STREAMED }))
  t.strictSame(envoy.heardKinds(), [], 'the headers wait for the model')
  envoy.say(requestBody(frame.subarray(0, 3)))
  t.strictSame(envoy.heardKinds(), [])
  envoy.say(requestBody(frame.subarray(3, 150_000)), requestBody(frame.subarray(150_000), true))
  // Envoy may say the end twice.
  envoy.say(
    requestBody(new Uint8Array(), true),
    responseHeaders(),
    responseBody(half, true),
    responseTrailers,
  )
  const [headers, ...rest] = envoy.heard()
  t.equal(headers?.response.case, 'requestHeaders')
  const bodies = rest.filter(({ response }) => response.case === 'requestBody')
  const pieces = bodies.map((answer) => bodyOf(answer) as Uint8Array)
  t.ok(pieces.every(({ length }) => length <= 65_536))
  t.ok(Buffer.concat(pieces).equals(frame))
  const ends = bodies.map(({ response }) => {
    const mutation =
      response.case === 'requestBody' ? response.value.response?.bodyMutation?.mutation : undefined
    return mutation?.case === 'streamedResponse' && mutation.value.endOfStream
  })
  t.strictSame(
    ends.map((isEnd, index) => isEnd === (index === ends.length - 1)),
    ends.map(() => true),
  )
  t.strictSame(
    rest.slice(bodies.length).map(({ response }) => response.case),
    ['responseHeaders', 'responseBody', 'responseTrailers'],
  )
})

t.test('the chosen version goes into the path, and a version that was asked for stays', async (t) => {
  const choose = () => allowWith({ modelVersion: '3' })
  const rows = [
    ['/v2/models/fraud/infer', '/v2/models/fraud/versions/3/infer'],
    ['/v2/models/fraud/infer?a=1', '/v2/models/fraud/versions/3/infer?a=1'],
    ['/v2/models/fraud/versions/2/infer', undefined],
    ['/other', undefined],
  ] as const
  for (const [path, expected] of rows) {
    const envoy = script(kit({ request: choose }))
    envoy.say(requestHeaders({ path }))
    t.equal(sets(envoy.heard()[0])[':path'], expected, path)
  }
})

t.test('the chosen version goes into the first message, wherever its chunks are cut', async (t) => {
  const frame = inferFrame({}, 5000)
  for (const cut of [1, 4, 5, 6, 12, 13, 400, frame.length - 1]) {
    for (const mode of [Mode.STREAMED, Mode.FULL_DUPLEX_STREAMED]) {
      const envoy = script(kit({ request: () => allowWith({ modelVersion: '12' }) }))
      const chunks = [frame.subarray(0, cut), frame.subarray(cut)]
      envoy.say(grpcHeaders({ mode }), ...chunks.map((chunk, index) => requestBody(chunk, index === 1)))
      const upstream: Uint8Array[] = []
      let answered = 0
      for (const answer of envoy.heard()) {
        if (answer.response.case !== 'requestBody') continue
        const body = bodyOf(answer)
        if (body instanceof Uint8Array) upstream.push(body)
        else if (body === undefined) upstream.push(chunks[answered] ?? half)
        answered++
      }
      const sent = Buffer.concat(upstream)
      t.equal(sent.readUInt32BE(1), sent.length - 5, 'the frame is as long as it says')
      const message = fromBinary(ModelInferRequestSchema, sent.subarray(5))
      t.match({ ...message }, { modelName: 'fraud', modelVersion: '12' }, `cut at ${cut}`)
      t.equal(message.rawInputContents[0]?.length, 5000)
    }
  }
})

t.test('a buffered message that grows gets the length that fits', async (t) => {
  const envoy = script(kit({ request: () => allowWith({ modelVersion: '12' }) }))
  envoy.say(grpcHeaders({ mode: Mode.BUFFERED }), requestBody(inferFrame(), true))
  const answer = envoy.heard()[1]
  t.equal(sets(answer)['content-length'], String((bodyOf(answer) as Uint8Array).length))
})

t.test('query parameters are set and removed, also those that were written with escapes', async (t) => {
  const envoy = script(
    kit({
      request: () =>
        allowWith({
          setQuery: [
            ['a', 'x&y=1'],
            ['b', '2'],
          ],
          removeQuery: ['debug'],
        }),
    }),
  )
  envoy.say(requestHeaders({ path: '/other?a=0&c=3&%64ebug=1&debug' }))
  t.equal(sets(envoy.heard()[0])[':path'], '/other?a=x%26y%3D1&b=2&c=3')
})

t.test('headers that only Sluice may speak in never come from the client', async (t) => {
  const bench = kit({
    request: (x) => {
      x.tenant = { name: 'acme' } as NonNullable<typeof x.tenant>
      return ALLOW
    },
  })
  const envoy = script(bench)
  envoy.say(requestHeaders({ headers: { 'x-sluice-tenant': 'other', 'x-sluice-whatever': '1' } }))
  const [answer] = envoy.heard()
  t.match(sets(answer), { 'x-sluice-tenant': 'acme', 'x-sluice-decision-id': /^[0-9a-f-]{36}$/ })
  const mutation =
    answer?.response.case === 'requestHeaders' ? answer.response.value.response?.headerMutation : undefined
  t.strictSame(mutation?.removeHeaders, ['x-sluice-whatever'])
  t.ok(mutation?.setHeaders.every((option) => option.append === false && option.appendAction === 2))
})

t.test('a refusal is one immediate response, and nothing after it is answered', async (t) => {
  for (const request of [() => deny('rate_limited'), async () => deny('rate_limited')]) {
    const bench = kit({ request })
    const envoy = script(bench)
    envoy.say(grpcHeaders(), requestBody(inferFrame()), requestBody(half), requestTrailers)
    await settled()
    const [answer, ...more] = envoy.heard()
    t.strictSame(more, [])
    t.match(answer?.response, {
      case: 'immediateResponse',
      value: { status: { code: 429 }, grpcStatus: { status: 8 }, details: 'sluice_rate_limited' },
    })
    envoy.cancel()
    t.strictSame([...bench.ends.values()], [1])
  }
})

t.test('an answer may be refused, and headers of both verdicts are added to a permitted one', async (t) => {
  const refused = script(kit({ response: () => deny('residency_denied') }))
  refused.say(requestHeaders(), responseHeaders())
  t.strictSame(refused.heardKinds(), ['requestHeaders', 'immediateResponse'])

  const served: unknown[] = []
  const allowed = script(
    kit({
      request: () => allowWith({ addResponseHeaders: [['x-a', '1']] }),
      response: async (x) => {
        served.push(x.served)
        return allowWith({ addResponseHeaders: [['x-b', '2']] })
      },
    }),
  )
  allowed.say(requestHeaders(), responseHeaders({ ':status': '200', 'grpc-status': '14' }), responseTrailers)
  await settled()
  const answers = allowed.heard()
  t.strictSame(sets(answers[1]), { 'x-a': '1', 'x-b': '2' })
  t.equal(answers[2]?.response.case, 'responseTrailers')
  t.match(served, [
    { httpStatus: 200, grpcStatus: 14, upstreamAddress: '10.0.0.7:8001', isBodyComplete: false },
  ])
})

t.test(
  'a failure that is left to Envoy ends the stream with a status, and an answer says nothing more',
  async (t) => {
    const failing = { kind: 'error', reason: 'policy_failed', cause: null, failsCall: true } as const
    const request = script(kit({ request: () => failing }))
    request.say(requestHeaders())
    t.strictSame(request.heardKinds(), [])
    t.match(request.closed(), { code: 2, message: 'A decision could not be made.' })
    const response = script(kit({ response: () => failing }))
    response.say(requestHeaders(), responseHeaders())
    t.strictSame(response.heardKinds(), ['requestHeaders'])
    t.match(response.closed(), { code: 2 })
  },
)

t.test('what would undo the decision later in the body ends the call', async (t) => {
  const second = framed(Buffer.concat([inferFrame().subarray(5), Buffer.from('\x0a\x05other')]))
  const rows = [
    ['a second name behind the tensors', [second]],
    ['a second name in a later chunk', [second.subarray(0, 30), second.subarray(30)]],
    ['a second message', [inferFrame(), inferFrame({ modelName: 'other' })]],
  ] as const
  for (const [name, chunks] of rows) {
    const envoy = script(kit())
    envoy.say(grpcHeaders(), ...chunks.map((chunk) => requestBody(chunk)))
    t.equal(envoy.heardKinds().at(-1), 'immediateResponse', name)
  }
})

t.test('a setting of Envoy that hides the model is refused, and the log names the field', async (t) => {
  const rows = [
    [grpcHeaders({ mode: Mode.NONE }), /request_body_mode is NONE; expected STREAMED/],
    [grpcHeaders({ mode: Mode.BUFFERED_PARTIAL }), /request_body_mode is BUFFERED_PARTIAL/],
    [grpcHeaders({ isEager: false }), /send_body_without_waiting_for_header_response is false/],
    [requestHeaders({ mode: Mode.GRPC }), /request_body_mode is GRPC/],
    [requestHeaders({ responseMode: Mode.GRPC }), /response_body_mode is GRPC/],
    [responseHeaders(), /request_header_mode is SKIP/],
  ] as const
  for (const [ask, field] of rows) {
    const bench = kit()
    const envoy = script(bench)
    envoy.say(ask)
    const heard = envoy.heard()
    t.match(heard[0]?.response, {
      case: 'immediateResponse',
      value: { details: 'sluice_envoy_config_unsupported' },
    })
    t.equal(heard.length, 1, 'a refusal is the last word')
    t.match(bench.logged.join(''), field)
    envoy.cancel()
    t.strictSame([...bench.ends.values()], [1])
  }
})

t.test('the certificate and where it came from are facts', async (t) => {
  const seen: unknown[] = []
  const envoy = script(
    kit({
      request: ({ request }) => {
        seen.push(request.certificate, request.sni, request.sourceAddress, request.attributes())
        return ALLOW
      },
    }),
  )
  envoy.say(
    requestHeaders({
      headers: { 'x-request-id': 'r1', 'content-length': '12' },
      attributes: {
        'connection.peer_certificate': '-----BEGIN X-----\n',
        'connection.peer_certificate_valid': true,
        'connection.uri_san_peer_certificate': 'spiffe://a/b',
        'connection.requested_server_name': 'models.example',
        'source.address': '10.1.2.3:4567',
        'request.protocol': 'HTTP/2',
      },
    }),
  )
  t.match(seen, [
    { pem: '-----BEGIN X-----\n', isChainValid: true },
    'models.example',
    '10.1.2.3:4567',
    {
      source: {
        address: { socketAddress: { address: '10.1.2.3', portValue: 4567 } },
        principal: 'spiffe://a/b',
        certificate: '-----BEGIN%20X-----%0A',
      },
      request: {
        http: {
          id: 'r1',
          method: 'POST',
          path: '/v2/models/fraud/infer',
          host: 'models',
          scheme: 'https',
          protocol: 'HTTP/2',
          size: 12,
          headers: { ':path': '/v2/models/fraud/infer', 'x-request-id': 'r1' },
        },
      },
      tlsSession: { sni: 'models.example' },
    },
  ])
})

t.test('a gRPC call that names its model in the path of another service is not held back', async (t) => {
  const envoy = script(kit())
  envoy.say(grpcHeaders({ path: '/other.Service/Call' }))
  t.strictSame(envoy.heardKinds(), ['requestHeaders'])
})

t.test('an answer that Envoy keeps back is judged with its body, and changed together with it', async (t) => {
  const seen: unknown[] = []
  const stub = kit({
    response: ({ served }) => {
      seen.push([served?.body?.toString(), served?.isBodyComplete])
      return allowWith({
        addResponseHeaders: [['x-a', '1']],
        removeResponseHeaders: ['x-a', 'x-b'],
        responseBody: Buffer.from('other'),
      })
    },
  })
  const envoy = script(stub)
  envoy.say(requestHeaders({ responseMode: Mode.BUFFERED_PARTIAL }), responseHeaders())
  t.same(envoy.heardKinds(), ['requestHeaders', 'responseHeaders'])
  t.same(seen, [], 'not before the body')
  envoy.say(responseBody(Buffer.from('whole'), true))
  const [answer] = envoy.heard()
  t.same(seen, [['whole', true]])
  t.match(answer, {
    response: {
      case: 'responseBody',
      value: { response: { bodyMutation: { mutation: { case: 'body', value: Buffer.from('other') } } } },
    },
  })
  t.same(sets(answer), { 'x-a': '1', 'content-length': '5' })
  t.match(answer, {
    response: { value: { response: { headerMutation: { removeHeaders: ['x-a', 'x-b'] } } } },
  })
})

t.test('an answer that has trailers and no body is judged at its trailers', async (t) => {
  const said = [requestHeaders({ responseMode: Mode.BUFFERED_PARTIAL }), responseHeaders(), responseTrailers]
  const rows: [name: string, verdict: Verdict, last: string, details?: string][] = [
    ['allowed', ALLOW, 'responseTrailers'],
    ['denied', deny('policy_answer_denied'), 'immediateResponse', 'sluice_policy_answer_denied'],
    [
      'allowed with headers, which cannot be changed any more',
      allowWith({ removeResponseHeaders: ['x-internal'] }),
      'immediateResponse',
      'sluice_redaction_impossible',
    ],
  ]
  for (const [name, verdict, last, details] of rows) {
    const seen: unknown[] = []
    const envoy = script(
      kit({
        response: ({ served }) => {
          seen.push([served?.body, served?.isBodyComplete])
          return verdict
        },
      }),
    )
    envoy.say(...said)
    const heard = envoy.heard()
    t.equal(heard.at(-1)?.response.case, last, name)
    t.same(seen, [[undefined, true]], name)
    if (details !== undefined) t.match(heard.at(-1)?.response.value, { details }, name)
  }
})
