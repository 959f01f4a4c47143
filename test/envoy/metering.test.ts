import t from 'tap'
import { reasons } from '#decision/reasons.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, allowWith, deny, type Verdict } from '#decision/verdict.ts'
import { extProcMethod } from '#envoy/ext-proc.ts'
import type { ProcessingResponse } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import fc from '../fast-check.ts'
import {
  type Ask,
  grpcHeaders,
  inferFrame,
  kit,
  Mode,
  requestBody,
  requestHeaders,
  responseBody,
  responseHeaders,
  responseTrailers,
  type Script,
  script,
  settled,
} from './kit.ts'
import { type MeterScript, meterScript } from './scripted-meter.ts'

const streamPath = '/v2/models/fraud/generate_stream'
const plainPath = '/v2/models/fraud/generate'
const bytes = (text: string) => Buffer.from(text)
const eventStream = { ':status': '200', 'content-type': 'text/event-stream' }

/** A stage that has calls measured by `meter`. */
function measuredBy({ meter, hold }: MeterScript, verdict: Verdict = ALLOW): Pick<Stage, 'request'> {
  return {
    request: (x) => {
      x.meter = meter
      x.hold = hold
      return verdict
    },
  }
}

const overrideOf = (answer: ProcessingResponse | undefined) => answer?.modeOverride?.responseBodyMode

/** What the client would read of a body's answers: what was sent, where Envoy's mode is `mode`. */
function shown(pieces: readonly Uint8Array[], answers: readonly ProcessingResponse[]): string {
  const given: Uint8Array[] = []
  let at = 0
  for (const { response } of answers) {
    if (response.case !== 'responseBody') continue
    const mutation = response.value.response?.bodyMutation?.mutation
    const piece = pieces[at++] ?? bytes('')
    if (mutation?.case === 'streamedResponse') given.push(mutation.value.body)
    else if (mutation?.case === 'body') given.push(mutation.value)
    else if (mutation?.case !== 'clearBody') given.push(piece)
  }
  return Buffer.concat(given).toString()
}

/** Says a request and the head of its answer. @returns the answer to the latter */
function begin(envoy: Script, headers: Ask, answer: Ask = responseHeaders(eventStream)): ProcessingResponse {
  envoy.say(headers, answer)
  return envoy.heard().at(-1) as ProcessingResponse
}

t.test('bodies of answers come only where they are measured, and in the mode that fits', async (t) => {
  const { NONE, STREAMED, BUFFERED_PARTIAL, FULL_DUPLEX_STREAMED } = Mode
  const rows = [
    // path, configured, sent without waiting, measured → override
    [plainPath, NONE, false, false, undefined],
    [plainPath, NONE, false, true, STREAMED],
    [plainPath, BUFFERED_PARTIAL, false, true, undefined],
    [plainPath, STREAMED, false, true, undefined],
    [streamPath, NONE, false, false, undefined],
    [streamPath, NONE, false, true, FULL_DUPLEX_STREAMED],
    [streamPath, BUFFERED_PARTIAL, false, false, NONE],
    [streamPath, BUFFERED_PARTIAL, false, true, FULL_DUPLEX_STREAMED],
    [streamPath, FULL_DUPLEX_STREAMED, false, true, undefined],
    [streamPath, STREAMED, true, true, undefined],
    [streamPath, BUFFERED_PARTIAL, true, false, undefined],
  ] as const
  for (const [path, responseMode, isEager, isMetered, expected] of rows) {
    const envoy = script(kit(measuredBy(meterScript({ isMetered }))))
    const answer = begin(envoy, requestHeaders({ path, responseMode, isEager, mode: NONE }))
    const name = `${path} ${Mode[responseMode]} eager ${isEager} metered ${isMetered}`
    t.equal(answer.response.case, 'responseHeaders', name)
    t.equal(overrideOf(answer), expected, name)
    if (expected === undefined) continue
    t.match(
      answer.modeOverride,
      {
        requestHeaderMode: 1,
        responseHeaderMode: 1,
        requestBodyMode: NONE,
        requestTrailerMode: 2,
        responseTrailerMode: expected === NONE ? 2 : 1,
      },
      `${name}: every field, for Envoy compares them`,
    )
  }
})

