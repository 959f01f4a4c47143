import type { JsonObject } from '#base/json.ts'
import { RateLimitResponse_RateLimit_Unit as Unit } from '#gen/envoy/service/ratelimit/v3/rls_pb.js'
import type { RateLimitAnswer } from '../../../harness/rate-limit-client.ts'

/** An answer as plain values, without when windows end. */
export interface Told {
  readonly code: 'ok' | 'over' | `status ${number}`
  readonly statuses: readonly ToldStatus[]
  readonly headers: readonly string[]
  readonly metadata: JsonObject | undefined
}

export interface ToldStatus {
  readonly code: 'ok' | 'over'
  readonly remaining: number
  /** `5/minute name`; empty without a limit. */
  readonly limit: string
  readonly hasReset: boolean
}

export function toldOf(answer: RateLimitAnswer): Told {
  if (answer.kind === 'status')
    return { code: `status ${answer.code}`, statuses: [], headers: [], metadata: undefined }
  const { overallCode, statuses, responseHeadersToAdd, dynamicMetadata } = answer.response
  return {
    code: codeOf(overallCode),
    statuses: statuses.map(({ code, limitRemaining, currentLimit, durationUntilReset }) => ({
      code: codeOf(code),
      remaining: limitRemaining,
      limit: currentLimit
        ? `${currentLimit.requestsPerUnit}/${Unit[currentLimit.unit]} ${currentLimit.name}`.trim()
        : '',
      hasReset: durationUntilReset !== undefined,
    })),
    // When the window ends differs by when the second ticks.
    headers: responseHeadersToAdd.map(({ key, value }) => (/reset/i.test(key) ? key : `${key}: ${value}`)),
    metadata: dynamicMetadata && plain(dynamicMetadata as JsonObject),
  }
}

/** Seconds until each window ends. */
export function resetsOf(answer: RateLimitAnswer): readonly (number | undefined)[] {
  if (answer.kind === 'status') return []
  return answer.response.statuses.map(({ durationUntilReset: reset }) => reset && Number(reset.seconds))
}

function codeOf(code: number): 'ok' | 'over' {
  return code === 2 ? 'over' : 'ok'
}

/** Sorted keys; Go's text form of messages has one or two blanks, as it likes. */
function plain(value: JsonObject): JsonObject {
  return JSON.parse(
    JSON.stringify(value, (_, each) =>
      typeof each === 'string'
        ? each.replaceAll('  ', ' ')
        : typeof each === 'object' && each !== null && !Array.isArray(each)
          ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
          : each,
    ),
  )
}
