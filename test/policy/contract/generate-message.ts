import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from '../../fast-check.ts'

const text = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.string({ unit: 'binary', maxLength: 4 }).map((each) => each.toWellFormed()),
  fc.constantFrom('', '__proto__', 'é', '\u0000'),
)
const int32 = fc.oneof(fc.constantFrom(0, 1, -1, 2_147_483_647, -2_147_483_648), fc.integer())
const uint32 = fc.oneof(fc.constantFrom(0, 1, 4_294_967_295), fc.nat())
const int64 = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
)
const uint64 = fc.oneof(fc.constantFrom(0n, 1n, 2n ** 64n - 1n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
const float = fc.oneof(
  fc.constantFrom(0, -0, 0.1, 1 / 3, 16_777_217, 3.4e38, 1e-45, NaN, Infinity, -Infinity, 1e21, 1e-7),
  fc.float(),
)
const double = fc.oneof(
  fc.constantFrom(0, -0, 0.1, 1e21, 1e-7, 5e-324, NaN, Infinity, -Infinity),
  fc.double(),
)

type Write = (writer: BinaryWriter) => void
const scalar = <T>(values: fc.Arbitrary<T>, type: WireType, write: (w: BinaryWriter, value: T) => void) => ({
  type,
  values: values.map(
    (value): Write =>
      (writer) =>
        write(writer, value),
  ),
})
const { Varint, Bit32, Bit64, LengthDelimited } = WireType

const scalars: Readonly<
  Record<ScalarType, { readonly type: WireType; readonly values: fc.Arbitrary<Write> }>
> = {
  [ScalarType.INT32]: scalar(int32, Varint, (w, v) => w.int32(v)),
  [ScalarType.INT64]: scalar(int64, Varint, (w, v) => w.int64(v)),
  [ScalarType.UINT32]: scalar(uint32, Varint, (w, v) => w.uint32(v)),
  [ScalarType.UINT64]: scalar(uint64, Varint, (w, v) => w.uint64(v)),
  [ScalarType.SINT32]: scalar(int32, Varint, (w, v) => w.sint32(v)),
  [ScalarType.SINT64]: scalar(int64, Varint, (w, v) => w.sint64(v)),
  [ScalarType.FIXED32]: scalar(uint32, Bit32, (w, v) => w.fixed32(v)),
  [ScalarType.FIXED64]: scalar(uint64, Bit64, (w, v) => w.fixed64(v)),
  [ScalarType.SFIXED32]: scalar(int32, Bit32, (w, v) => w.sfixed32(v)),
  [ScalarType.SFIXED64]: scalar(int64, Bit64, (w, v) => w.sfixed64(v)),
  [ScalarType.FLOAT]: scalar(float, Bit32, (w, v) => w.float(Math.fround(v))),
  [ScalarType.DOUBLE]: scalar(double, Bit64, (w, v) => w.double(v)),
  [ScalarType.BOOL]: scalar(fc.boolean(), Varint, (w, v) => w.bool(v)),
  [ScalarType.STRING]: scalar(text, LengthDelimited, (w, v) => w.string(v)),
  [ScalarType.BYTES]: scalar(fc.uint8Array({ maxLength: 8 }), LengthDelimited, (w, v) => w.bytes(v)),
}
const enumNumber = scalar(fc.constantFrom(0, 1, -1, 7), Varint, (w, v) => w.int32(v))

/** Bytes of a message as its own runtime would write it, fields in any order, lists packed or not. */
export function properBytes(message: DescMessage, depth: number): fc.Arbitrary<Uint8Array> {
  if (message.typeName === 'google.protobuf.Any') return anyBytes(message)
  const fields = message.fields.filter((field) => depth > 0 || field.message === undefined)
  const isValue = message.typeName === 'google.protobuf.Value'
  return fc
    .shuffledSubarray(
      fields,
      isValue ? { minLength: 1, maxLength: 1 } : { maxLength: Math.min(5, fields.length) },
    )
    .chain((chosen) => fc.tuple(...chosen.map((field) => fieldWrites(field, message, depth))))
    .map((writes) => {
      const writer = new BinaryWriter()
      for (const write of writes) write(writer)
      return writer.finish()
    })
}

/** Of what every runtime knows, and now and then of what none does. */
function anyBytes(message: DescMessage): fc.Arbitrary<Uint8Array> {
  const packed = fc.constantFrom(
    ['google.protobuf.Duration', Uint8Array.of(0x08, 5)],
    ['google.protobuf.Empty', new Uint8Array()],
    ['google.protobuf.FloatValue', Uint8Array.of(0x0d, 0xcd, 0xcc, 0xcc, 0x3d)],
    ['google.protobuf.FieldMask', Uint8Array.of(0x0a, 1, 0x61)],
    ['nobody.knows.This', Uint8Array.of(0x08, 5)],
  )
  const [url, value] = [message.fields[0]?.number ?? 1, message.fields[1]?.number ?? 2]
  return fc.tuple(packed, fc.constantFrom('type.googleapis.com/', 'x/')).map(([[name, bytes], prefix]) =>
    new BinaryWriter()
      .tag(url, LengthDelimited)
      .string(`${prefix}${String(name)}`)
      .tag(value, LengthDelimited)
      .bytes(bytes as Uint8Array)
      .finish(),
  )
}

/** Seconds and nanoseconds that are a time. */
function inRange(message: DescMessage, field: DescField): fc.Arbitrary<Write> | undefined {
  if (!/^google\.protobuf\.(Timestamp|Duration)$/.test(message.typeName)) return undefined
  const values =
    field.name === 'seconds'
      ? fc.bigInt({ min: 0n, max: 253_402_300_799n })
      : fc.constantFrom(0n, 1n, 500_000_000n, 999_999_999n)
  return values.map((value) => (writer) => void writer.tag(field.number, Varint).int64(value))
}

function fieldWrites(field: DescField, message: DescMessage, depth: number): fc.Arbitrary<Write> {
  const special = inRange(message, field)
  if (special !== undefined) return special
  const { type, values } = valueWrites(field, depth)
  const tagged =
    (writes: Write): Write =>
    (writer) =>
      writes(writer.tag(field.number, type))
  switch (field.fieldKind) {
    case 'list':
      return fc.tuple(fc.array(values, { maxLength: 3 }), fc.boolean()).map(([each, isPacked]): Write => {
        if (!isPacked || type === LengthDelimited)
          return (writer) => each.forEach((one) => void tagged(one)(writer))
        return (writer) => {
          writer.tag(field.number, LengthDelimited).fork()
          for (const one of each) one(writer)
          writer.join()
        }
      })
    case 'map': {
      const keys = scalars[field.mapKey]
      return fc.array(fc.tuple(keys.values, values), { maxLength: 3 }).map(
        (entries): Write =>
          (writer) => {
            for (const [key, value] of entries) {
              writer.tag(field.number, LengthDelimited).fork()
              key(writer.tag(1, keys.type))
              value(writer.tag(2, type))
              writer.join()
            }
          },
      )
    }
    default:
      return values.map(tagged)
  }
}

function valueWrites(field: DescField, depth: number) {
  if (field.message !== undefined) {
    const values = properBytes(field.message, depth - 1).map(
      (bytes): Write =>
        (w) =>
          void w.bytes(bytes),
    )
    return { type: LengthDelimited, values }
  }
  return field.scalar === undefined ? enumNumber : scalars[field.scalar]
}
