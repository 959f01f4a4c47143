import { createHash } from 'node:crypto'
import { messageOf } from '#base/errors.ts'
import { keep, readKept } from '#base/kept-file.ts'
import type { ServiceClient } from '../../service/service.ts'
import { maxBundleBytes, readArchive } from '../archive.ts'
import { isDelta } from '../contents.ts'
import type { Listener, SourceBase } from './source.ts'

/** A bundle that a server has. */
export interface DownloadSource extends SourceBase {
  readonly kind: 'download'
  readonly client: ServiceClient
  /** Below the service's URL. */
  readonly resource: string
  readonly minDelayMs: number
  readonly maxDelayMs: number
  /** How long a server that can may hold a request until there is something new. */
  readonly longPollingSeconds?: number | undefined
  /** Where the last good bundle is kept for a start without the server. */
  readonly persist?: string | undefined
}

const minRetryMs = 100
/** What a server answers with that can hold a request. */
const longPollingType = 'application/vnd.openpolicyagent.bundles'

/** What the server said, where that is not a bundle. */
class HttpFault extends Error {
  readonly status: number

  constructor(status: number) {
    super(`the server answered ${status}`)
    this.status = status
  }
}

/**
 * Keeps asking for a bundle as OPA does: with the entity tag of the one in force, after a random delay between the two
 * bounds, at once where the server holds requests itself, and with growing delays after failures. Resolves when what was
 * kept has been looked at.
 *
 * @see https://www.openpolicyagent.org/docs/management-bundles
 */
export async function startDownload(
  source: DownloadSource,
  listener: Listener,
  random: () => number = Math.random,
): Promise<Disposable> {
  const { client, resource, persist, sizeLimitBytes = maxBundleBytes } = source
  const { origin, pathname } = client.urlOf(resource)
  // Without the query: signed URLs have their secret there, and this stands in the log.
  const url = `${origin}${pathname}`
  const stopping = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let etag: string | undefined
  /** Digest of what was taken last. */
  let taken: string | undefined
  let isLongPolling = false
  let failures = 0

  const offer = (bytes: Buffer, place: string, wireBytes: number) =>
    listener.offer({
      sizeBytes: wireBytes,
      place,
      read: async () => {
        const verification = source.verification?.()
        const members = await readArchive(bytes, place, sizeLimitBytes)
        // The changes could not be kept, and what is kept must be what is in force.
        if (isDelta(members) && persist !== undefined)
          throw new Error(`${place}: a delta bundle; expected a snapshot, because bundles are kept (persist)`)
        return { kind: 'members', members, place, verification }
      },
    })

  /** Whether deltas are of any use here: they are not kept, and nobody can sign them. */
  function modes(): string {
    const verification = source.verification?.()
    const mustBeSigned =
      verification !== undefined && !(verification.isOptional || verification.allowsUnsignedDelta)
    return persist !== undefined || mustBeSigned ? 'snapshot' : 'snapshot,delta'
  }

  /** @returns whether a bundle was refused by who it was offered to; then they have told why. @throws Error */
  async function ask(): Promise<boolean> {
    listener.onRequest()
    const wait = isLongPolling ? source.longPollingSeconds : undefined
    const answer = await client.get({
      path: resource,
      headers: {
        prefer: `modes=${modes()}${wait === undefined ? '' : `;wait=${wait}`}`,
        ...(etag !== undefined && { 'if-none-match': etag }),
      },
      maxBytes: sizeLimitBytes,
      holdSeconds: wait,
      signal: stopping.signal,
    })
    if (answer.status === 304) {
      if (etag === undefined) throw new Error('304 for a bundle that was never sent')
      listener.onConfirmed()
      return false
    }
    if (answer.status !== 200) throw new HttpFault(answer.status)
    isLongPolling =
      source.longPollingSeconds !== undefined && answer.headers['content-type'] === longPollingType
    const digest = createHash('sha256').update(answer.body).digest('hex')
    // Servers without entity tags send it each time; a change must not be made twice either.
    if (digest === taken) {
      etag = answer.headers.etag
      listener.onConfirmed()
      return false
    }
    if (!(await offer(answer.body, url, answer.wireBytes))) {
      // What was refused may be a change to something that we have not got: the next answer must be whole.
      etag = undefined
      return true
    }
    taken = digest
    etag = answer.headers.etag
    if (persist !== undefined) await keep(persist, answer.body)
    return false
  }

  async function turn(): Promise<void> {
    let hasFailed = true
    const beganMs = performance.now()
    try {
      hasFailed = await ask()
    } catch (thrown) {
      if (!stopping.signal.aborted)
        listener.onProblem(
          `${url}: ${messageOf(thrown)}`,
          thrown instanceof HttpFault ? thrown.status : undefined,
        )
    }
    if (stopping.signal.aborted) return
    const { minDelayMs, maxDelayMs } = source
    let delayMs = minDelayMs + random() * (maxDelayMs - minDelayMs)
    // A server that says it holds requests and does not is not asked in a tight circle.
    if (isLongPolling) delayMs = Math.max(0, minRetryMs - (performance.now() - beganMs))
    if (hasFailed) delayMs = Math.min(maxDelayMs, minRetryMs * 2 ** failures) * (0.8 + 0.4 * random())
    failures = hasFailed ? Math.min(failures + 1, 30) : 0
    timer = setTimeout(() => void turn(), delayMs).unref()
  }

  if (persist !== undefined) {
    try {
      const kept = await readKept(persist)
      if (kept !== undefined && (await offer(kept.bytes, persist, kept.bytes.length)))
        listener.onConfirmed(kept.keptAtMs)
    } catch (cause) {
      listener.onProblem(`${persist}: ${messageOf(cause)}`)
    }
  }
  void turn()
  return {
    [Symbol.dispose]: () => {
      stopping.abort()
      clearTimeout(timer)
    },
  }
}
