import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/**
 * Sends a request without a body and gives the whole answer to it.
 *
 * @throws Error where there is none, it does not end in time or is larger than it may be.
 */
export function wholeAnswer(
  asked: ClientRequest,
  { maxBytes, deadlineMs }: { readonly maxBytes: number; readonly deadlineMs?: number },
): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
  const fail = (error: Error) => {
    // First, for of a request that has its answer the reason would be lost.
    reject(error)
    asked.destroy(error)
  }
  if (deadlineMs !== undefined) {
    const late = setTimeout(() => fail(new Error(`no whole answer within ${deadlineMs} ms`)), deadlineMs)
    late.unref()
    asked.once('close', () => clearTimeout(late))
  }
  asked.on('error', reject)
  asked.once('response', (answer) => {
    const { statusCode: status = 0, headers } = answer
    readBody(answer, maxBytes).then((body) => resolve({ status, headers, body }), fail)
  })
  asked.end()
  return promise
}

/** The whole body of an answer. @throws Error where it is cut off, or larger than it may be; then nothing more is read. */
export async function readBody(answer: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let sizeBytes = 0
  for await (const piece of answer as AsyncIterable<Buffer>) {
    sizeBytes += piece.length
    if (sizeBytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`)
    pieces.push(piece)
  }
  if (!answer.complete) throw new Error('the answer was cut off')
  return Buffer.concat(pieces)
}