t.test('whether an answer is shown for certain is known by the mode, or once another one was', async (t) => {
  const seen: (boolean | undefined)[] = []
  const bench = kit({
    ...measuredBy(meterScript()),
    end: ({ isAnswerShown }) => void seen.push(isAnswerShown),
  })
  const method = extProcMethod({ ...bench, firstMessageTimeoutMs: 1000 })
  const stream = (mode: number, pieces: readonly string[]) => {
    const envoy = script(bench, 1000, method)
    begin(envoy, requestHeaders({ path: streamPath, responseMode: mode, isEager: false, mode: Mode.NONE }))
    envoy.say(...pieces.map((piece) => responseBody(bytes(piece), false)))
    envoy.cancel()
  }
  stream(Mode.FULL_DUPLEX_STREAMED, [])
  stream(Mode.NONE, [])
  stream(Mode.NONE, ['data: a\n\n'])
  stream(Mode.NONE, [])
  t.same(seen, [true, false, false, true])
})

t.test('a stream of OpenAI is known by its body', async (t) => {
  for (const [stream, expected] of [
    [true, Mode.FULL_DUPLEX_STREAMED],
    [false, Mode.STREAMED],
  ] as const) {
    const envoy = script(kit(measuredBy(meterScript())))
    const path = '/v1/chat/completions'
    const body = JSON.stringify({ model: 'chat', messages: [], stream })
    envoy.say(
      requestHeaders({
        path,
        mode: Mode.BUFFERED_PARTIAL,
        isEager: false,
        headers: { 'content-type': 'application/json' },
      }),
      requestBody(bytes(body), true),
      responseHeaders(eventStream),
    )
    const answer = envoy.heard().at(-1)
    t.equal(overrideOf(answer), expected)
    t.equal(answer?.modeOverride?.requestBodyMode, Mode.BUFFERED_PARTIAL)
  }
})

t.test('a call that cannot be measured by its answer is refused, and the log names the field', async (t) => {
  const bench = kit(measuredBy(meterScript()))
  const envoy = script(bench)
  envoy.say(requestHeaders({ isEager: true }))
  t.match(envoy.heard()[0]?.response, {
    case: 'immediateResponse',
    value: { details: 'sluice_envoy_config_unsupported' },
  })
  t.match(bench.logged.join(''), /response_body_mode is NONE; expected STREAMED/)
  const unmeasured = script(kit(measuredBy(meterScript({ isMetered: false }))))
  unmeasured.say(requestHeaders({ isEager: true }))
  t.strictSame(unmeasured.heardKinds(), ['requestHeaders'])
})

t.test('the meter is told of an answer what there is of it, and its end', async (t) => {
  const rows: [name: string, said: Ask[], told: string[]][] = [
    [
      'pieces and an end',
      [responseHeaders(eventStream), responseBody(bytes('a')), responseBody(bytes('b'), true)],
      ['begin 200 text/event-stream', 'feed a', 'feed b.'],
    ],
    [
      'trailers',
      [
        responseHeaders({ ':status': '200', 'content-type': 'application/grpc', 'content-encoding': 'gzip' }),
        responseBody(bytes('a')),
        responseTrailers,
      ],
      ['begin 200 application/grpc gzip', 'feed a', 'feed .'],
    ],
    [
      'broken off',
      [responseHeaders(eventStream), responseBody(bytes('a'))],
      ['begin 200 text/event-stream', 'feed a'],
    ],
    ['nothing', [], []],
  ]
  for (const [name, said, told] of rows) {
    const measured = meterScript()
    const bench = kit(measuredBy(measured))
    const envoy = script(bench)
    envoy.say(requestHeaders({ path: streamPath, isEager: false }), ...said)
    envoy.cancel()
    t.strictSame(measured.told, told, name)
    t.strictSame([...bench.ends.values()], [1], name)
  }
  const measured = meterScript()
  const bare = script(kit(measuredBy(measured)))
  const headers = responseHeaders({ ':status': '503' }).request as Extract<
    Ask['request'],
    { case: 'responseHeaders' }
  >
  const value = { ...headers.value, endOfStream: true }
  const answer = begin(bare, requestHeaders({ isEager: false }), {
    request: { case: 'responseHeaders', value },
  } as Ask)
  t.equal(overrideOf(answer), undefined, 'there is nothing to come')
  t.strictSame(measured.told, ['begin 503', 'feed .'], 'headers alone')
})

