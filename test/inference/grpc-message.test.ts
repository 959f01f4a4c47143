import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { ModelInferRequestSchema } from '#gen/inference/grpc_service_pb.js'
import {
  createFrameGuard,
  createInferenceStage,
  hasNamedModel,
  isModelInMessage,
  spliceModelVersion,
} from '#inference/inference.ts'
import { inTurn, someRequest, someResources, strictForm } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'

const inferPath = '/inference.GRPCInferenceService/ModelInfer'

function framed(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const header = Buffer.alloc(5)
  header[0] = flag
  header.writeUInt32BE(length, 1)
  return Buffer.concat([header, message])
}
const message = (modelName: string, modelVersion = '', raw = 16) =>
  toBinary(
    ModelInferRequestSchema,
    create(ModelInferRequestSchema, {
      modelName,
      modelVersion,
      inputs: [{ name: 'features', datatype: 'FP32', shape: [4n] }],
      rawInputContents: [new Uint8Array(raw).fill(7)],
    }),
  )
/** A string field of a number, by hand. */
const field = (number: number, text: string) =>
  Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)])

function read(
  body: Uint8Array | undefined,
  isBodyComplete = true,
  path = inferPath,
): { verdict: Verdict; x: Exchange } {
  const request = someRequest({ path, client: 'grpc', isBodyComplete, ...(body && { body }) })
  const x: Exchange = { id: 'x', request, resources: someResources(), startedUs: 0 }
  return { verdict: inTurn(x, strictForm, createInferenceStage()), x }
}

t.test('model and version are read from the start of the message', async (t) => {
  t.same(read(framed(message('fraud'))).x.call, { protocol: 'v2-grpc', verb: 'infer', model: 'fraud' })
  t.same(read(framed(message('fraud', '2'))).x.call, {
    protocol: 'v2-grpc',
    verb: 'infer',
    model: 'fraud',
    version: '2',
  })
  const long = framed(message('fraud', '2', 1 << 20))
  t.same(read(long.subarray(0, 64), false).x.call?.version, '2', 'the tensors need not have come')
})

t.test('a message that hides or doubles the name is refused', async (t) => {
  const rows: [name: string, body: Uint8Array | undefined, isComplete: boolean, reason: string][] = [
    ['no message', undefined, true, 'request_malformed'],
    ['empty body', Buffer.alloc(0), true, 'request_malformed'],
    ['half a header', Buffer.from([0, 0]), true, 'request_malformed'],
    ['compressed', framed(message('fraud'), 1), true, 'message_compressed'],
    ['another flag', framed(message('fraud'), 2), true, 'message_compressed'],
    ['a length that lies', framed(message('fraud'), 0, 1_000_000), true, 'request_malformed'],
    ['a length that is too short', framed(message('fraud'), 0, 3), true, 'request_malformed'],
    ['two names', framed(Buffer.concat([field(1, 'fraud'), field(1, 'ocr')])), true, 'request_malformed'],
    [
      'two versions',
      framed(Buffer.concat([field(1, 'fraud'), field(2, '1'), field(2, '2')])),
      true,
      'request_malformed',
    ],
    ['a name that is a number', framed(Buffer.from([0x08, 0x01])), true, 'request_malformed'],
    ['a name that is not UTF-8', framed(Buffer.from([0x0a, 0x01, 0xff])), true, 'request_malformed'],
    ['field number 0', framed(Buffer.from([0x02, 0x01, 0x41])), true, 'request_malformed'],
    ['a group', framed(Buffer.from([0x0b])), true, 'request_malformed'],
    ['an endless varint', framed(Buffer.alloc(12, 0xff)), true, 'request_malformed'],
    ['no name', framed(field(2, '1')), true, 'model_name_invalid'],
    ['a name with a slash', framed(field(1, 'a/b')), true, 'model_name_invalid'],
    ['a name with a control character', framed(field(1, 'a\nb')), true, 'model_name_invalid'],
    [
      'a name behind the tensors',
      framed(Buffer.concat([field(7, 'raw'), field(1, 'fraud')])),
      true,
      'model_name_invalid',
    ],
    [
      'a version that is none',
      framed(Buffer.concat([field(1, 'fraud'), field(2, 'latest')])),
      true,
      'model_name_invalid',
    ],
    ['a name that is cut off', framed(message('fraud')).subarray(0, 8), false, 'request_malformed'],
  ]
  for (const [name, body, isComplete, reason] of rows) {
    t.match(read(body, isComplete).verdict, { kind: 'deny', reason }, name)
  }
})

t.test('methods that are not for callers are refused, unknown ones too', async (t) => {
  for (const method of [
    'RepositoryModelLoad',
    'RepositoryModelUnload',
    'RepositoryIndex',
    'CudaSharedMemoryRegister',
    'TraceSetting',
    'LogSettings',
    'Nothing',
    '',
  ]) {
    t.match(
      read(undefined, true, `/inference.GRPCInferenceService/${method}`).verdict,
      { kind: 'deny', reason: 'operation_forbidden' },
      method,
    )
  }
  t.equal(read(undefined, true, '/inference.GRPCInferenceService/ServerReady').x.call?.verb, 'server_ready')
  t.ok(isModelInMessage(inferPath))
  t.notOk(isModelInMessage('/inference.GRPCInferenceService/ServerReady'))
})

