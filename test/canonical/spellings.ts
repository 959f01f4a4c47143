import type { ReasonCode } from '#decision/reasons.ts'

/** What becomes of a request on its way through Envoy. */
export type Outcome =
  /** The model server computed, and what it computed is what was decided on. */
  | 'served'
  /** Envoy answered with 4xx; Sluice was never asked. */
  | 'envoy'
  /** Envoy ended the connection or the stream. */
  | 'closed'
  /** Refused by Sluice. */
  | ReasonCode

/** One way to write a path, and what each reader makes of it. */
export interface Spelling {
  /** Of `docs/canonical.md`. */
  readonly rule: string
  /** As it stands in the request line, each character an octet. `HOST` is put in by the test. */
  readonly target: string
  /** What Sluice says of it where it arrives as it is. */
  readonly sluice: 'allow' | ReasonCode
  /** Through the generated Envoy, over HTTP/1.1 and HTTP/2. */
  readonly http1: Outcome
  readonly http2: Outcome
  /** What Triton does by itself: the version of `fraud` that it serves, its status, or no answer. */
  readonly triton: '1' | '2' | 400 | 404 | 405 | 'closed'
}

type Row = readonly [
  rule: string,
  target: string,
  sluice: Spelling['sluice'],
  http1: Outcome,
  http2: Outcome,
  triton: Spelling['triton'],
]

const path = 'path_not_canonical'
const name = 'model_name_invalid'
const operation = 'operation_forbidden'