t.test('the client reads what the meter gives, however the body is cut', async (t) => {
  const pieceOf = fc.string({ unit: fc.constantFrom('a', 'b', '#'), maxLength: 6 })
  const without = (piece: Uint8Array) => bytes(Buffer.from(piece).toString().replaceAll('#', ''))
  fc.assert(
    fc.property(
      fc.array(pieceOf, { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      fc.boolean(),
      (pieces, isStream, isLate) => {
        const measured = meterScript({ change: (piece, isEnd) => (isLate && isEnd ? piece : without(piece)) })
        const envoy = script(kit(measuredBy(measured)))
        begin(envoy, requestHeaders({ path: isStream ? streamPath : plainPath, isEager: false }))
        envoy.say(...pieces.map((piece, index) => responseBody(bytes(piece), index === pieces.length - 1)))
        const heard = envoy.heard()
        const last = pieces.at(-1) as string
        const all = pieces.join('')
        const kept = isLate
          ? all.slice(0, all.length - last.length).replaceAll('#', '') + last
          : all.replaceAll('#', '')
        t.equal(shown(pieces.map(bytes), heard), kept)
        t.equal(measured.fed().toString(), all)
        if (!isStream) t.equal(heard.length, pieces.length, 'one answer for each')
        return true
      },
    ),
    { numRuns: 60 },
  )
})

t.test('a piece that the meter leaves alone costs the shortest answer there is', async (t) => {
  const envoy = script(kit(measuredBy(meterScript())))
  begin(envoy, requestHeaders({ path: plainPath, isEager: false }))
  envoy.say(responseBody(bytes('piece')))
  const [answer] = envoy.heard()
  t.match(answer?.response, { case: 'responseBody', value: { response: undefined } })
})

t.test('the length of an answer that may change is not said', async (t) => {
  const changedRequest = allowWith({ requestBody: bytes('{}') })
  const rows = [
    [streamPath, ALLOW, ['content-length']],
    [plainPath, ALLOW, []],
    [plainPath, changedRequest, ['content-length']],
  ] as const
  for (const [path, verdict, removed] of rows) {
    const envoy = script(kit(measuredBy(meterScript(), verdict)))
    envoy.say(
      requestHeaders({ path, mode: Mode.BUFFERED_PARTIAL, isEager: false }),
      requestBody(bytes('{"text_input":"a"}'), true),
      responseHeaders(eventStream),
    )
    const { response } = envoy.heard().at(-1) as ProcessingResponse
    const mutation = response.case === 'responseHeaders' ? response.value.response?.headerMutation : undefined
    t.strictSame(mutation?.removeHeaders, removed, path)
  }
})

t.test('of several events in one piece only those are shown that what was held pays for', async (t) => {
  for (const blank of ['\n\n', '\r\n\r\n']) {
    const measured = meterScript({ allowedBytes: 5, farewell: 'bye' })
    const bench = kit(measuredBy(measured))
    const envoy = script(bench)
    begin(envoy, requestHeaders({ path: streamPath, isEager: false, responseMode: Mode.NONE }))
    envoy.say(responseBody(bytes(`data: 1${blank}data: 2${blank}`), true))
    const said = envoy.heard().map(({ response }) => {
      const mutation =
        response.case === 'responseBody' ? response.value.response?.bodyMutation?.mutation : undefined
      return mutation?.case === 'streamedResponse'
        ? `${Buffer.from(mutation.value.body)}${mutation.value.endOfStream ? '.' : ''}`
        : response.case
    })
    t.strictSame(said, [`data: 1${blank}bye ${reasons.quota_exceeded.text}.`])
    t.strictSame(measured.told.slice(1), [`feed data: 1${blank}`])
    envoy.cancel()
  }
})

t.test('an answer that has used up what was held for it ends, and nothing more of it is shown', async (t) => {
  const { text } = reasons.quota_exceeded
  const rows: [
    name: string,
    path: string,
    farewell: string | undefined,
    isEager: boolean,
    heard: unknown[],
  ][] = [
    ['a stream says goodbye and ends', streamPath, 'bye', false, ['abc', `defbye ${text}.`]],
    [
      'a stream without a goodbye is reset',
      streamPath,
      undefined,
      false,
      ['abc', 'def', 'immediateResponse'],
    ],
    [
      'where Envoy takes no end, a goodbye and a reset',
      streamPath,
      'bye',
      true,
      ['abc', `defbye ${text}`, 'immediateResponse'],
    ],
    ['an answer in one piece is reset', plainPath, undefined, false, ['abc', 'abc', 'immediateResponse']],
  ]
  for (const [name, path, farewell, isEager, expected] of rows) {
    const measured = meterScript({ allowedBytes: 5, ...(farewell !== undefined && { farewell }) })
    const bench = kit(measuredBy(measured))
    const envoy = script(bench)
    begin(envoy, requestHeaders({ path, isEager, responseMode: isEager ? Mode.STREAMED : Mode.NONE }))
    envoy.say(responseBody(bytes('abc')), responseBody(bytes('def')))
    // What was on its way.
    envoy.say(responseBody(bytes('ghi')), responseBody(bytes('jkl'), true), responseTrailers)
    const heard = envoy.heard().map(({ response }) => {
      if (response.case !== 'responseBody') return response.case
      const mutation = response.value.response?.bodyMutation?.mutation
      if (mutation?.case === 'streamedResponse')
        return `${Buffer.from(mutation.value.body)}${mutation.value.endOfStream ? '.' : ''}`
      return mutation?.case === 'body' ? Buffer.from(mutation.value).toString() : 'abc'
    })
    t.strictSame(heard, expected, name)
    t.strictSame(measured.told.slice(1), ['feed abc', 'feed def'], `${name}: what comes after is not fed`)
    t.equal(measured.meter.metered().isComplete, false, name)
    envoy.cancel()
    t.strictSame([...bench.ends.values()], [1], name)
  }
})

t.test('the last piece is shown, for it has been computed', async (t) => {
  const envoy = script(kit(measuredBy(meterScript({ allowedBytes: 2, farewell: 'bye' }))))
  begin(envoy, requestHeaders({ path: streamPath, isEager: false }))
  envoy.say(responseBody(bytes('whole'), true))
  t.equal(shown([bytes('whole')], envoy.heard()), 'whole')
})

t.test('an end that is refused is on record', async (t) => {
  const recorded: string[] = []
  const bench = kit(measuredBy(meterScript({ allowedBytes: 1, farewell: 'bye' })))
  const { refuse } = bench.pipeline
  const pipeline = {
    ...bench.pipeline,
    refuse: (...[x, refusal]: Parameters<typeof refuse>) => {
      recorded.push(refusal.reason)
      return refuse(x, refusal)
    },
  }
  const envoy = script({ ...bench, pipeline })
  begin(envoy, requestHeaders({ path: streamPath, isEager: false }))
  envoy.say(responseBody(bytes('abc')))
  t.strictSame(recorded, ['quota_exceeded'])
})

t.test('what the meter kept back goes before the trailers', async (t) => {
  const change = (piece: Uint8Array, isEnd: boolean) => (isEnd ? bytes('kept') : piece)
  const duplex = script(kit(measuredBy(meterScript({ change }))))
  begin(duplex, requestHeaders({ path: streamPath, isEager: false }))
  duplex.say(responseBody(bytes('a')), responseTrailers)
  const heard = duplex.heard()
  t.equal(shown([bytes('a')], heard), 'akept')
  t.strictSame(
    heard.map(({ response }) => response.case),
    ['responseBody', 'responseBody', 'responseTrailers'],
  )
  // Where every piece has one answer there is no place for it, and a part of an answer is not passed off as all of it.
  const streamed = script(kit(measuredBy(meterScript({ change }))))
  begin(streamed, requestHeaders({ path: plainPath, isEager: false }))
  streamed.say(responseBody(bytes('a')), responseTrailers)
  t.match(streamed.closed(), { code: 13 })
})

t.test(
  'an answer that policy judges whole is fed once, and judged as the client would read it',
  async (t) => {
    const rows: [name: string, policy: Verdict, shown: string | undefined][] = [
      ['as the meter left it', ALLOW, 'a-b'],
      ['as policy changed it', allowWith({ responseBody: bytes('other') }), 'other'],
    ]
    for (const [name, verdict, expected] of rows) {
      const judged: unknown[] = []
      const measured = meterScript({ change: () => bytes('a-b') })
      const bench = kit({
        ...measuredBy(measured),
        response: ({ served }) => {
          judged.push([served?.body?.toString(), served?.isBodyComplete])
          return verdict
        },
      })
      const envoy = script(bench)
      begin(envoy, requestHeaders({ path: plainPath, isEager: false, responseMode: Mode.BUFFERED_PARTIAL }))
      envoy.say(responseBody(bytes('a#b'), true))
      t.strictSame(measured.told.slice(1), ['feed a#b.'], name)
      t.strictSame(judged, [['a-b', true]], name)
      t.equal(shown([bytes('a#b')], envoy.heard()), expected, name)
    }
    const cut = script(kit(measuredBy(meterScript({ allowedBytes: 2 }))))
    begin(cut, requestHeaders({ path: plainPath, isEager: false, responseMode: Mode.BUFFERED_PARTIAL }))
    cut.say(responseBody(bytes('abc')))
    t.match(cut.heard()[0]?.response, {
      case: 'immediateResponse',
      value: { status: { code: 429 }, details: 'sluice_quota_exceeded' },
    })
  },
)

t.test('an answer that is refused is not measured any further', async (t) => {
  const measured = meterScript()
  const envoy = script(kit({ ...measuredBy(measured), response: () => deny('residency_denied') }))
  envoy.say(requestHeaders({ path: streamPath, isEager: false }), responseHeaders(eventStream))
  envoy.say(responseBody(bytes('secret'), true))
  t.strictSame(envoy.heardKinds(), ['requestHeaders', 'immediateResponse'])
  t.strictSame(measured.told, ['begin 200 text/event-stream'])
})

t.test('the model server is not asked to compress what is to be measured', async (t) => {
  for (const isMetered of [true, false]) {
    const envoy = script(kit(measuredBy(meterScript({ isMetered }))))
    const headers = { 'accept-encoding': 'gzip', 'grpc-accept-encoding': 'gzip' }
    envoy.say(requestHeaders({ headers, isEager: false }))
    const { response } = envoy.heard()[0] as ProcessingResponse
    const mutation = response.case === 'requestHeaders' ? response.value.response?.headerMutation : undefined
    t.strictSame(mutation?.removeHeaders, isMetered ? ['accept-encoding', 'grpc-accept-encoding'] : [])
  }
})

t.test('a request body that a stage changed goes in place of the one that was seen whole', async (t) => {
  const changed = bytes('{"text_input":"a","max_tokens":1}')
  const request = () => allowWith({ requestBody: changed })
  const whole = script(kit({ request }))
  whole.say(
    requestHeaders({ path: plainPath, mode: Mode.BUFFERED_PARTIAL }),
    requestBody(bytes('{"text_input":"a"}'), true),
  )
  t.match(whole.heard().at(-1)?.response, {
    case: 'requestBody',
    value: { response: { bodyMutation: { mutation: { case: 'body', value: changed } } } },
  })
  for (const said of [
    [requestHeaders({ path: plainPath, mode: Mode.BUFFERED_PARTIAL }), requestBody(bytes('{"text_i'))],
    [requestHeaders({ path: plainPath })],
  ]) {
    const partial = script(kit({ request }))
    partial.say(...said)
    t.match(partial.heard().at(-1)?.response, {
      case: 'immediateResponse',
      value: { details: 'sluice_internal_error' },
    })
  }
})

t.test('trailers of a request are answered after its decision, however late that is', async (t) => {
  for (const request of [() => ALLOW, async () => ALLOW]) {
    const envoy = script(kit({ request }))
    envoy.say(grpcHeaders(), requestBody(inferFrame().subarray(0, 7)))
    envoy.say(requestBody(inferFrame().subarray(7)), { request: { case: 'requestTrailers', value: {} } })
    await settled()
    t.strictSame(envoy.heardKinds(), ['requestHeaders', 'requestBody', 'requestBody', 'requestTrailers'])
  }
})

t.test('a reset at any moment ends the exchange once, after the last piece', async (t) => {
  const said = [
    requestHeaders({ path: streamPath, isEager: false }),
    responseHeaders(eventStream),
    responseBody(bytes('a')),
    responseBody(bytes('b')),
    responseBody(bytes('c'), true),
  ]
  for (let after = 1; after <= said.length; after++) {
    const measured = meterScript()
    const bench = kit({ ...measuredBy(measured), end: () => void measured.told.push('end') })
    const envoy = script(bench)
    envoy.say(...said.slice(0, after))
    envoy.cancel()
    envoy.say(...said.slice(after))
    t.equal(measured.told.at(-1), 'end', `after ${after}`)
    t.equal(measured.told.filter((told) => told === 'end').length, 1)
    t.equal(measured.meter.metered().isComplete, after === said.length)
  }
})
