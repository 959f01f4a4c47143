import { messageOf, SluiceError } from '#base/errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { decodeCheck } from '../decode-check.ts'

/** Keys of the policy's input that no CheckRequest has. */
const inputKeys = ['version', 'parsed_path', 'parsed_query', 'parsed_body', 'truncated_body', 'serving']

/**
 * Whether a JSON document is a CheckRequest as Envoy and grpcurl print it (protojson), and no policy input: that one has
 * parsed keys, and its time is no text.
 */
export function isCapturedCheck(value: JsonValue): value is JsonObject {
  if (!isJsonObject(value) || inputKeys.some((key) => Object.hasOwn(value, key))) return false
  const { attributes } = value
  const request = isJsonObject(attributes) ? attributes['request'] : undefined
  return isJsonObject(request) && isJsonObject(request['http']) && !isJsonObject(request['time'])
}

/** The facts of a captured CheckRequest. @throws SluiceError when it is none. */
export async function readCapturedCheck(value: JsonObject, place: string): Promise<RequestFacts> {
  // Only here: the agent itself reads the wire without them.
  const [{ fromJson, toBinary }, { CheckRequestSchema }] = await Promise.all([
    import('@bufbuild/protobuf'),
    import('#gen/envoy/service/auth/v3/external_auth_pb.js'),
  ])
  try {
    // A captured message has fields that we do not know: it is read as its receiver would.
    const message = fromJson(CheckRequestSchema, value as Parameters<typeof fromJson>[1], {
      ignoreUnknownFields: true,
    })
    return decodeCheck(Buffer.from(toBinary(CheckRequestSchema, message)), Date.now())
  } catch (cause) {
    throw new SluiceError({
      code: 'capture_unreadable',
      place,
      found: messageOf(cause),
      expected: "Envoy's CheckRequest in protojson, or the input of a policy",
      cause,
    })
  }
}
