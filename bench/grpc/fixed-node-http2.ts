import { createServer } from 'node:http2'
import { answer, listen, path } from './fixed-answer.ts'

const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, answer.length]), answer])

// Envoy ends streams with resets; Node takes more than a thousand of them for an attack and ends the connection.
const server = createServer({ streamResetBurst: 1e9, streamResetRate: 1e9 })
server.on('stream', (stream, headers) => {
  stream.on('error', () => stream.destroy())
  stream.on('wantTrailers', () =>
    stream.sendTrailers({ 'grpc-status': headers[':path'] === path ? '0' : '12' }),
  )
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.end(frame)
  })
  stream.resume()
})
server.listen(listen.slice('unix:'.length))
