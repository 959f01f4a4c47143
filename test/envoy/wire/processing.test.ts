import { fromBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { RequestHeaders } from '#decision/request-headers.ts'
import { decodeProcessing, type ProcessingMessage } from '#envoy/processing-message.ts'
import type { HeaderMap } from '#gen/envoy/config/core/v3/base_pb.js'
import { ProcessingRequestSchema } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import fc from '../../fast-check.ts'
import { boundaries, isAmbiguous, messageBytes, strictness } from './message-bytes.ts'

/** The same message by way of protobuf-es. */
function oracle(bytes: Uint8Array): ProcessingMessage {
  const message = fromBinary(ProcessingRequestSchema, bytes)
  const { case: kind, value } = message.request
  const { protocolConfig: config } = message
  const isBody = kind === 'requestBody' || kind === 'responseBody'
  return {
    kind: kind?.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`) as ProcessingMessage['kind'],
    headers: headersOf(
      kind === undefined || isBody
        ? undefined
        : (value as { trailers?: HeaderMap; headers?: HeaderMap })[
            kind.endsWith('Trailers') ? 'trailers' : 'headers'
          ],
    ),
    body: Buffer.from(isBody ? value.body : []),
    endOfStream: kind !== undefined && 'endOfStream' in value && value.endOfStream,
    attributes: (message.attributes['envoy.filters.http.ext_proc'] ?? {}) as ProcessingMessage['attributes'],
    modes: config && {
      request: config.requestBodyMode,
      response: config.responseBodyMode,
      isEager: config.sendBodyWithoutWaitingForHeaderResponse,
    },
    isObserved: message.observabilityMode,
  }
}

function headersOf(map: HeaderMap | undefined): RequestHeaders {
  const headers = new RequestHeaders()
  for (const { key, value, rawValue } of map?.headers ?? [])
    headers.add(key, rawValue.length > 0 ? Buffer.from(rawValue).toString('latin1') : value)
  return headers
}

function outcome(read: () => ProcessingMessage): { readonly message?: string; readonly why?: string } {
  try {
    const message = read()
    const { headers, body, attributes, ...rest } = message
    return {
      message: JSON.stringify([rest, [...headers.entries()], body.toString('hex'), sorted(attributes)]),
    }
  } catch (thrown) {
    return { why: (thrown as Error).name === 'WireFault' ? (thrown as Error).message : 'a bug' }
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => [key, sorted(each)])
}

function agree(bytes: Uint8Array, differences = strictness): boolean {
  const mine = outcome(() => decodeProcessing(Buffer.from(bytes)))
  if (mine.why === 'a bug') return false
  if (differences.some((why) => mine.why?.startsWith(why))) return true
  if (isAmbiguous(ProcessingRequestSchema, bytes)) return true
  const theirs = outcome(() => oracle(bytes))
  return mine.message === theirs.message
}

const processing = messageBytes(ProcessingRequestSchema, 5)

t.test('a message is what protobuf-es reads, whatever order, repetition and unknown fields', async () => {
  fc.assert(
    fc.property(processing, (bytes) => agree(bytes)),
    { numRuns: 3000 },
  )
})

t.test('bytes that were changed are read as protobuf-es reads them, or refused', async () => {
  const changed = fc
    .tuple(processing, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat())
    .map(([bytes, flips, cut]) => {
      const copy = Buffer.from(bytes)
      for (const [at, value] of flips) if (copy.length > 0) copy[at % copy.length] = value
      return cut % 3 === 0 ? copy.subarray(0, cut % (copy.length + 1)) : copy
    })
  fc.assert(
    fc.property(changed, (bytes) => agree(bytes, [...strictness, ...boundaries])),
    { numRuns: 3000 },
  )
})

t.test('rubbish is refused and nothing else', async () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      (bytes) => outcome(() => decodeProcessing(Buffer.from(bytes))).why !== 'a bug',
    ),
    { numRuns: 3000 },
  )
})

t.test('a body is a view of what came', async (t) => {
  const bytes = Buffer.concat([Buffer.from([0x22, 7, 0x0a, 3]), Buffer.from('abc'), Buffer.from([0x10, 1])])
  const { body, endOfStream } = decodeProcessing(bytes)
  t.equal(body.toString(), 'abc')
  t.equal(body.buffer, bytes.buffer)
  t.equal(endOfStream, true)
})
