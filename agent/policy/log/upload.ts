import { messageOf } from '#base/errors.ts'
import type { LogBuffer } from './buffer.ts'
import type { Chunk } from './chunker.ts'

/** Where OPA's APIs are: `agent/policy/service/` has one with credentials. */
export interface LogService {
  /** @throws Error where there is no whole answer. Redirects are not followed: an answer of 3xx is a failure. */
  post(request: {
    /** Below the service's own, without a slash in front: `logs`. */
    readonly path: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: Buffer
    readonly signal: AbortSignal
  }): Promise<{ readonly status: number }>
}

/** How the last upload went; as OPA's status has it. */
export interface UploadStatus {
  readonly code?: 'decision_log_error'
  readonly message?: string
  readonly httpCode?: number
}

export interface UploadOptions {
  readonly buffer: LogBuffer
  readonly service: LogService
  readonly path: string
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly random: () => number
  /** Never goes back. */
  readonly nowMs: () => number
  /** Resolves after a while, or when the signal says so. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  /** Told after each round that had something to send, and after each failure. */
  readonly onStatus: (status: UploadStatus) => void
  readonly count: (event: 'decision_logs_chunks_uploaded' | 'decision_logs_chunks_upload_failed') => void
}

const minRetryMs = 100
const maxLastRounds = 3
/** Answers that are about what was sent: bad request, too large, wrong type, unprocessable. */
const refusals: ReadonlySet<number> = new Set([400, 413, 415, 422])
const growth = 1.6
const jitter = 0.2

/**
 * Sends what the buffer holds, chunk after chunk, oldest first; a chunk that does not arrive stays and is sent again, after
 * growing delays. The rounds are a random time between the two delays apart.
 */
export class Uploader {
  readonly #options: UploadOptions
  readonly #stopping = new AbortController()
  /** Ends what is being sent; only when there is no time left. */
  readonly #abandoning = new AbortController()
  #waking = new AbortController()
  #failures = 0
  #running: Promise<void> | undefined
  /** Decisions that the log server has taken. */
  delivered = 0

  constructor(options: UploadOptions) {
    this.#options = options
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Sends what is ready before the next round is due, unless the server has just failed. */
  wake(): void {
    if (this.#failures === 0) this.#waking.abort()
  }

  /** Ends the rounds, and sends what is left until `signal` says that it was long enough. */
  async stop(signal: AbortSignal): Promise<void> {
    const abandon = () => this.#abandoning.abort()
    if (signal.aborted) abandon()
    else signal.addEventListener('abort', abandon, { once: true })
    this.#stopping.abort()
    await this.#running
    // Once more where something was lost on the way: its tombstone is still to be sent.
    for (let rounds = 0; !signal.aborted && rounds < maxLastRounds; ) {
      if (!(await this.#round(true))) await this.#options.sleep(this.#retryMs(), signal)
      else if (this.#options.buffer.isAllTold) break
      else rounds++
    }
    signal.removeEventListener('abort', abandon)
  }

  async #run(): Promise<void> {
    const { minDelayMs, maxDelayMs, random, sleep, nowMs } = this.#options
    const { signal } = this.#stopping
    let dueMs = nowMs()
    while (!signal.aborted) {
      // Woken up, or trying again, it sends full chunks only: the rest waits for its time.
      const isDue = nowMs() >= dueMs
      if (isDue) dueMs = nowMs() + minDelayMs + random() * (maxDelayMs - minDelayMs)
      const isDone = await this.#round(isDue)
      if (signal.aborted) return
      const delayMs = isDone ? dueMs - nowMs() : this.#retryMs()
      this.#waking = new AbortController()
      await sleep(Math.max(delayMs, minRetryMs), AbortSignal.any([signal, this.#waking.signal]))
    }
  }

  /** @returns whether everything that there was has arrived. */
  async #round(isAllWanted: boolean): Promise<boolean> {
    const { buffer, onStatus } = this.#options
    if (isAllWanted) await buffer.pack()
    let isIdle = true
    for (let chunk = buffer.next(); chunk !== undefined; chunk = buffer.next()) {
      isIdle = false
      const failure = await this.#send(chunk)
      if (failure !== undefined) {
        // One that the server will never take must not stand in the way of the others.
        buffer.putBack(chunk, refusals.has(failure.httpCode ?? 0) ? 'last' : 'first')
        onStatus(failure)
        return false
      }
      this.delivered += buffer.sent(chunk)
    }
    if (!isIdle) onStatus({})
    return true
  }

  async #send(chunk: Chunk): Promise<UploadStatus | undefined> {
    const { service, path, count } = this.#options
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
    let failure: UploadStatus
    try {
      const { signal } = this.#abandoning
      const { status } = await unlessAborted(
        service.post({ path, headers, body: chunk.bytes, signal }),
        signal,
      )
      if (status >= 200 && status < 300) {
        this.#failures = 0
        count('decision_logs_chunks_uploaded')
        return undefined
      }
      failure = {
        code: 'decision_log_error',
        message: `log upload failed, server replied with HTTP ${status}`,
        httpCode: status,
      }
    } catch (thrown) {
      failure = { code: 'decision_log_error', message: `log upload failed: ${messageOf(thrown)}` }
    }
    this.#failures++
    count('decision_logs_chunks_upload_failed')
    return failure
  }

  #retryMs(): number {
    const { maxDelayMs, random } = this.#options
    const bare = Math.min(minRetryMs * growth ** Math.min(this.#failures - 1, 60), maxDelayMs)
    return bare * (1 - jitter + 2 * jitter * random())
  }
}

/** Does not wait for a service that takes no notice of the signal. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(new Error('given up'))
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
