import type { ServedFacts } from '#decision/exchange.ts'

/** UNKNOWN, INTERNAL and UNAVAILABLE: what goes wrong in a server. The others say what is wrong with the call. */
const failedStatuses: ReadonlySet<number> = new Set([2, 13, 14])
/** Not implemented, and a version of HTTP that is not spoken: the call's fault. */
const refusedStatuses: ReadonlySet<number> = new Set([501, 505])

/** Whether the server failed at a call; `undefined` where the answer says nothing about the server. */
export function isFailure({ httpStatus, grpcStatus }: ServedFacts): boolean | undefined {
  if (grpcStatus !== undefined && grpcStatus !== 0) return failedStatuses.has(grpcStatus) ? true : undefined
  if (httpStatus >= 500) return refusedStatuses.has(httpStatus) ? undefined : true
  return httpStatus >= 200 && httpStatus < 300 ? false : undefined
}
