import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { RequestFacts, TensorSummary } from '#decision/exchange.ts'
import { unboundedAmount } from '#decision/usage.ts'
import { binarySpans, jsonOctets } from '../binary-data.ts'
import { readField, readNumbers, strictText } from '../protobuf-field.ts'
import { contentValues, isReadableType, rawValues } from '../tensor-values.ts'
import { type MessageParts, messageParts, partSummaries, type Span, summariesOf } from '../tensors.ts'
import { type Ask, askOf, bodyOctets, isBodyEncoded, unreadAsk } from './ask.ts'
import { answerNames, limitNames, noOutput, OutputReading } from './output-bound.ts'
import { PromptTally } from './prompt.ts'

/** What token ids are handed in as, and octets of each. Images and features are octets, or no whole numbers. */
const idOctets: ReadonlyMap<string, number> = new Map([
  ['INT32', 4],
  ['UINT32', 4],
  ['INT64', 8],
  ['UINT64', 8],
])
/** A tensor with more values holds data, not an option. */
const maxValues = 64
const samplingName = 'sampling_parameters'
/** Inputs that bound the output. */
const options: ReadonlySet<string> = new Set([...limitNames, ...answerNames, samplingName])

/**
 * How many inferences a request is, as Triton counts them. In Triton the inputs of a model that makes batches have the batch
 * as their first dimension and at least one more; a request that has not is one inference.
 *
 * @param octets of the request, which bound what a shape that cannot be may claim
 */
function batchOf(inputs: readonly TensorSummary[], octets: number): number {
  if (inputs.some(({ elements }) => elements === undefined)) return Math.max(1, octets)
  const batch = inputs[0]?.shape[0] ?? 1
  return inputs.every(({ shape }) => shape.length >= 2 && shape[0] === batch) ? Math.max(1, batch) : 1
}

/** What an inference request in JSON asks for. @param body its JSON, `undefined` where that was not read */
export function jsonInferAsk(request: RequestFacts, body: JsonObject | undefined): Ask {
  const octets = bodyOctets(request)
  const jsonLength = jsonOctets(request)
  if (jsonLength === 0 && !isBodyEncoded(request)) {
    // The whole body is the contents of the only input, a batch of one.
    const prompt = new PromptTally()
    prompt.addOctets(octets)
    return askOf({ octets, inferences: 1, prompt, output: new OutputReading().result(1) })
  }
  const summaries = body && summariesOf(body['inputs'])
  if (body === undefined || summaries === undefined) return unreadAsk(request, { hasBatch: true })
  const inputs = body['inputs'] as readonly JsonObject[]
  const spans = binarySpans(inputs, jsonLength ?? 0)
  const { body: seen } = request
  const valuesOf = (index: number): readonly unknown[] | undefined => {
    const input = inputs[index] as JsonObject
    const span = spans[index]
    if (span === undefined) return jsonValues(input['data'])
    return seen === undefined ? undefined : sliceValues(summaries[index]?.datatype, seen, span)
  }
  const reading = new OutputReading()
  const { parameters } = body
  if (isJsonObject(parameters)) {
    reading.readAll(parameters)
    reading.readText(parameters[samplingName])
  }
  return tensorAsk({ octets, summaries, reading, valuesOf, hiddenOctets: 0 })
}

/** What a ModelInferRequest asks for, of which at least the start was seen. */
export function messageInferAsk(request: RequestFacts): Ask {
  const { body } = request
  if (body === undefined || body.length < 5) return unreadAsk(request, { hasBatch: true })
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const parts = messageParts(bytes)
  const octets = 5 + bytes.readUInt32BE(1)
  if (parts === undefined) {
    const prompt = new PromptTally()
    prompt.addOctets(octets)
    return askOf({ octets, inferences: octets, prompt, output: new OutputReading().result(1) })
  }
  const { inputs, raw } = parts
  const valuesOf = (index: number): readonly unknown[] | undefined => {
    const span = raw[index]
    if (span !== undefined) return sliceValues(inputs[index]?.datatype, bytes, span)
    const contents = inputs[index]?.contents
    return contents && contentValues(bytes.subarray(contents.start, contents.end))
  }
  const reading = new OutputReading()
  for (const entry of parts.parameters) readParameter(reading, bytes, entry)
  return tensorAsk({
    octets,
    summaries: partSummaries(parts),
    reading,
    valuesOf,
    hiddenOctets: hiddenOctets(parts),
  })
}

