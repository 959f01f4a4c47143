import type { Header } from '#decision/verdict.ts'

export const loadReportHeader = 'endpoint-load-metrics'

/**
 * Headers that a client could steer queues and balancers by: whose share a call counts to, how urgent it is, and in which form
 * the model server reports its load.
 */
export const steeringHeaders: readonly string[] = [
  'x-gateway-inference-fairness-id',
  'x-gateway-inference-objective',
  'endpoint-load-metrics-format',
]

/** How busy the model is, as a load balancer reads it. @see the ORCA text format: `TEXT name=value` */
export function loadReport(utilization: number): Header {
  return [loadReportHeader, `TEXT application_utilization=${utilization.toFixed(3)}`]
}
