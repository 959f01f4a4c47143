import { messageOf } from '#base/errors.ts'
import type { JsonObject } from '#base/json.ts'
import { pause } from '#base/pause.ts'
import type { LogService } from '../log/upload.ts'
import { type BundleStatus, type PluginState, statusDocument, type UploadStatus } from './document.ts'

export type { BundleStatus, PluginState } from './document.ts'

export interface StatusReporter extends AsyncDisposable {
  /** What is known of a bundle now. */
  bundle(status: BundleStatus): void
  plugin(name: string, state: PluginState): void
  /** How the last upload of the decision log went. */
  decisionLogs(status: UploadStatus): void
}

const minRetryMs = 100
const maxRetryMs = 60_000
/** How long the server has for the last report. */
const flushMs = 2000

/**
 * Reports the state of bundles, log and plugins as OPA does: at once, and again whenever something of it changes. Changes
 * that come while a report is on its way go into the next one. A report that does not arrive is sent again as it is by
 * then, after growing delays.
 */
export function openStatusReporter(options: {
  readonly labels: Readonly<Record<string, string>>
  readonly service?: LogService | undefined
  /** `status` or `status/partition`. */
  readonly path: string
  /** Takes each report as it is made. */
  readonly print?: ((document: JsonObject) => void) | undefined
  /** What stands under `metrics.prometheus`. */
  readonly metrics?: (() => JsonObject) | undefined
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
  readonly onProblem: (problem: string) => void
}): StatusReporter {
  const { labels, service, path, print, metrics, sleep = pause, onProblem } = options
  const bundles = new Map<string, BundleStatus>()
  const plugins = new Map<string, PluginState>([['status', 'OK']])
  let decisionLogs: UploadStatus | undefined
  const stopping = new AbortController()
  const abandoning = new AbortController()
  let isChanged = true
  let running: Promise<void> | undefined

  function changed(): void {
    isChanged = true
    running ??= Promise.resolve()
      .then(report)
      .finally(() => {
        running = undefined
      })
  }

  /** Sends until what was sent is what is so. */
  async function report(): Promise<void> {
    let failures = 0
    while (isChanged) {
      isChanged = false
      const document = statusDocument({ labels, bundles, plugins, decisionLogs, metrics: metrics?.() })
      if (failures === 0) print?.(document)
      const problem = await send(document)
      if (problem === undefined) {
        failures = 0
        continue
      }
      onProblem(problem)
      isChanged = true
      if (stopping.signal.aborted) return
      await sleep(Math.min(maxRetryMs, minRetryMs * 2 ** failures), stopping.signal)
      failures = Math.min(failures + 1, 30)
    }
  }

  async function send(document: JsonObject): Promise<string | undefined> {
    if (service === undefined) return undefined
    try {
      const { status } = await service.post({
        path,
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify(document)),
        signal: abandoning.signal,
      })
      return status >= 200 && status < 300
        ? undefined
        : `status update failed, server replied with HTTP ${status}`
    } catch (thrown) {
      return `status update failed: ${messageOf(thrown)}`
    }
  }

  changed()
  return {
    bundle: (status) => {
      bundles.set(status.name, status)
      changed()
    },
    plugin: (name, state) => {
      if (plugins.get(name) === state) return
      plugins.set(name, state)
      changed()
    },
    decisionLogs: (status) => {
      decisionLogs = status
      changed()
    },
    [Symbol.asyncDispose]: async () => {
      const late = setTimeout(() => abandoning.abort(), flushMs)
      stopping.abort()
      await running
      clearTimeout(late)
    },
  }
}
