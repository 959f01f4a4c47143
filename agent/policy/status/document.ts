import type { JsonObject } from '#base/json.ts'
import type { BundleStatus } from '../bundle/status.ts'
import { goTime } from '../log/event.ts'
import type { UploadStatus } from '../log/upload.ts'

export type { BundleStatus } from '../bundle/status.ts'
export type { UploadStatus } from '../log/upload.ts'

export type PluginState = 'OK' | 'NOT_READY' | 'ERROR' | 'WARN'

/** How Go writes the time that never was. */
const never = '0001-01-01T00:00:00Z'

/** A report as OPA makes it. @see https://www.openpolicyagent.org/docs/management-status */
export function statusDocument(state: {
  readonly labels: Readonly<Record<string, string>>
  readonly bundles: ReadonlyMap<string, BundleStatus>
  readonly plugins: ReadonlyMap<string, PluginState>
  readonly decisionLogs: UploadStatus | undefined
  readonly metrics: JsonObject | undefined
}): JsonObject {
  const { labels, bundles, plugins, decisionLogs, metrics } = state
  return {
    labels,
    ...(bundles.size > 0 && {
      bundles: Object.fromEntries([...bundles].map(([name, status]) => [name, bundleDocument(status)])),
    }),
    ...(decisionLogs !== undefined && {
      decision_logs: {
        ...(decisionLogs.code !== undefined && { code: decisionLogs.code }),
        ...(decisionLogs.message !== undefined && { message: decisionLogs.message }),
        ...(decisionLogs.httpCode !== undefined && { http_code: decisionLogs.httpCode }),
      },
    }),
    ...(metrics !== undefined && { metrics: { prometheus: metrics } }),
    plugins: Object.fromEntries([...plugins].map(([name, each]) => [name, { state: each }])),
  }
}

function bundleDocument(status: BundleStatus): JsonObject {
  const { activeRevision, type, sizeBytes, problem } = status
  return {
    name: status.name,
    ...(activeRevision !== undefined && activeRevision !== '' && { active_revision: activeRevision }),
    last_successful_activation: timeOf(status.lastSuccessfulActivationMs),
    ...(type !== undefined && { type }),
    ...(sizeBytes !== undefined && { size: sizeBytes }),
    last_successful_download: timeOf(status.lastSuccessfulDownloadMs),
    last_successful_request: timeOf(status.lastSuccessfulRequestMs),
    last_request: timeOf(status.lastRequestMs),
    ...(problem && {
      code: problem.code,
      message: problem.message,
    }),
    ...(problem?.httpStatus !== undefined && { http_code: problem.httpStatus }),
  }
}

function timeOf(ms: number | undefined): string {
  return ms === undefined ? never : goTime(ms)
}
