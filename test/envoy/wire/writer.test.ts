import { fromBinary } from '@bufbuild/protobuf'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { writeHeaderOptions } from '#envoy/wire/header-options.ts'
import { Writer } from '#envoy/wire/writer.ts'
import { CheckResponseSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import fc from '../../fast-check.ts'

const text = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom('', '\ud800', 'x'.repeat(5000), 'ü'.repeat(3000)),
)

t.test('what is written is what protobuf-es reads: headers, and documents of any shape', async () => {
  const writer = new Writer()
  fc.assert(
    fc.property(
      fc.array(fc.tuple(text, text), { maxLength: 6 }),
      fc.dictionary(text, fc.jsonValue({ maxDepth: 3 })),
      fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      (headers, metadata, code) => {
        writer.begin()
        writer.struct(0x22, metadata as JsonObject)
        const ok = writer.length
        writeHeaderOptions(writer, 0x12, headers, 'value')
        writer.message(0x1a, ok)
        const status = writer.length
        writer.varint(0x08, code)
        writer.message(0x0a, status)
        const read = fromBinary(CheckResponseSchema, writer.finish())
        const options = read.httpResponse.case === 'okResponse' ? read.httpResponse.value.headers : []
        return (
          read.status?.code === code &&
          same(read.dynamicMetadata, JSON.parse(JSON.stringify(metadata), wellFormed)) &&
          options.length === headers.length &&
          options.every(({ header, append, appendAction }, index) => {
            const [name, value] = headers[index] as [string, string]
            return (
              header?.key === name.toWellFormed() &&
              header.value === value.toWellFormed() &&
              append === false &&
              appendAction === 2
            )
          })
        )
      },
    ),
    { numRuns: 500 },
  )
})

t.test('a message that was never finished leaves nothing in the next', async (t) => {
  const writer = new Writer()
  writer.begin()
  writer.string(0x0a, 'secret')
  writer.begin()
  writer.varint(0x08, 300)
  t.strictSame([...writer.finish()], [8, 0xac, 2])
})

/** Keys and texts as UTF-8 can hold them. */
function wellFormed(_key: string, value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed()
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key.toWellFormed(), each]))
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => [key, sorted(each)])
}
