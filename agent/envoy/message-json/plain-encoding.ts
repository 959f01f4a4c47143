import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { Reader, wireType } from '../wire/reader.ts'

/** As deep as protobuf-es reads. */
const maxDepth = 100

const fieldPath = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/

/**
 * Whether each known field of a message is written as its type is. A field in another wire type is unknown to one runtime,
 * an error to another and a wrong value to protobuf-es: policy would judge another message than the server runs.
 * Nor may there be what JSON cannot say: a value of no kind, a message of no type, a path of no field.
 *
 * @throws WireFault when the bytes are no protobuf.
 * @see https://protobuf.dev/programming-guides/encoding
 */
export function isPlainlyEncoded(message: DescMessage, bytes: Buffer): boolean {
  return isPlain(message, new Reader(bytes), 0)
}

function isPlain(message: DescMessage, reader: Reader, depth: number): boolean {
  if (depth > maxDepth) return false
  let known = 0
  let hasType = false
  while (reader.at < reader.end) {
    const tag = reader.tag()
    const field = fieldOf(message, tag >>> 3)
    if (field === undefined) {
      reader.skip(tag)
      continue
    }
    known++
    if (!isOfType(field, tag & 7)) return false
    const inner = messageOf(field)
    if (message.typeName === 'google.protobuf.FieldMask') {
      if (!fieldPath.test(reader.string())) return false
    } else if (message.typeName === 'google.protobuf.Any' && field.number === 1) {
      hasType = reader.string() !== ''
    } else if (inner === undefined && field.fieldKind !== 'map') reader.skip(tag)
    else {
      const outer = reader.enter()
      const isGood =
        inner === undefined ? isPlainEntry(field, reader, depth) : isPlain(inner, reader, depth + 1)
      if (!isGood) return false
      reader.leave(outer)
    }
  }
  if (message.typeName === 'google.protobuf.Any') return known === 0 || hasType
  return known > 0 || message.typeName !== 'google.protobuf.Value'
}

function isPlainEntry(field: DescField, reader: Reader, depth: number): boolean {
  if (field.fieldKind !== 'map') return false
  let hasValue = field.message?.typeName !== 'google.protobuf.Value'
  while (reader.at < reader.end) {
    const tag = reader.tag()
    const number = tag >>> 3
    if (number === 1 && (tag & 7) !== scalarWireType(field.mapKey)) return false
    if (number !== 2) {
      reader.skip(tag)
      continue
    }
    if ((tag & 7) !== valueWireType(field)) return false
    hasValue = true
    if (field.message === undefined) {
      reader.skip(tag)
      continue
    }
    const outer = reader.enter()
    if (!isPlain(field.message, reader, depth + 1)) return false
    reader.leave(outer)
  }
  return hasValue
}

const byNumber = new WeakMap<DescMessage, ReadonlyMap<number, DescField>>()

function fieldOf(message: DescMessage, number: number): DescField | undefined {
  let fields = byNumber.get(message)
  if (fields === undefined) {
    fields = new Map(message.fields.map((field) => [field.number, field]))
    byNumber.set(message, fields)
  }
  return fields.get(number)
}

function messageOf(field: DescField): DescMessage | undefined {
  return field.fieldKind === 'message' || field.fieldKind === 'list' ? field.message : undefined
}

/** A list of numbers may stand packed or not, whatever it was declared as. */
function isOfType(field: DescField, type: number): boolean {
  const own = valueWireType(field)
  if (field.fieldKind === 'map') return type === wireType.bytes
  return type === own || (field.fieldKind === 'list' && own !== wireType.bytes && type === wireType.bytes)
}

function valueWireType(field: DescField): number {
  if (field.scalar !== undefined) return scalarWireType(field.scalar)
  return field.enum !== undefined ? wireType.varint : wireType.bytes
}

function scalarWireType(scalar: ScalarType): number {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return wireType.bytes
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return wireType.fixed64
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return wireType.fixed32
    default:
      return wireType.varint
  }
}
