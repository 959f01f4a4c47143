import t from 'tap'
import { encodeGrpcMessage } from '#grpc/service.ts'
import fc from '../fast-check.ts'

t.test('a gRPC message survives its encoding', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const encoded = encodeGrpcMessage(text)
      return /^[\x20-\x7e]*$/.test(encoded) && decodeURIComponent(encoded) === text.toWellFormed()
    }),
  )
})
