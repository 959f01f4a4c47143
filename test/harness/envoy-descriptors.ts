import { readFileSync } from 'node:fs'
import { fromBinary } from '@bufbuild/protobuf'
import { type DescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'

/**
 * The fields of Envoy's own messages, by full name, read from the descriptors that every C++ program with protobuf carries:
 * what this very binary knows, whatever documentation says.
 *
 * @throws Error for a file that the binary does not have.
 */
export function messageFields(
  binary: string,
  files: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const bytes = readFileSync(binary)
  const fields = new Map<string, readonly string[]>()
  const visit = (message: DescriptorProto, scope: string): void => {
    const name = `${scope}.${message.name}`
    fields.set(
      name,
      message.field.map((field) => field.name),
    )
    for (const nested of message.nestedType) visit(nested, name)
  }
  for (const file of files) {
    // Field 1, the name, and the beginning of field 2, the package.
    const head = Buffer.concat([Buffer.from([0x0a, file.length]), Buffer.from(file), Buffer.from([0x12])])
    const start = bytes.indexOf(head)
    if (start === -1) throw new Error(`no descriptor of ${file} in ${binary}`)
    const descriptor = fromBinary(FileDescriptorProtoSchema, bytes.subarray(start, endOf(bytes, start)))
    for (const message of descriptor.messageType) visit(message, descriptor.package)
  }
  return fields
}

/** Nothing says how long a descriptor is; it ends with the last field that a descriptor of a file can have. */
function endOf(bytes: Buffer, start: number): number {
  for (let at = start; ; ) {
    const [tag, content] = varint(bytes, at)
    const number = tag >>> 3
    const isLengthDelimited = (tag & 7) === 2
    const isNumber = (tag & 7) === 0 && (number === 10 || number === 11 || number === 14)
    if (number < 1 || number > 14 || !(isLengthDelimited || isNumber)) return at
    const [value, next] = varint(bytes, content)
    const end = isLengthDelimited ? next + value : next
    if (!(end <= bytes.length)) return at
    at = end
  }
}

function varint(bytes: Buffer, start: number): readonly [value: number, next: number] {
  let value = 0
  for (let at = start, scale = 1; at < start + 5; at++, scale *= 128) {
    const byte = bytes[at] ?? 0
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return [value, at + 1]
  }
  return [Number.NaN, start]
}
