import { readFileSync } from 'node:fs'
import {
  createFileRegistry,
  type DescMethod,
  type FileRegistry,
  fromBinary,
  type JsonValue as ProtobufJson,
  toJson,
} from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { messageOf, SluiceError } from '#base/errors.ts'
import type { JsonValue } from '#base/json.ts'
import { isPlainlyEncoded } from './plain-encoding.ts'
import { withShortFloats } from './short-floats.ts'

/** What became of a message. */
type Reading =
  | { readonly kind: 'value'; readonly value: JsonValue }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'malformed' }

/**
 * Reads the messages of gRPC methods by the descriptors in a file, as protojson: camelCase, 64-bit integers as text, octets
 * as base64, enums by name, nothing that is not populated. A method whose client streams is unknown.
 *
 * @throws SluiceError when the file is no FileDescriptorSet with all that its files import.
 * @see https://protobuf.dev/programming-guides/json
 */
export function openMessageReader(
  path: string,
): (method: { readonly service: string; readonly name: string; readonly message: Buffer }) => Reading {
  const registry = readRegistry(path)
  return ({ service, name, message }) => {
    const method = methodOf(registry, service, name)
    if (method === undefined) return { kind: 'unknown' }
    const { input } = method
    try {
      if (!isPlainlyEncoded(input, message)) return { kind: 'malformed' }
      const json = toJson(input, fromBinary(input, message), { registry })
      // protobuf-es and we say the same of JSON, in two types.
      return { kind: 'value', value: withShortFloats(input, json, registry) as ProtobufJson as JsonValue }
    } catch {
      return { kind: 'malformed' }
    }
  }
}

function methodOf(registry: FileRegistry, service: string, name: string): DescMethod | undefined {
  const method = registry.getService(service)?.methods.find((each) => each.name === name)
  const isClientStreaming =
    method?.methodKind === 'client_streaming' || method?.methodKind === 'bidi_streaming'
  return isClientStreaming ? undefined : method
}

function readRegistry(path: string): FileRegistry {
  try {
    return createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path)))
  } catch (cause) {
    throw new SluiceError({
      code: 'config_invalid',
      place: path,
      found: messageOf(cause),
      expected: 'a FileDescriptorSet with its imports (protoc --include_imports -o, buf build -o)',
      cause,
    })
  }
}
