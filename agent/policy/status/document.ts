import type { JsonObject } from '#base/json.ts'
import { goTime } from '../log/event.ts'
import type { UploadStatus } from '../log/upload.ts'

export type { UploadStatus } from '../log/upload.ts'

export type PluginState = 'OK' | 'NOT_READY' | 'ERROR' | 'WARN'

/** What is known of a bundle; times in milliseconds since the epoch, absent for never. */
export interface BundleStatus {
  readonly name: string
  readonly activeRevision?: string | undefined
  readonly lastRequestMs?: number | undefined
  readonly lastSuccessfulRequestMs?: number | undefined
  readonly lastSuccessfulDownloadMs?: number | undefined
  readonly lastSuccessfulActivationMs?: number | undefined
  readonly type?: 'snapshot' | 'delta' | undefined
  readonly sizeBytes?: number | undefined
  /** Why what was read last is not in force. */
  readonly problem?: { readonly message: string; readonly httpCode?: number } | undefined
  /** Single faults, where there are several. */
  readonly errors?: readonly JsonObject[] | undefined
  readonly metrics?: JsonObject | undefined
}

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
  const { activeRevision, type, sizeBytes, problem, errors, metrics } = status
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
      code: 'bundle_error',
      message: problem.message,
      ...(errors !== undefined && errors.length > 0 && { errors }),
    }),
    ...(metrics !== undefined && { metrics }),
    ...(problem?.httpCode !== undefined && { http_code: problem.httpCode }),
  }
}

function timeOf(ms: number | undefined): string {
  return ms === undefined ? never : goTime(ms)
}
