import { readField, readNumbers, strictText } from './protobuf-field.ts'

/** Tensors with more values than this hold data, not options. */
const maxValues = 64

type Read = (bytes: Buffer, at: number) => number

const numbers: ReadonlyMap<string, { readonly octets: number; readonly read: Read }> = new Map([
  ['INT8', { octets: 1, read: (bytes, at) => bytes.readInt8(at) }],
  ['UINT8', { octets: 1, read: (bytes, at) => bytes.readUInt8(at) }],
  ['INT16', { octets: 2, read: (bytes, at) => bytes.readInt16LE(at) }],
  ['UINT16', { octets: 2, read: (bytes, at) => bytes.readUInt16LE(at) }],
  ['INT32', { octets: 4, read: (bytes, at) => bytes.readInt32LE(at) }],
  ['UINT32', { octets: 4, read: (bytes, at) => bytes.readUInt32LE(at) }],
  ['INT64', { octets: 8, read: (bytes, at) => Number(bytes.readBigInt64LE(at)) }],
  ['UINT64', { octets: 8, read: (bytes, at) => Number(bytes.readBigUInt64LE(at)) }],
])

/** Whether a tensor of this type has values that can be read here. */
export function isReadableType(datatype: string): boolean {
  return datatype === 'BYTES' || numbers.has(datatype)
}

/**
 * The values of a small tensor in its raw form: whole numbers, or texts behind their lengths.
 *
 * @returns `undefined` where it is large, cut off, or of another type
 */
export function rawValues(datatype: string, bytes: Buffer): readonly (number | string)[] | undefined {
  if (datatype === 'BYTES') return rawTexts(bytes)
  const kind = numbers.get(datatype)
  if (kind === undefined || bytes.length % kind.octets !== 0) return undefined
  if (bytes.length > maxValues * kind.octets) return undefined
  const values: number[] = []
  for (let at = 0; at < bytes.length; at += kind.octets) values.push(kind.read(bytes, at))
  return values
}

function rawTexts(bytes: Buffer): readonly string[] | undefined {
  const texts: string[] = []
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length || texts.length === maxValues) return undefined
    const end = at + 4 + bytes.readUInt32LE(at)
    const text = end > bytes.length ? undefined : strictText(bytes.subarray(at + 4, end))
    if (text === undefined) return undefined
    texts.push(text)
    at = end
  }
  return texts
}

/** Fields of `InferTensorContents` that hold whole numbers, and the one that holds octets. */
const firstWholeField = 2
const lastWholeField = 5
const octetsField = 8

/** The values of a small tensor whose contents stand beside it; `undefined` as for raw ones. */
export function contentValues(bytes: Buffer): readonly (number | string)[] | undefined {
  const values: (number | string)[] = []
  for (let at = 0; at < bytes.length; ) {
    const field = readField(bytes, at, bytes.length)
    if (typeof field === 'string' || values.length > maxValues) return undefined
    const { number, wireType, start, end } = field
    if (number === octetsField && wireType === 2) {
      const text = strictText(bytes.subarray(start, end))
      if (text === undefined) return undefined
      values.push(text)
    } else if (number >= firstWholeField && number <= lastWholeField) {
      if (wireType !== 0 && wireType !== 2) return undefined
      const numbers = readNumbers(bytes, field, maxValues + 1 - values.length)
      if (numbers === undefined) return undefined
      values.push(...numbers)
    } else return undefined
    at = end
  }
  return values
}
