import { messageOf } from '#base/errors.ts'
import { type HttpGet, httpGet } from '#base/http-get.ts'
import { pause as realPause } from '#base/pause.ts'
import { type LoadSeries, readMetricsPage } from './metrics-page.ts'

export interface ScrapeSettings {
  readonly address: string
  readonly path: string
  /** How often, and how long one may take. */
  readonly intervalMs: number
  readonly maxBytes: number
}

/** What came of one look. */
export type Scrape =
  | { readonly kind: 'read'; readonly series: readonly LoadSeries[] }
  | { readonly kind: 'failed'; readonly problem: string }

export interface ScrapeOptions {
  readonly settings: ScrapeSettings
  readonly onScrape: (scrape: Scrape) => void
  readonly get?: (call: HttpGet) => Promise<{ readonly status: number; readonly body: Buffer }>
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** Reads the metrics page of a server nearby, again and again until disposed of. One look at a time. */
export function startScraping(options: ScrapeOptions): AsyncDisposable {
  const { settings, onScrape, get = httpGet, pause = realPause } = options
  const { address, path, intervalMs, maxBytes } = settings
  const ending = new AbortController()
  const { signal } = ending

  const look = async (): Promise<Scrape> => {
    try {
      const { status, body } = await get({ address, path, deadlineMs: intervalMs, maxBytes, signal })
      if (status !== 200) return { kind: 'failed', problem: `status ${status}` }
      return { kind: 'read', series: readMetricsPage(body.toString('latin1')) }
    } catch (thrown) {
      return { kind: 'failed', problem: messageOf(thrown) }
    }
  }
  const run = async () => {
    while (!signal.aborted) {
      const scrape = await look()
      if (signal.aborted) return
      onScrape(scrape)
      await pause(intervalMs, signal)
    }
  }
  const done = run()
  return {
    [Symbol.asyncDispose]: async () => {
      ending.abort()
      await done
    },
  }
}
