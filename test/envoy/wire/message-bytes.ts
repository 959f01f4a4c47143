import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from '../../fast-check.ts'

/**
 * Bytes of a message as some other encoder might write it: any fields, in any order, as often as it likes, with fields
 * between them that nobody knows; strings of ASCII, of more than ASCII, and a few that are no UTF-8.
 */
export function messageBytes(desc: DescMessage, depth = 4): fc.Arbitrary<Uint8Array> {
  const fields = desc.fields.filter((field) => (depth > 0 || !isMessage(field)) && !isUnread(desc, field))
  const pieces = [unknown, ...fields.map((field) => fieldBytes(field, depth - 1))]
  return fc
    .array(fc.oneof({ maxDepth: 4 }, ...pieces), { maxLength: depth > 1 ? 7 : 4 })
    .map((parts) => Buffer.concat(parts))
}

/** What our decoders refuse of a message that is well formed otherwise, and protobuf-es lets pass. */
export const strictness: readonly string[] = [
  // In the keys and values of a map.
  'a string that is not UTF-8',
  // Within google.protobuf.Struct: JSON has nothing for them.
  'a value of no kind',
  'a number that JSON cannot hold',
]
/** What protobuf-es does not look at: whether a field ends where the message around it does, how long a number is that is skipped. */
export const boundaries: readonly string[] = [
  'a length beyond its message',
  'a string beyond its message',
  'bytes beyond their message',
  'a field beyond its message',
  'a number that does not end',
  'a number of more than ten octets',
  'a group that does not end',
]

const number = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 5n, 200n, 8443n, -1n, 2n ** 53n - 1n, 2n ** 32n, 2n ** 63n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
)
const text = fc.oneof(
  { weight: 6, arbitrary: fc.string({ maxLength: 20 }).map((value) => Buffer.from(value)) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom('host', 'content-type', 'application/grpc', '__proto__', 'X-Up', 'x-request-id')
      .map((value) => Buffer.from(value)),
  },
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }).map((value) => Buffer.from(value)) },
  { weight: 1, arbitrary: fc.string({ minLength: 70, maxLength: 200 }).map((value) => Buffer.from(value)) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 4 }).map((value) => Buffer.from(value)) },
)
const octets = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value))
const double = fc.oneof(fc.double(), fc.integer()).map((value) => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return bytes
})

/** Fields beyond those of any message here, of each wire type that may be skipped. */
const unknown: fc.Arbitrary<Uint8Array> = fc.oneof(
  number.map((value) => tagged(3000, WireType.Varint, varint(value))),
  octets.map((value) => tagged(3001, WireType.LengthDelimited, delimited(value))),
  fc.constant(tagged(3002, WireType.Bit32, Buffer.alloc(4))),
  fc.constant(tagged(3003, WireType.Bit64, Buffer.alloc(8))),
  fc.constant(
    Buffer.concat([
      tagged(3004, WireType.StartGroup, Buffer.concat([tagged(1, WireType.Varint, varint(7n))])),
      tagged(3004, WireType.EndGroup, Buffer.alloc(0)),
    ]),
  ),
)

/** Fields that no stage looks at. */
const unread = new Set([
  'ProcessingRequest.metadata_context',
  'ProcessingRequest.flow_control_init',
  'ProcessingRequest.client_window_update',
  'HttpHeaders.attributes',
])

function isUnread(desc: DescMessage, field: DescField): boolean {
  return unread.has(`${desc.name}.${field.name}`)
}

function fieldBytes(field: DescField, depth: number): fc.Arbitrary<Uint8Array> {
  switch (field.fieldKind) {
    case 'scalar':
      return scalarBytes(field.number, field.scalar)
    case 'enum':
      return number.map((value) => tagged(field.number, WireType.Varint, varint(value)))
    case 'message':
      return nested(field.number, messageBytes(field.message, depth))
    case 'list':
      if (field.listKind === 'message') return nested(field.number, messageBytes(field.message, depth))
      if (field.listKind === 'scalar') return scalarBytes(field.number, field.scalar)
      return number.map((value) => tagged(field.number, WireType.Varint, varint(value)))
    case 'map': {
      const value =
        field.mapKind === 'message'
          ? nested(2, messageBytes(field.message, depth))
          : scalarBytes(2, ScalarType.STRING)
      const entry = fc
        .array(fc.oneof(scalarBytes(1, ScalarType.STRING), value, unknown), { maxLength: 4 })
        .map((parts) => Buffer.concat(parts))
      return nested(field.number, entry)
    }
  }
}

