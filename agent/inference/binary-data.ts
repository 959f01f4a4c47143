import type { JsonObject, JsonValue } from '#base/json.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import type { Span } from './tensors.ts'

/** Says how many octets of the body are JSON; the contents of tensors follow. @see Triton's binary tensor data extension */
const lengthHeader = 'inference-header-content-length'

/** How long the JSON is where the header names it; `undefined` where it does not. */
export function jsonOctets({ headers }: RequestFacts): number | undefined {
  const length = headers.single(lengthHeader)
  return length !== undefined && /^\d{1,9}$/.test(length) ? Number(length) : undefined
}

/**
 * What is wrong with how a body is cut into JSON and contents: the parts must be the whole, or what is decided on is not what
 * is computed.
 *
 * @param inputs of its JSON; `undefined` where that was not read
 */
export function binaryDataFault(request: RequestFacts, inputs: JsonValue | undefined): string | undefined {
  if (!request.headers.has(lengthHeader)) return undefined
  const json = jsonOctets(request)
  if (json === undefined) return `${lengthHeader} is no length`
  const total = wireOctets(request)
  if (total !== undefined && json > total) return `${lengthHeader} is more than the body has`
  if (!Array.isArray(inputs)) return undefined
  let contents = 0
  for (const input of inputs as readonly JsonValue[]) {
    const size = binarySize(input)
    if (size === undefined) continue
    if (!Number.isSafeInteger(size) || (size as number) < 0) return 'binary_data_size is no length'
    contents += size as number
  }
  return total === undefined || json + contents === total
    ? undefined
    : 'the sizes of the tensors do not add up to the body'
}

/** Octets of the body on the wire, where they are known. */
function wireOctets({ body, isBodyComplete, isBodyText, headers }: RequestFacts): number | undefined {
  if (body !== undefined && isBodyComplete && isBodyText !== true) return body.length
  return headers.contentLength()
}

function binarySize(input: JsonValue): JsonValue | undefined {
  const parameters = (input as JsonObject | null)?.['parameters'] as JsonObject | null | undefined
  return parameters?.['binary_data_size']
}

/** Where the contents of each input stand in the body; `undefined` for those that stand in the JSON. */
export function binarySpans(inputs: readonly JsonValue[], jsonLength: number): readonly (Span | undefined)[] {
  let at = jsonLength
  return inputs.map((input) => {
    const size = binarySize(input)
    if (typeof size !== 'number') return undefined
    const span = { start: at, end: at + size }
    at = span.end
    return span
  })
}
