import { ProcessingMode_BodySendMode as Mode } from '#gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js'
import type { ProtocolConfiguration } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'

/** What Envoy was configured to send, from the first message of a stream. */
export interface BodyModes {
  readonly request: Mode
  readonly response: Mode
  /** Whether body chunks come while the answer to the headers is outstanding. */
  readonly isEager: boolean
}

export const noModes: BodyModes = { request: Mode.NONE, response: Mode.NONE, isEager: false }

/** Envoy advises chunks of at most 64 KiB in full duplex. */
const maxDuplexChunkBytes = 65_536

export function bodyModes(config: ProtocolConfiguration): BodyModes {
  return {
    request: config.requestBodyMode,
    response: config.responseBodyMode,
    isEager: config.sendBodyWithoutWaitingForHeaderResponse,
  }
}

/** Whether Envoy keeps the request back until the one message with its body was answered. */
export function isBuffered(mode: Mode): boolean {
  return mode === Mode.BUFFERED || mode === Mode.BUFFERED_PARTIAL
}

/** Which field of Envoy's `ExternalProcessor` names a mode that is not spoken here. */
export function unspokenMode({ request, response }: BodyModes): string | undefined {
  if (request === Mode.GRPC) return 'processing_mode.request_body_mode is GRPC; expected STREAMED'
  if (response === Mode.GRPC) return 'processing_mode.response_body_mode is GRPC; expected NONE'
  return undefined
}

/**
 * Which field of Envoy's `ExternalProcessor` is wrong for a call whose message names the model: all of the body has to
 * pass before our eyes, and its start before the headers are answered.
 */
export function unfitForNamedModel({ request, isEager }: BodyModes): string | undefined {
  if (request === Mode.STREAMED && !isEager)
    return 'send_body_without_waiting_for_header_response is false; expected true'
  const isFit =
    request === Mode.STREAMED || request === Mode.BUFFERED || request === Mode.FULL_DUPLEX_STREAMED
  return isFit
    ? undefined
    : `processing_mode.request_body_mode is ${Mode[request] ?? request}; expected STREAMED`
}

/** A body cut into the pieces that full duplex wants; the end is said with the last. */
export function* duplexChunks(
  body: Uint8Array,
  isEnd: boolean,
): Generator<{ readonly body: Uint8Array; readonly endOfStream: boolean }> {
  let at = 0
  do {
    const next = at + maxDuplexChunkBytes
    yield { body: body.subarray(at, next), endOfStream: isEnd && next >= body.length }
    at = next
  } while (at < body.length)
}