const rows: readonly Row[] = [
  ['P0', '/v2/models/fraud/infer', 'allow', 'served', 'served', '2'],
  ['P0', '/v2/models/fraud/versions/1/infer', 'allow', 'served', 'served', '1'],
  ['P0', '/v2/models/fraud/versions/2/infer', 'allow', 'served', 'served', '2'],

  ['P1', 'v2/models/fraud/infer', path, 'closed', 'closed', 'closed'],
  ['P1', '*', path, 'closed', 'closed', 'closed'],
  // Triton does not look at the host of an absolute form; Envoy makes `:authority` and a path of it.
  ['P1', 'http://HOST/v2/models/fraud/infer', path, 'served', 'closed', '2'],
  ['P1', 'https://HOST/v2/models/fraud/infer', path, 'served', 'closed', '2'],

  ['P2', '//v2/models/fraud/infer', path, 'served', 'served', 404],
  ['P2', '/v2//models/fraud/infer', path, 'served', 'served', 404],
  ['P2', '/v2/models//fraud/infer', path, 'served', 'served', 404],
  ['P2', '/v2/models/fraud//infer', path, 'served', 'served', 404],
  ['P2', '/v2/models/fraud/versions//infer', path, name, name, 404],
  ['P2', '/v2/models/fraud/infer//', path, operation, operation, 404],

  ['P3', '/v2/./models/fraud/infer', path, 'served', 'served', 404],
  ['P3', '/v2/models/../models/fraud/infer', path, 'served', 'served', 404],
  ['P3', '/x/../v2/models/fraud/infer', path, 'served', 'served', 404],
  ['P3', '/../v2/models/fraud/infer', path, 'served', 'served', 404],
  ['P3', '/v2/models/fraud/versions/2/../1/infer', path, 'served', 'served', 404],
  ['P3', '/v2/models/fraud/infer/..', path, operation, operation, 404],
  ['P3', '/v2/models/fraud/infer/.', path, operation, operation, 404],

  ['P4', '/%76%32/models/fraud/infer', path, 'served', 'served', 404],
  ['P4', '/v2/models/%66raud/infer', path, 'served', 'served', 404],
  ['P4', '/v2/models/fraud/%69nfer', path, 'served', 'served', 404],
  ['P4', '/v2/models/fraud/versions/%31/infer', path, 'served', 'served', 404],
  ['P4', '/v2/models/fraud/%2e%2e/fraud/infer', path, 'served', 'served', 404],
  ['P4', '/v2/models/fraud/%2E/infer', path, 'served', 'served', 404],
  ['P4', '/v2%2Fmodels/fraud/infer', path, 'envoy', 'envoy', 404],
  ['P4', '/v2/models/fraud%2Finfer', path, 'envoy', 'envoy', 405],
  ['P4', '/v2/models/fraud%2finfer', path, 'envoy', 'envoy', 405],
  ['P4', '/v2/models/x%2f..%2ffraud/infer', path, 'envoy', 'envoy', 404],
  ['P4', '/v2/models/fraud%5Cinfer', path, 'envoy', 'envoy', 405],
  ['P4', '/v2/models/fraud%252Finfer', path, path, path, 405],
  ['P4', '/v2/models/fraud%00/infer', path, 'envoy', 'envoy', 404],
  ['P4', '/v2/models/fraud/infer%00', path, 'envoy', 'envoy', 404],
  ['P4', '/v2/models/fraud/infer%3Fx=1', path, path, path, 404],
  ['P4', '/v2/models/fraud/infer%23x', path, path, path, 404],
  ['P4', '/v2/models/fraud/infer%20', path, path, path, 404],
  ['P4', '/v2/models/fraud%0d%0a/infer', path, path, path, 404],
  ['P4', '/v2/models/fraud%C0%AFinfer', path, path, path, 405],
  ['P4', '/v2/models/fraud/%C0%AE%C0%AE/infer', path, path, path, 404],
  ['P4', '/v2/models/fr%C3%A4ud/infer', path, path, path, 404],
  ['P4', '/v2/models/fraud%/infer', path, path, path, 404],
  ['P4', '/v2/models/fraud/%zz/infer', path, path, path, 404],
  ['P4', '/v2/models/%u0066raud/infer', path, path, path, 404],

  ['P5', '/v2\\models\\fraud\\infer', path, 'served', 'served', 404],
  ['P5', '/v2/models/fraud\\infer', path, 'served', 'served', 405],
  ['P5', '\\v2\\models\\fraud\\infer', path, 'closed', 'closed', 'closed'],
  ['P5', '/v2/models/fraud\\..\\fraud/infer', path, 'served', 'served', 404],

  ['P6', '/v2/models/fraud;v=2/infer', path, path, path, 404],
  ['P6', '/v2/models;/fraud/infer', path, path, path, 404],
  ['P6', '/v2/models/fraud/infer;x', path, path, path, 404],
  // Envoy takes a segment of dots and parameters for one of dots.
  ['P6', '/v2/..;/v2/models/fraud/infer', path, 'served', 'served', 404],

  ['P7', '/v2/models/fraud/infer#x', path, 'envoy', 'envoy', 404],
  ['P7', '/v2/models/fraud#/infer', path, 'envoy', 'envoy', 404],
  ['P7', '/v2/models/fraud/infer?x#y', path, 'envoy', 'envoy', '2'],

  // Triton reads a path as far as the NUL, and serves what stands before it.
  ['P8', '/v2/models/fraud/infer\0', path, 'closed', 'closed', '2'],
  ['P8', '/v2/models/fraud/infer\0/x', path, 'closed', 'closed', '2'],
  ['P8', '/v2/models/fraud\x01/infer', path, 'closed', 'closed', 404],
  ['P8', '/v2/models/fraud\t/infer', path, 'closed', 'closed', 404],
  ['P8', '/v2/models/fraud\x7f/infer', path, 'closed', 'closed', 404],
  ['P8', '/v2/models/fr\xe4ud/infer', path, 'closed', path, 404],
  ['P8', '/v2/models/fr\xc3\xa4ud/infer', path, 'closed', path, 404],
  ['P8', '/v2/models/fraud/ infer', path, 'closed', 'closed', 'closed'],

  ['P9', '/v2/models/"fraud"/infer', path, path, path, 404],
  ['P9', '/v2/models/<fraud>/infer', path, path, path, 404],
  ['P9', '/v2/models/{fraud}/infer', path, path, path, 404],
  ['P9', '/v2/models/fraud|x/infer', path, path, path, 404],
  ['P9', '/v2/models/fraud^/infer', path, path, path, 404],
  ['P9', '/v2/models/`fraud`/infer', path, path, path, 404],
  ['P9', '/v2/models/[fraud]/infer', path, path, path, 404],

  ['P10', '/V2/models/fraud/infer', path, path, path, 404],
  ['P10', '/V2', path, path, path, 404],
  ['P10', '/V1/chat/completions', path, path, path, 404],
  ['P10', '/v2/Models/fraud/infer', operation, operation, operation, 404],
  ['P10', '/v2/models/fraud/INFER', operation, operation, operation, 404],

  ['P11', '/v2/models/fraud/infer?', 'allow', 'served', 'served', '2'],
  ['P11', '/v2/models/fraud/infer?x=1', 'allow', 'served', 'served', '2'],
  ['P11', '/v2/models/fraud/infer?a?b/../c//d', 'allow', 'served', 'served', '2'],
  ['P11', '/v2/models/fraud/infer?model=ocr&a=%00%2f', 'allow', 'served', 'served', '2'],
  ['P11', '/v2/models/fraud/infer?a\x01', path, 'closed', 'closed', '2'],
  ['P11', '/v2/models/fraud/infer?a\xff', path, 'closed', path, '2'],

  // Canonical, but no name or version that there is: Triton reads 01 as 1.
  ['P12', '/v2/models/fraud/versions/01/infer', name, name, name, '1'],
  ['P12', '/v2/models/fraud/versions/+1/infer', name, name, name, 404],
  ['P12', '/v2/models/fraud/versions/-1/infer', name, name, name, 404],
  ['P12', '/v2/models/fraud/versions/1.0/infer', name, name, name, 404],
  ['P12', '/v2/models/fraud/versions/0x1/infer', name, name, name, 404],
  ['P12', '/v2/models/fraud/versions/18446744073709551617/infer', name, name, name, 400],
  ['P12', '/v2/models/fraud/versions/1/versions/2/infer', operation, operation, operation, 404],
  ['P12', '/v2/models/fraud/infer/', operation, operation, operation, 404],
  ['P12', '/v2/models/fraud/infer/x', operation, operation, operation, 404],
  ['P12', '/v2/models/fraud,x/infer', name, name, name, 404],
  ['P12', '/v2/models/fraud+/infer', name, name, name, 404],
  ['P12', '/v2/models/fraud~/infer', name, name, name, 404],
]

export const spellings: readonly Spelling[] = rows.map(([rule, target, sluice, http1, http2, triton]) => ({
  rule,
  target,
  sluice,
  http1,
  http2,
  triton,
}))