t.test('a gRPC path with another content type is refused', async (t) => {
  const request = someRequest({ path: inferPath, client: 'http', body: framed(message('fraud')) })
  const x: Exchange = { id: 'x', request, resources: someResources(), startedUs: 0 }
  t.match(inTurn(x, strictForm, createInferenceStage()), {
    kind: 'deny',
    reason: 'request_malformed',
  })
})

t.test('the decision waits only as long as name and version may still come', async (t) => {
  const whole = framed(message('fraud', '2', 4096))
  const firstOther = 5 + field(1, 'fraud').length + field(2, '2').length
  for (let length = 0; length <= whole.length; length++) {
    // The tag behind the version has to be seen, with its length.
    if (length < firstOther) t.notOk(hasNamedModel(whole.subarray(0, length), false), `${length} bytes`)
    if (length >= firstOther + 3) t.ok(hasNamedModel(whole.subarray(0, length), false), `${length} bytes`)
    if (length > firstOther + 8) break
  }
  t.ok(hasNamedModel(framed(message('fraud'), 1).subarray(0, 5), false), 'a refusal needs no more bytes')
})

const tensors = fc.uint8Array({ maxLength: 300 })
const names = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}$/)

t.test('a spliced message is the same message with the version set, its tensors untouched', async (t) => {
  fc.assert(
    fc.property(
      names,
      fc.constantFrom('', '1', '12'),
      tensors,
      fc.integer({ min: 1, max: 999 }),
      (model, version, raw, pinned) => {
        const original = create(ModelInferRequestSchema, {
          modelName: model,
          modelVersion: version,
          id: 'i',
          rawInputContents: [raw],
        })
        const body = framed(
          Buffer.concat([toBinary(ModelInferRequestSchema, original), field(15, 'unknown')]),
        )
        const spliced = Buffer.from(spliceModelVersion(body, String(pinned)))
        if (spliced.readUInt32BE(1) !== spliced.length - 5) return false
        const decoded = fromBinary(ModelInferRequestSchema, spliced.subarray(5))
        const { $unknown, ...known } = decoded
        t.equal($unknown?.length, 1)
        return (
          known.modelName === model &&
          known.modelVersion === String(pinned) &&
          known.id === 'i' &&
          Buffer.compare(known.rawInputContents[0] as Uint8Array, raw) === 0
        )
      },
    ),
  )
})

t.test('a prefix is spliced as the whole would be', async (t) => {
  const whole = framed(message('fraud', '', 10_000))
  const expected = spliceModelVersion(whole, '2')
  for (const cut of [64, 100, 5000]) {
    const spliced = Buffer.concat([spliceModelVersion(whole.subarray(0, cut), '2'), whole.subarray(cut)])
    t.equal(Buffer.compare(spliced, expected), 0, `cut at ${cut}`)
  }
})

t.test('what follows the first bytes cannot undo the decision, however it is cut into chunks', async (t) => {
  const good = framed(message('fraud', '1', 300))
  const rows: [name: string, body: Buffer, fault: RegExp | undefined][] = [
    ['an honest message', good, undefined],
    [
      'a version behind the tensors',
      framed(Buffer.concat([message('fraud', '1'), field(2, '9')])),
      /behind other fields/,
    ],
    [
      'a name behind the tensors',
      framed(Buffer.concat([message('fraud', '1'), field(1, 'ocr')])),
      /behind other fields/,
    ],
    ['a second message', Buffer.concat([good, good]), /second message/],
    ['a compressed one', framed(message('fraud'), 1), /compressed/],
    ['rubbish', framed(Buffer.from([0x0b, 1, 2])), /not a protobuf message/],
    ['a field longer than its message', framed(Buffer.from([0x3a, 0x7f, 1])), /not a protobuf message/],
  ]
  for (const [name, body, fault] of rows) {
    for (const size of [1, 2, 3, 7, 64, body.length]) {
      const guard = createFrameGuard()
      let found: string | undefined
      for (let at = 0; at < body.length && found === undefined; at += size)
        found = guard.feed(body.subarray(at, at + size))
      if (fault === undefined) t.equal(found, undefined, `${name}, chunks of ${size}`)
      else t.match(found, fault, `${name}, chunks of ${size}`)
    }
  }
})

t.test('no bytes make the reader, the splicer or the guard throw', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, isComplete) => {
      read(bytes, isComplete)
      createFrameGuard().feed(bytes)
      if (bytes.length >= 5) spliceModelVersion(bytes, '1')
    }),
    { numRuns: 2000 },
  )
  t.pass()
})