/** What may still come, and be anything. */
function hiddenOctets({ readTo, end }: MessageParts): number {
  return end - Math.min(readTo, end)
}

function tensorAsk(asked: {
  readonly octets: number
  readonly summaries: readonly TensorSummary[]
  readonly reading: OutputReading
  readonly valuesOf: (index: number) => readonly unknown[] | undefined
  readonly hiddenOctets: number
}): Ask {
  const { octets, summaries, reading, valuesOf } = asked
  const prompt = new PromptTally()
  prompt.addOctets(asked.hiddenOctets)
  let isGenerative = asked.hiddenOctets > 0
  for (const [index, { name, datatype, elements, bytes }] of summaries.entries()) {
    if (options.has(name)) readOption(reading, name, isReadableType(datatype) ? valuesOf(index) : undefined)
    if (datatype === 'BYTES') {
      isGenerative = true
      // Contents that are not to come are elsewhere (shared memory), and can be of any length.
      prompt.addOctets(bytes ?? (asked.hiddenOctets > 0 ? 0 : unboundedAmount))
      continue
    }
    const width = idOctets.get(datatype)
    if (width === undefined) continue
    isGenerative = true
    // More than its shape says no server takes; what was sent counts all the same.
    prompt.addIds(Math.max(elements ?? octets, Math.ceil((bytes ?? 0) / width)))
  }
  const inferences = batchOf(summaries, octets)
  return askOf({
    octets,
    inferences,
    prompt,
    output: isGenerative ? reading.result(inferences) : noOutput,
  })
}

function readOption(reading: OutputReading, name: string, values: readonly unknown[] | undefined): void {
  if (values === undefined) return reading.giveUp()
  for (const value of values) {
    if (name === samplingName) reading.readText(value)
    else reading.read(name, value)
  }
}

/** The values of a small tensor in JSON, whose arrays may nest. */
function jsonValues(data: JsonValue | undefined): readonly unknown[] | undefined {
  if (data === undefined) return undefined
  const values: unknown[] = []
  const rest: (JsonValue | undefined)[] = [data]
  while (rest.length > 0) {
    const value = rest.pop()
    if (!Array.isArray(value)) values.push(value)
    else if (rest.length + value.length > maxValues) return undefined
    else rest.push(...value)
    if (values.length > maxValues) return undefined
  }
  return values
}

function sliceValues(
  datatype: string | undefined,
  body: Uint8Array,
  { start, end }: Span,
): readonly unknown[] | undefined {
  if (datatype === undefined || end > body.length) return undefined
  return rawValues(datatype, Buffer.from(body.buffer, body.byteOffset + start, end - start))
}

/** One entry of `map<string, InferParameter>`. */
function readParameter(reading: OutputReading, bytes: Buffer, { start, end }: Span): void {
  let name = ''
  let value: unknown
  for (let at = start; at < end; ) {
    const field = readField(bytes, at, end)
    if (typeof field === 'string') return reading.giveUp()
    if (field.number === 1 && field.wireType === 2)
      name = strictText(bytes.subarray(field.start, field.end)) ?? ''
    else if (field.number === 2 && field.wireType === 2) value = parameterValue(bytes, field.start, field.end)
    at = field.end
  }
  if (name === samplingName) reading.readText(value)
  else reading.read(name, value)
}

/** Whole numbers and texts; of everything else that it is no such. */
function parameterValue(bytes: Buffer, start: number, end: number): unknown {
  let value: unknown = false
  for (let at = start; at < end; ) {
    const field = readField(bytes, at, end)
    if (typeof field === 'string') return false
    if (field.number === 3 && field.wireType === 2)
      value = strictText(bytes.subarray(field.start, field.end)) ?? false
    else if ((field.number === 2 || field.number === 5) && field.wireType === 0) {
      value = readNumbers(bytes, field)?.[0] ?? false
    } else if (field.number === 4 && field.wireType === 1) value = bytes.readDoubleLE(field.start)
    else value = false
    at = field.end
  }
  return value
}
