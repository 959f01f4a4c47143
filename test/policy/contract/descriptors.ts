import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createFileRegistry, type DescMessage, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { run } from '../../harness/run.ts'
import { checkBytes } from './check.ts'

/** Builds a FileDescriptorSet of `testdata/proto` into `folder`, as a user would with `buf build -o`. */
export async function buildDescriptors(folder: string): Promise<string> {
  const path = join(folder, 'descriptors.binpb')
  const cwd = join(import.meta.dirname, 'testdata', 'proto')
  await run('buf', ['build', '.', '-o', path, '--config', '{"version":"v1"}'], { cwd })
  return path
}

/** A message of the set at `path`. */
export function messageAt(path: string, name: string): DescMessage {
  const message = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path))).getMessage(name)
  if (message === undefined) throw new Error(`${path} has no ${name}`)
  return message
}

export function frame(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(flag)
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, message])
}

/** A CheckRequest of a gRPC call with these bytes for a body. */
export function callCheck(body: Buffer, path = '/contract.v1.Echo/Unary', type = 'application/grpc'): Buffer {
  return checkBytes({ method: 'POST', path, headers: { 'content-type': type }, rawBody: body })
}
