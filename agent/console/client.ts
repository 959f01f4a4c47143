import { messageOf, SluiceError } from '#base/errors.ts'
import { request } from '#base/http.ts'
import { wholeAnswer } from '#base/http-answer.ts'

const deadlineMs = 10_000
const maxBytes = 64 << 20

/**
 * Asks the agent on its admin socket.
 *
 * @returns what it answered, as JSON
 * @throws SluiceError where nobody listens there, and Error in the agent's own words where it says no.
 */
export async function askConsole(options: {
  /** `unix:/path` */
  readonly socket: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly query: URLSearchParams
}): Promise<unknown> {
  const { socket, method, path, query } = options
  const socketPath = socket.slice('unix:'.length)
  const refuse = (found: string, expected: string, cause?: unknown) =>
    new SluiceError({ code: 'admin_refused', place: `listen.admin ${socketPath}`, found, expected, cause })
  let answer: Awaited<ReturnType<typeof wholeAnswer>>
  try {
    const asked = request({ socketPath, host: 'localhost', method, path: `${path}?${query}`, agent: false })
    answer = await wholeAnswer(asked, { deadlineMs, maxBytes })
  } catch (cause) {
    throw refuse(messageOf(cause), 'an agent that listens there', cause)
  }
  let body: unknown
  try {
    body = JSON.parse(answer.body.toString())
  } catch (cause) {
    throw refuse('an answer that is no JSON', 'an agent that listens there', cause)
  }
  if (answer.status === 200) return body
  const { error } = (body ?? {}) as { readonly error?: unknown }
  // What it says names the place already.
  if (typeof error === 'string') throw new Error(error)
  throw refuse(`status ${answer.status}`, 'an agent that listens there')
}
