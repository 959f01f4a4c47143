import type { RequestHeaders } from '#decision/request-headers.ts'

/** Whether what was seen is all of the body, as far as the headers tell. */
export function isWholeBody(headers: RequestHeaders, seenBytes: number): boolean {
  if (headers.single('x-envoy-auth-partial-body') === 'true') return false
  const length = headers.single('content-length')
  return length === undefined || !(Number(length) > seenBytes)
}
