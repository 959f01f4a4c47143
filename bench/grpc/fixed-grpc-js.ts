import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { answer, listen, path } from './fixed-answer.ts'

const raw = (bytes: Buffer) => bytes
const method = {
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
} as const

const server = new Server()
server.addService(
  { Check: method },
  { Check: (_: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => callback(null, answer) },
)
server.bindAsync(listen, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error
})
