import type { ReasonCode } from '#decision/reasons.ts'
import { credentialsFault, lengthFault, listlessFault, textFault } from './values.ts'

/** How a header is judged that decides something, or that some reader lets decide. */
export type HeaderRule =
  /** Said once at most, and its value in one form. */
  | {
      readonly kind: 'single'
      /** Why a value is not in canonical form, or `undefined`. */
      readonly fault: (value: string) => string | undefined
      /** The ordinal among the single ones, as a bit: which have been seen. */
      readonly bit: number
    }
  /** One in which only Sluice may speak: kept from policy and from the model server. */
  | { readonly kind: 'withheld' }
  /** One by which nothing is decided. */
  | { readonly kind: 'plain' }
  /** Not to be sent at all. */
  | { readonly kind: 'refused'; readonly reason: ReasonCode; readonly why: string }

type Single = readonly [name: string, fault: (value: string) => string | undefined]
type Refused = readonly [names: readonly string[], reason: ReasonCode, why: string]

/** Judged elsewhere. */
const anything = () => undefined

/** Headers of which readers would each believe another one, or another part of one. */
const singles: readonly Single[] = [
  [':method', anything],
  [':scheme', (value) => (value === 'https' || value === 'http' ? undefined : 'is neither http nor https')],
  [':authority', anything],
  ['host', anything],
  [':path', anything],
  ['authorization', credentialsFault],
  ['dpop', listlessFault],
  ['content-type', listlessFault],
  ['content-encoding', listlessFault],
  ['content-length', lengthFault],
  ['inference-header-content-length', lengthFault],
  ['grpc-encoding', listlessFault],
  ['grpc-timeout', listlessFault],
  ['x-session-id', listlessFault],
  ['te', (value) => (value === 'trailers' ? undefined : 'is not trailers')],
  ['transfer-encoding', (value) => (value === 'chunked' ? undefined : 'is not chunked')],
  ['x-envoy-auth-partial-body', textFault],
  ['connection', connectionFault],
]

/** One that names other headers has readers between drop what others have judged by. */
function connectionFault(value: string): string | undefined {
  const option = value.toLowerCase()
  return option === 'close' || option === 'keep-alive' ? undefined : 'names other headers'
}

/** Headers by which some reader would do otherwise than the request line says. */
const refusals: readonly Refused[] = [
  [
    ['x-http-method-override', 'x-http-method', 'x-method-override'],
    'method_not_canonical',
    'another method',
  ],
  [['x-original-url', 'x-rewrite-url'], 'path_not_canonical', 'another path'],
  [['upgrade', 'http2-settings'], 'header_not_canonical', 'another protocol'],
  [
    [
      'x-envoy-original-path',
      'x-envoy-retry-on',
      'x-envoy-retry-grpc-on',
      'x-envoy-max-retries',
      'x-envoy-retriable-status-codes',
      'x-envoy-retriable-header-names',
      'x-envoy-is-timeout-retry',
      'x-envoy-hedge-on-per-try-timeout',
      'x-envoy-upstream-alt-stat-name',
      'x-envoy-upstream-rq-timeout-ms',
      'x-envoy-upstream-rq-per-try-timeout-ms',
      'x-envoy-upstream-stream-duration-ms',
    ],
    'header_not_canonical',
    "an order to Envoy's router",
  ],
]

/** Every rule by the name of its header. */
export const headerRules: ReadonlyMap<string, HeaderRule> = new Map<string, HeaderRule>([
  ...singles.map(([name, fault], index) => [name, { kind: 'single', fault, bit: 2 ** index }] as const),
  ...refusals.flatMap(([names, reason, why]) =>
    names.map((name) => [name, { kind: 'refused', reason, why }] as const),
  ),
])
