import { isDeepStrictEqual } from 'node:util'
import { parseExactJson } from '#policy/input/json-text.ts'
import type { Answer } from './answer.ts'

/** What is meant to be other than the plugin, and why. Whatever is not here must be alike. */
export const differences = {
  'later-paths':
    'The plugin that the tests run cuts at # and takes //x for a host; its later versions do not, and refuse a malformed query.',
  'partial-body': 'Later versions of the plugin take x-envoy-auth-partial-body for what it says.',
  'source-principal': 'Later versions of the plugin write input.source_principal.',
  'header-map': 'Where Envoy sends raw headers, policy finds them in `headers` too.',
  'header-case': 'A header is found whatever the case of its name; Envoy always sends lower case.',
  'too-deep': 'JSON that nests deeper than policy.maxDepth is refused.',
  'too-large': 'An input larger than policy.maxInputBytes is refused.',
  'untame-number':
    'A number that no double can hold is refused: the model would get another than policy judged.',
  'null-behind': 'Go takes a null behind a document for its end; every model server refuses it.',
  'multipart-strict': 'A form that servers read in different ways is refused.',
  'odd-encoding':
    'A message whose fields are written in other types than theirs, or that nests deeper than 100, is refused.',
  'odd-metadata': 'A number that JSON cannot hold and a value of no kind are refused; Envoy sends neither.',
  'inexact-size': 'A size beyond 2^53 is told as the nearest double.',
  'no-request':
    'A CheckRequest without an HTTP request is no question that can be answered; Envoy sends none.',
  'grpc-web': 'A gRPC-Web client is refused in its own protocol.',
  'grpc-content-type': 'A gRPC client would take an answer of another content type for a broken server.',
  'forbidden-header':
    'A policy may not set or remove what routes, frames or vouches, nor write what is no header.',
  'escaped-query':
    'Envoy fails a request for whose query a policy sets what needs escapes; Sluice escapes it.',
  'status-with-point': 'http_status is the number that it is, however Rego wrote it.',
} as const

export type Difference = keyof typeof differences

/** Ours as the plugin would have said it: what Sluice adds to every answer is taken away. */
function withoutOurs(answer: Answer): Answer {
  if (answer.kind === 'failed') return answer
  const headers = answer.headers.filter(([name]) => !name.startsWith('x-sluice-') && name !== 'grpc-status')
  if (answer.kind === 'ok') return { ...answer, headers }
  return { ...answer, headers, body: answer.body }
}

/**
 * Whether the two say the same, but for the differences tolerated. Where the plugin refuses because it could not read the request, ours says so in a text of
 * its own; where the plugin fails the call, ours refuses as a denial (undefined) or as a failure of its own.
 */
export function isSame(theirs: Answer, ours: Answer, tolerated: readonly Difference[] = []): boolean {
  const mine = withoutOurs(ours)
  const mayRefuse = tolerated.includes('multipart-strict') || tolerated.includes('odd-encoding')
  if (mayRefuse && isRefusedAsMalformed(mine)) return true
  if (theirs.kind === 'failed')
    return (
      mine.kind === 'failed' ||
      mine.kind === 'error' ||
      (mine.kind === 'denied' && theirs.details === 'undefined decision')
    )
  if (theirs.kind === 'denied' && mine.kind === 'denied') {
    if (isUnread(theirs)) return isRefusedAsMalformed(mine)
    const [input, myInput] = [inputOf(theirs.body), inputOf(mine.body)]
    if (tolerated.includes('source-principal')) delete myInput?.['source_principal']
    if (input !== undefined)
      return (
        isDeepStrictEqual({ ...theirs, body: '' }, { ...mine, body: '' }) && isDeepStrictEqual(input, myInput)
      )
  }
  return isDeepStrictEqual(theirs, mine)
}

function isRefusedAsMalformed(answer: Answer): boolean {
  return answer.kind === 'denied' && answer.httpStatus === 400 && answer.grpcCode === 3
}

/** Whether the request was refused because it could not be read. */
function isUnread(answer: Answer): boolean {
  return (
    answer.kind === 'denied' && answer.httpStatus === 400 && answer.body.startsWith('request_parse_error')
  )
}

/** The input document that the contract's policy shows as its body, without what is ours. */
export function inputOf(body: string): Record<string, unknown> | undefined {
  if (!body.startsWith('{"')) return undefined
  try {
    const { serving: _, ...input } = comparable(parseExactJson(body)) as Record<string, unknown>
    return input
  } catch {
    return undefined
  }
}

/** Numbers by what they are worth, as far as doubles and the text tell. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value === 'number') return value + 0
  if (typeof value !== 'object' || value === null) return value
  const raw = (value as { readonly rawJSON?: unknown }).rawJSON
  if (Object.getPrototypeOf(value) === null && typeof raw === 'string') return worth(raw)
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, comparable(each)]),
  )
}

function worth(text: string): unknown {
  const number = Number(text)
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(number) ? BigInt(text) : number + 0
}
