import type { TensorSummary } from '#decision/exchange.ts'
import { readField, readNumbers, strictText } from './protobuf-field.ts'

/** A request with more inputs than this is not summed up. */
const maxInputs = 256
const frameHeaderBytes = 5

/** Octets of one element, by the names of the protocol. BYTES have none. */
const widths: ReadonlyMap<string, number> = new Map([
  ...(['BOOL', 'INT8', 'UINT8'] as const).map((name) => [name, 1] as const),
  ...(['INT16', 'UINT16', 'FP16', 'BF16'] as const).map((name) => [name, 2] as const),
  ...(['INT32', 'UINT32', 'FP32'] as const).map((name) => [name, 4] as const),
  ...(['INT64', 'UINT64', 'FP64'] as const).map((name) => [name, 8] as const),
])

/** `bytes` is what the contents take, `undefined` where nobody can tell. */
function summary(
  name: string,
  datatype: string,
  shape: readonly number[],
  bytes: number | undefined,
): TensorSummary {
  const elements = shape.reduce((product, size) => product * size, 1)
  return {
    name,
    datatype,
    shape,
    ...(shape.every((size) => size >= 0) && Number.isSafeInteger(elements) && { elements }),
    ...(bytes !== undefined && { bytes }),
  }
}

/**
 * The `inputs` of a request or the `outputs` of an answer in JSON, without their contents.
 *
 * @returns `undefined` where it is no list of tensors, or one of too many.
 */
export function summariesOf(list: unknown): readonly TensorSummary[] | undefined {
  if (!Array.isArray(list) || list.length > maxInputs) return undefined
  const summaries: TensorSummary[] = []
  for (const input of list as Record<string, unknown>[]) {
    const { name, datatype, shape, parameters, data } = input ?? {}
    if (typeof name !== 'string' || typeof datatype !== 'string' || !Array.isArray(shape)) return undefined
    if (!shape.every((size) => Number.isSafeInteger(size))) return undefined
    const binary = (parameters as { readonly binary_data_size?: unknown } | undefined)?.binary_data_size
    summaries.push(
      summary(name, datatype, shape, typeof binary === 'number' ? binary : bytesOf(data, datatype)),
    )
  }
  return summaries
}

/** What values written as JSON take as a tensor; the arrays may nest. */
function bytesOf(data: unknown, datatype: string): number | undefined {
  if (data === undefined) return undefined
  let bytes = 0
  const rest: unknown[] = [data]
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (Array.isArray(value)) for (const each of value) rest.push(each)
    else bytes += widths.get(datatype) ?? (typeof value === 'string' ? Buffer.byteLength(value) : 0)
  }
  return bytes
}

/** Where something stands in a body. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** What was seen of a ModelInferRequest. */
export interface MessageParts {
  readonly inputs: readonly MessageInput[]
  /** Contents that stand raw at the end, by input; what was not seen of the last is still to come. */
  readonly raw: readonly Span[]
  /** Entries of its parameters. */
  readonly parameters: readonly Span[]
  /** How far it was read, and where the message ends. */
  readonly readTo: number
  readonly end: number
}

/**
 * The parts of a ModelInferRequest in its frame, as far as they were seen.
 *
 * @returns `undefined` where it is no such message, or breaks off before its contents.
 */
export function messageParts(body: Buffer): MessageParts | undefined {
  if (body.length < frameHeaderBytes || body[0] !== 0) return undefined
  const end = frameHeaderBytes + body.readUInt32BE(1)
  const inputs: MessageInput[] = []
  const raw: Span[] = []
  const parameters: Span[] = []
  let at = frameHeaderBytes
  while (at < end) {
    const field = readField(body, at, end)
    if (field === 'short' && raw.length > 0) break
    if (typeof field === 'string' || inputs.length > maxInputs) return undefined
    const { number, wireType } = field
    if (number === 7 && wireType === 2) raw.push(field)
    else if (field.end > body.length) return undefined
    else if (number === 5 && wireType === 2) {
      const input = readInput(body, field.start, field.end)
      if (input === undefined) return undefined
      inputs.push(input)
    } else if (number === 4 && wireType === 2) parameters.push(field)
    at = field.end
  }
  return { inputs, raw, parameters, readTo: at, end }
}

/**
 * The inputs of a ModelInferRequest in its frame, without their contents. Those stand beside their inputs, or all of them raw
 * at the end.
 *
 * @returns `undefined` where it is no such message, or not all of it.
 */
export function messageSummaries(body: Buffer): readonly TensorSummary[] | undefined {
  const parts = messageParts(body)
  return parts === undefined || parts.end > body.length ? undefined : partSummaries(parts)
}

/** The inputs of a message without their contents. */
export function partSummaries({ inputs, raw }: MessageParts): readonly TensorSummary[] {
  return inputs.map(({ name, datatype, shape, contents }, index) => {
    const span = raw[index] ?? contents
    return summary(name, datatype, shape, span && span.end - span.start)
  })
}

/** One tensor of a message. */
export interface MessageInput {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  /** `InferTensorContents`, where they stand beside it. */
  readonly contents: Span | undefined
}

/** A tensor of a request or an answer, which have the same fields; `undefined` where it is none. */
export function readInput(body: Uint8Array, start: number, end: number): MessageInput | undefined {
  let name = ''
  let datatype = ''
  const shape: number[] = []
  let contents: Span | undefined
  for (let at = start; at < end; ) {
    const field = readField(body, at, end)
    if (typeof field === 'string') return undefined
    const { number, wireType } = field
    if (number === 3 && (wireType === 0 || wireType === 2)) {
      const sizes = readNumbers(body, field)
      if (sizes === undefined) return undefined
      // A negative size, whichever, is one that nobody knows.
      for (const size of sizes) shape.push(size)
    } else if (number < 6 && number !== 4) {
      if (wireType !== 2) return undefined
      const text = number === 5 ? undefined : strictText(body.subarray(field.start, field.end))
      if (number === 5) contents = field
      else if (text === undefined) return undefined
      else if (number === 1) name = text
      else datatype = text
    }
    at = field.end
  }
  return { name, datatype, shape, contents }
}
