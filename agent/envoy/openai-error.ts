import type { Exchange } from '#decision/exchange.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import type { Header } from '#decision/verdict.ts'

/** What clients of OpenAI's API ask, also where it was refused before anybody knew what is asked. */
const paths: ReadonlySet<string> = new Set([
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
])

/** Its clients wait no longer than this before they try again by themselves. */
const longestWaitSeconds = 60

/** The codes that its clients know, by our reasons. */
const codes: ReadonlyMap<ReasonCode, { readonly type: string; readonly code: string }> = new Map([
  ['rate_limited', { type: 'rate_limit_error', code: 'rate_limit_exceeded' }],
  ['concurrency_limited', { type: 'rate_limit_error', code: 'rate_limit_exceeded' }],
  ['abnormal_usage', { type: 'rate_limit_error', code: 'rate_limit_exceeded' }],
  ['queue_full', { type: 'rate_limit_error', code: 'rate_limit_exceeded' }],
  ['token_verification_throttled', { type: 'rate_limit_error', code: 'rate_limit_exceeded' }],
  ['quota_exceeded', { type: 'insufficient_quota', code: 'insufficient_quota' }],
])

export function isOpenAi({ call, request }: Pick<Exchange, 'call' | 'request'>): boolean {
  if (call !== undefined) return call.protocol === 'openai'
  const { path } = request
  const query = path.indexOf('?')
  return paths.has(query === -1 ? path : path.slice(0, query))
}

/** A refusal as clients of OpenAI's API read errors. */
export function openAiError(reason: ReasonCode, httpStatus: number, message: string): string {
  const type = httpStatus >= 500 ? 'server_error' : 'invalid_request_error'
  const known = codes.get(reason) ?? { type, code: reason }
  return JSON.stringify({ error: { message, type: known.type, param: null, code: known.code } })
}

/** Whether its clients should try again by themselves, which they do after any 429 unless they are told. */
export function retryHeaders(httpStatus: number, retryAfterSeconds: number | undefined): readonly Header[] {
  if (httpStatus !== 429) return []
  const isSoon = retryAfterSeconds !== undefined && retryAfterSeconds <= longestWaitSeconds
  return [['x-should-retry', String(isSoon)]]
}
