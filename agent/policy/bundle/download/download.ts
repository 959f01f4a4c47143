import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '#base/errors.ts'
import { type FetchOptions, fetchBytes } from './fetch.ts'

/** Where a bundle comes from over HTTP. */
export interface DownloadConfig {
  readonly url: string
  /** The value of the `authorization` header, read for each request: tokens are replaced while we run. */
  readonly authorization?: () => string
  readonly tls?: () => NonNullable<FetchOptions['tls']>
  readonly minDelayMs: number
  readonly maxDelayMs: number
  /** How long a server that can may hold a request until there is something new. */
  readonly longPollingSeconds?: number | undefined
  /** Of the archive. */
  readonly sizeLimitBytes: number
  /** Where the last good bundle is kept for a start without the server. */
  readonly persist?: string | undefined
}

const headerTimeoutMs = 10_000
const idleTimeoutMs = 30_000
const minRetryMs = 100
/** What a server answers with that can hold a request. */
const longPollingType = 'application/vnd.openpolicyagent.bundles'

/**
 * Keeps asking for a bundle as OPA does: with the entity tag of the one in force, after a random delay between the two
 * bounds, at once where the server holds requests itself, and with growing delays after failures.
 *
 * @param offer takes a new bundle; true when it is in force. One that is not is asked for again.
 * @see https://www.openpolicyagent.org/docs/management-bundles
 */
export async function startDownload(options: {
  readonly config: DownloadConfig
  offer(bytes: Buffer, place: string): Promise<boolean>
  onProblem(problem: string): void
  readonly random?: () => number
}): Promise<Disposable> {
  const { config, offer, onProblem, random = Math.random } = options
  const url = new URL(config.url)
  const stopping = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let etag: string | undefined
  let isLongPolling = false
  let failures = 0

  /** @throws Error where there is no new bundle for a reason of anybody's fault. */
  async function ask(): Promise<void> {
    const wait = isLongPolling ? config.longPollingSeconds : undefined
    const answer = await fetchBytes({
      url,
      headers: {
        'user-agent': 'sluice',
        prefer: `modes=snapshot${wait === undefined ? '' : `;wait=${wait}`}`,
        ...(etag !== undefined && { 'if-none-match': etag }),
      },
      authorization: config.authorization?.(),
      tls: config.tls?.(),
      maxBytes: config.sizeLimitBytes,
      headerTimeoutMs: headerTimeoutMs + (wait ?? 0) * 1000,
      idleTimeoutMs,
      signal: stopping.signal,
    })
    if (answer.status === 304) {
      if (etag === undefined) throw new Error('304 for a bundle that was never sent')
      return
    }
    if (answer.status !== 200) throw new Error(`the server answered ${answer.status}`)
    isLongPolling =
      config.longPollingSeconds !== undefined && answer.headers['content-type'] === longPollingType
    if (!(await offer(answer.body, url.href))) throw new Error('')
    etag = answer.headers.etag
    if (config.persist !== undefined) keep(config.persist, answer.body)
  }

  async function turn(): Promise<void> {
    let delayMs: number
    try {
      await ask()
      failures = 0
      delayMs = isLongPolling ? 0 : config.minDelayMs + random() * (config.maxDelayMs - config.minDelayMs)
    } catch (thrown) {
      if (stopping.signal.aborted) return
      etag = undefined
      // A bundle that was refused has been told of by whoever refused it.
      const problem = messageOf(thrown)
      if (problem !== '') onProblem(`${url.href}: ${problem}`)
      delayMs = Math.min(config.maxDelayMs, minRetryMs * 2 ** failures) * (0.8 + 0.4 * random())
      failures = Math.min(failures + 1, 30)
    }
    timer = setTimeout(() => void turn(), delayMs)
    timer.unref()
  }

  if (config.persist !== undefined) {
    const kept = read(config.persist)
    if (kept !== undefined) await offer(kept, config.persist)
  }
  void turn()
  return {
    [Symbol.dispose]: () => {
      stopping.abort()
      clearTimeout(timer)
    },
  }
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    // Nothing was kept yet: the ordinary first start.
    return undefined
  }
}

/** Whole or not at all: a start in the middle of it reads the one before. */
function keep(path: string, bytes: Buffer): void {
  mkdirSync(dirname(path), { recursive: true })
  const draft = `${path}.${process.pid}.draft`
  writeFileSync(draft, bytes, { mode: 0o600 })
  renameSync(draft, path)
}
