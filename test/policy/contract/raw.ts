import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

const { LengthDelimited } = WireType

/** One length-delimited field. */
export function field(number: number, content: string | Uint8Array): Buffer {
  const writer = new BinaryWriter().tag(number, LengthDelimited)
  return Buffer.from((typeof content === 'string' ? writer.string(content) : writer.bytes(content)).finish())
}

/** A CheckRequest whose `attributes.request.http` has these octets, which no encoder might write, beside a path. */
export function rawHttp(...fields: readonly Buffer[]): Buffer {
  return rawAttributes(field(4, field(2, Buffer.concat([field(4, '/people'), ...fields]))))
}

export function rawAttributes(...fields: readonly Buffer[]): Buffer {
  return field(1, Buffer.concat(fields))
}

/** An entry of a map. */
export function entry(number: number, key: string | Uint8Array, value: string | Uint8Array): Buffer {
  return field(number, Buffer.concat([field(1, key), field(2, value)]))
}