function scalarBytes(number_: number, scalar: ScalarType): fc.Arbitrary<Uint8Array> {
  switch (scalar) {
    case ScalarType.STRING:
      return text.map((value) => tagged(number_, WireType.LengthDelimited, delimited(value)))
    case ScalarType.BYTES:
      return octets.map((value) => tagged(number_, WireType.LengthDelimited, delimited(value)))
    case ScalarType.DOUBLE:
      return double.map((value) => tagged(number_, WireType.Bit64, value))
    default:
      return number.map((value) => tagged(number_, WireType.Varint, varint(value)))
  }
}

function nested(number_: number, content: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return content.map((bytes) => tagged(number_, WireType.LengthDelimited, delimited(bytes)))
}

function isMessage(field: DescField): boolean {
  return (
    field.fieldKind === 'message' ||
    (field.fieldKind === 'list' && field.listKind === 'message') ||
    (field.fieldKind === 'map' && field.mapKind === 'message')
  )
}

function tagged(number_: number, type: WireType, value: Uint8Array): Uint8Array {
  return Buffer.concat([varint(BigInt(number_ * 8 + type)), value])
}

function delimited(value: Uint8Array): Uint8Array {
  return Buffer.concat([varint(BigInt(value.length)), value])
}

function varint(value: bigint): Uint8Array {
  return new BinaryWriter().uint64(BigInt.asUintN(64, value)).finish()
}

/**
 * Whether bytes may be read in two ways: a known field of another wire type is an unknown field for protobuf, and
 * protobuf-es reads what is not there; and what no stage looks at, our decoders pass over with all its faults.
 */
export function isAmbiguous(desc: DescMessage, bytes: Uint8Array): boolean {
  let at = 0
  const next = (): bigint | undefined => {
    let value = 0n
    for (let shift = 0n; at < bytes.length && shift < 70n; shift += 7n) {
      const octet = bytes[at++] as number
      value |= BigInt(octet & 127) << shift
      if (octet < 128) return value
    }
    return undefined
  }
  while (at < bytes.length) {
    const tag = next()
    if (tag === undefined) return false
    const type = Number(tag & 7n)
    const field = desc.fields.find((each) => each.number === Number(tag >> 3n))
    if (tag >> 32n !== 0n) return true
    if (field !== undefined && (wireTypeOf(field) !== type || isUnread(desc, field))) return true
    if (type === WireType.Varint) next()
    else if (type === WireType.Bit32) at += 4
    else if (type === WireType.Bit64) at += 8
    else if (type === WireType.LengthDelimited) {
      const length = next()
      if (length === undefined) return false
      const content = bytes.subarray(at, at + Number(length))
      at += Number(length)
      if (field === undefined) continue
      if (field.fieldKind === 'map') {
        if (hasWrongEntry(field, content)) return true
      } else if (isMessage(field) && field.message !== undefined) {
        if (isAmbiguous(field.message, content)) return true
      }
    }
    // Within groups, which no message here has, everything may be.
    else return true
  }
  return false
}

function hasWrongEntry(field: DescField & { fieldKind: 'map' }, bytes: Uint8Array): boolean {
  const value = field.mapKind === 'message' ? field.message : undefined
  const entry = {
    fields: [
      { number: 1, fieldKind: 'scalar', scalar: ScalarType.STRING },
      value === undefined
        ? { number: 2, fieldKind: 'scalar', scalar: ScalarType.STRING }
        : { number: 2, fieldKind: 'message', message: value },
    ],
  } as unknown as DescMessage
  return isAmbiguous(entry, bytes)
}

function wireTypeOf(field: DescField): WireType {
  if (field.fieldKind === 'enum') return WireType.Varint
  if (field.fieldKind === 'scalar' || (field.fieldKind === 'list' && field.listKind === 'scalar')) {
    switch (field.scalar) {
      case ScalarType.STRING:
      case ScalarType.BYTES:
        return WireType.LengthDelimited
      case ScalarType.DOUBLE:
        return WireType.Bit64
      default:
        return WireType.Varint
    }
  }
  return WireType.LengthDelimited
}
