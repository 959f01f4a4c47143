import { request as http1Request } from 'node:http'
import { connect } from 'node:http2'

/** An answer that comes piece by piece. */
export interface StreamedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** What has come of the body. */
  text(): string
  /** Resolves when no more comes: `complete` where the protocol says that this was all. */
  readonly ended: Promise<'complete' | 'broken'>
  /** The client goes away. */
  cancel(): void
}

export interface StreamCall {
  readonly port: number
  readonly protocol: 'http/1.1' | 'h2'
  readonly path: string
  readonly body?: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
  /** Sends the body in so many pieces without saying its length. */
  readonly isChunked?: boolean
}

/** Sends a request in plain text; resolves with its answer's head. Rejects where there is none. */
export function openStream(call: StreamCall): Promise<StreamedAnswer> {
  return call.protocol === 'h2' ? openHttp2(call) : openHttp1(call)
}

function openHttp1({ port, path, body, headers, isChunked }: StreamCall): Promise<StreamedAnswer> {
  return new Promise((resolve, reject) => {
    const sent = http1Request({
      host: '127.0.0.1',
      port,
      path,
      method: body === undefined ? 'GET' : 'POST',
      agent: false,
      headers: {
        ...(body !== undefined && isChunked !== true && { 'content-length': Buffer.byteLength(body) }),
        ...headers,
      },
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => {})
      const ended = new Promise<'complete' | 'broken'>((done) => {
        response.once('close', () => done(response.complete ? 'complete' : 'broken'))
      })
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text: () => Buffer.concat(chunks).toString(),
        ended,
        cancel: () => sent.destroy(),
      })
    })
    sent.end(body)
  })
}

function openHttp2({ port, path, body, headers }: StreamCall): Promise<StreamedAnswer> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`)
    session.on('error', reject)
    const method = body === undefined ? 'GET' : 'POST'
    const stream = session.request({ ...headers, ':method': method, ':path': path })
    const chunks: Buffer[] = []
    let isWhole = false
    let isCancelled = false
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      isWhole = true
    })
    stream.on('error', reject)
    const ended = new Promise<'complete' | 'broken'>((done) => {
      stream.once('close', () => {
        session.destroy()
        done(isWhole && !isCancelled && stream.rstCode === 0 ? 'complete' : 'broken')
      })
    })
    stream.on('response', (head) =>
      resolve({
        status: Number(head[':status']),
        headers: head,
        text: () => Buffer.concat(chunks).toString(),
        ended,
        cancel: () => {
          isCancelled = true
          session.destroy()
        },
      }),
    )
    stream.end(body)
  })
}
