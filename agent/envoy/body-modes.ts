/** @see envoy/extensions/filters/http/ext_proc/v3/processing_mode.proto */
export const bodySendMode = {
  NONE: 0,
  STREAMED: 1,
  BUFFERED: 2,
  BUFFERED_PARTIAL: 3,
  FULL_DUPLEX_STREAMED: 4,
  GRPC: 5,
} as const

/** Of headers and trailers. */
export const headerSendMode = { SEND: 1, SKIP: 2 } as const

/** What Envoy was configured to send (`bodySendMode`), from the first message of a stream. */
export interface BodyModes {
  readonly request: number
  readonly response: number
  /** Whether body chunks come while the answer to the headers is outstanding. */
  readonly isEager: boolean
}

export const noModes: BodyModes = { request: bodySendMode.NONE, response: bodySendMode.NONE, isEager: false }

/** Envoy advises chunks of at most 64 KiB in full duplex. */
const maxDuplexChunkBytes = 65_536

/** Whether Envoy keeps the request back until the one message with its body was answered. */
export function isBuffered(mode: number): boolean {
  return mode === bodySendMode.BUFFERED || mode === bodySendMode.BUFFERED_PARTIAL
}

/** Which field of Envoy's `ExternalProcessor` names a mode that is not spoken here. */
export function unspokenMode({ request, response }: BodyModes): string | undefined {
  if (request === bodySendMode.GRPC) return 'processing_mode.request_body_mode is GRPC; expected STREAMED'
  if (response === bodySendMode.GRPC) return 'processing_mode.response_body_mode is GRPC; expected NONE'
  return undefined
}

/**
 * Which field of Envoy's `ExternalProcessor` is wrong for a call whose message names the model: all of the body has to
 * pass before our eyes, and its start before the headers are answered.
 */
export function unfitForNamedModel({ request, isEager }: BodyModes): string | undefined {
  if (request === bodySendMode.STREAMED && !isEager)
    return 'send_body_without_waiting_for_header_response is false; expected true'
  const isFit =
    request === bodySendMode.STREAMED ||
    request === bodySendMode.BUFFERED ||
    request === bodySendMode.FULL_DUPLEX_STREAMED
  return isFit ? undefined : `processing_mode.request_body_mode is ${modeName(request)}; expected STREAMED`
}

/** Which field of Envoy's `ExternalProcessor` is wrong for a call that is measured by its answer. */
export function unfitForMetering({ response, isEager }: BodyModes): string | undefined {
  // Envoy takes no other modes from an answer where it sends bodies without waiting.
  return response === bodySendMode.NONE && isEager
    ? 'processing_mode.response_body_mode is NONE; expected STREAMED'
    : undefined
}

/**
 * How the body of an answer is to come. Where that is not as Envoy was configured, the answer to its headers has to say so.
 *
 * @param call `isStream`: the client asked for an answer that comes piece by piece, and nobody may keep back
 */
export function answerMode(
  { response: configured, isEager }: BodyModes,
  call: { readonly isMetered: boolean; readonly isStream: boolean },
): number {
  if (isEager) return configured
  // Only in full duplex can an answer be ended before its time and still be whole to the client.
  if (call.isStream && call.isMetered) return bodySendMode.FULL_DUPLEX_STREAMED
  if (call.isStream && isBuffered(configured)) return bodySendMode.NONE
  return call.isMetered && configured === bodySendMode.NONE ? bodySendMode.STREAMED : configured
}

function modeName(mode: number): string {
  const found = Object.entries(bodySendMode).find(([, value]) => value === mode)
  return found?.[0] ?? String(mode)
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
