import type { JsonValue } from '#base/json.ts'
import { isJsonObject } from '#base/json.ts'

/** What is known of a tensor without its contents. */
export interface TensorFacts {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  /** Product of the shape; absent where it is no whole number that a double holds. */
  readonly elements?: number
  /** Of the contents, as the protocol counts them; absent where that cannot be known. */
  readonly bytes?: number
}

/** Bytes of one element; strings (`BYTES`) have no fixed size. @see https://github.com/kserve/open-inference-protocol */
const elementBytes: ReadonlyMap<string, number> = new Map([
  ['BOOL', 1],
  ['UINT8', 1],
  ['UINT16', 2],
  ['UINT32', 4],
  ['UINT64', 8],
  ['INT8', 1],
  ['INT16', 2],
  ['INT32', 4],
  ['INT64', 8],
  ['FP16', 2],
  ['BF16', 2],
  ['FP32', 4],
  ['FP64', 8],
])

/**
 * The `inputs` of a V2 request or the `outputs` of a V2 answer in JSON, without their data.
 *
 * @returns `undefined` where it is no list of tensors.
 */
export function tensorsOf(list: JsonValue | undefined): readonly TensorFacts[] | undefined {
  if (!Array.isArray(list)) return undefined
  const found: TensorFacts[] = []
  for (const item of list) {
    if (!isJsonObject(item)) return undefined
    const { name, datatype, shape } = item
    if (typeof name !== 'string' || typeof datatype !== 'string' || !isShape(shape)) return undefined
    const elements = shape.reduce((product, extent) => product * extent, 1)
    const bytes = contentBytes(item, datatype, elements)
    found.push({
      name,
      datatype,
      shape,
      ...(Number.isSafeInteger(elements) && { elements }),
      ...(bytes !== undefined && { bytes }),
    })
  }
  return found
}

function isShape(value: JsonValue | undefined): value is readonly number[] {
  return (
    Array.isArray(value) && value.every((extent) => Number.isSafeInteger(extent) && (extent as number) >= 0)
  )
}

function contentBytes(
  tensor: { readonly [key: string]: JsonValue | undefined },
  datatype: string,
  elements: number,
): number | undefined {
  const { parameters, data } = tensor
  const binary = isJsonObject(parameters) ? parameters['binary_data_size'] : undefined
  if (typeof binary === 'number') return binary
  const size = elementBytes.get(datatype)
  if (size !== undefined) return Number.isSafeInteger(elements * size) ? elements * size : undefined
  return datatype === 'BYTES' && Array.isArray(data) ? textBytes(data) : undefined
}

/** Of all texts in nested lists. */
function textBytes(data: readonly JsonValue[]): number {
  let total = 0
  for (const item of data) {
    if (typeof item === 'string') total += Buffer.byteLength(item)
    else if (Array.isArray(item)) total += textBytes(item)
  }
  return total
}
