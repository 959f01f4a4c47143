import type { RequestHeaders } from '#decision/request-headers.ts'

/** Whether what was seen is all of the body, as far as the headers tell. */
export function isWholeBody(headers: RequestHeaders, seenBytes: number): boolean {
  // Envoy's own word stands beside whatever the client put there.
  if (headers.all('x-envoy-auth-partial-body').includes('true')) return false
  const length = headers.single('content-length')
  return length === undefined || !(Number(length) > seenBytes)
}
