import type { BreakerState } from './breaker.ts'
import type { Band } from './queue/fair-queue.ts'

/** Why a call was refused here: the reason's code. */
export const shedReasons = [
  'overloaded',
  'queue_full',
  'queue_timeout',
  'model_circuit_open',
  'abnormal_usage',
] as const
export type ShedReason = (typeof shedReasons)[number]

/** What happened, for the log, and for who decides about versions. */
export type OverloadEvent =
  | {
      readonly kind: 'breaker'
      readonly model: string
      readonly version: string
      readonly state: BreakerState
    }
  | {
      readonly kind: 'usage'
      readonly tenant: string
      readonly isUnusual: boolean
      readonly isAlert: boolean
    }
  /** The server's metrics cannot be read any more, or can again. */
  | { readonly kind: 'metrics'; readonly problem?: string }

/** How one version of a model is now. Version empty where its clients leave that to the server. */
export interface ModelLoad {
  readonly model: string
  readonly version: string
  readonly inFlight: number
  readonly limit: number
  readonly waiting: Readonly<Record<Band, number>>
  /** `undefined` where none is configured. */
  readonly breaker: BreakerState | undefined
  /** As it was measured last; `undefined` where nothing is. */
  readonly queueMs: number | undefined
  readonly batch: number | undefined
  readonly pending: number | undefined
  /** The most of: in flight to limit, wait to target, cache in use to 0.8. 1 is busy; above there is too much. */
  readonly utilization: number
}

/** Counted since the start. */
export interface OverloadCounts {
  readonly shed: Readonly<Record<Band, Readonly<Record<ShedReason, number>>>>
  /** Calls that waited and then ran, and how long altogether. */
  readonly waited: Readonly<Record<Band, { readonly calls: number; readonly sumUs: number }>>
}

/** Everything that metrics show of overload. Models are at most 1,024, and so are tenants. */
export interface OverloadReadings {
  readonly models: readonly ModelLoad[]
  readonly counts: OverloadCounts
  /** Tenants whose usage is out of the ordinary now. */
  readonly unusual: readonly string[]
  /** Why the server's metrics are not known; `undefined` where they are, or nobody asked for them. */
  readonly metricsProblem: string | undefined
}
