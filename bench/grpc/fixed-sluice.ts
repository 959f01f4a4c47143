import { startGrpcServer } from '#grpc/grpc.ts'
import { answer, listen, path } from './fixed-answer.ts'

await startGrpcServer({
  listen,
  methods: [{ kind: 'unary', path, handle: () => answer }],
  maxMessageBytes: 4 << 20,
})
