import type { MessageReader } from './input/grpc-body.ts'

/** How policy is asked and its answers are taken; the defaults refuse. */
export interface Switches {
  /** An undefined decision is a denial, or a failed call of which Envoy's `failure_mode_allow` decides. */
  readonly onUndefined: 'deny' | 'grpc_error'
  /** The same of a policy that failed or said something that is no result. */
  readonly onError: 'deny' | 'grpc_error'
  /** Every decision lets the request go on; only what an allowed one changes is applied. */
  readonly dryRun: boolean
  /** Leaves `parsed_body` and `truncated_body` out of the input. */
  readonly skipRequestBodyParse: boolean
  /** `request.time` as `{seconds, nanos}`, or as text as older plugins wrote it. */
  readonly requestTime: 'object' | 'rfc3339'
  /** Tells the client why a request could not be judged. */
  readonly errorDetailToClient: boolean
  /** Input text longer than this is refused: a policy has no business with payloads. */
  readonly maxInputBytes: number
  /** How deep a JSON body may nest. */
  readonly maxDepth: number
  /** Reads gRPC bodies, where descriptors are configured. */
  readonly readMessage?: MessageReader | undefined
}

export const defaultSwitches: Switches = {
  onUndefined: 'deny',
  onError: 'deny',
  dryRun: false,
  skipRequestBodyParse: false,
  requestTime: 'object',
  errorDetailToClient: false,
  maxInputBytes: 1 << 20,
  maxDepth: 128,
}
