import type { JsonObject, JsonValue } from '#base/json.ts'
import type { Exchange, ModelCall, ModelVerb, TensorSummary } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { computingVerbs } from '#decision/verbs.ts'
import { ALLOW, deny, type Verdict } from '#decision/verdict.ts'
import { binaryDataFault } from './binary-data.ts'
import { type Computation, unknownComputation, v2Computation } from './computation.ts'
import {
  createFrameGuard as createGuard,
  type FrameGuard,
  readNamedModel,
  spliceModelVersion as splice,
} from './grpc-message.ts'
import { createMeter } from './meter/meter.ts'
import { TokenRates } from './meter/token-rate.ts'
import { isModelName, isModelVersion } from './model-name.ts'
import { parseOpenAi } from './openai.ts'
import { messageSummaries, summariesOf } from './tensors.ts'
import { grpcMethod, isV2Grpc } from './v2-grpc.ts'
import { parseV2Http, pinPathVersion as pinPath } from './v2-http.ts'
import { readV2Json } from './v2-json.ts'

/** Verbs that change the server for everybody: never for callers of a model. */
const forbidden: ReadonlySet<ModelVerb> = new Set(['repository', 'shared_memory', 'trace', 'logging'])

/** What is asked of the model server: model, version and verb, from the path or the first message. */
export function createInferenceStage(): Stage {
  const rates = new TokenRates()
  return {
    name: 'inference',
    failureReason: 'internal_error',
    request: (x) => {
      if (x.canonical === undefined) throw new Error('nobody has looked at the form of the request')
      const { path } = x.canonical
      // Not in canonical form, and by no reading one of Triton's.
      if (path === undefined) return unknown(x, rates)
      if (!isV2Grpc(path)) return httpCall(x, path, rates)
      // Without the content type nobody would look into the message, and a lenient server might still serve it.
      return isGrpc(x)
        ? grpcCall(x, path, rates)
        : deny('request_malformed', 'a gRPC path without the gRPC content type')
    },
  }
}

function httpCall(x: Exchange, path: string, rates: TokenRates): Verdict {
  const v2 = parseV2Http(path)
  const parsed = v2.kind === 'other' ? parseOpenAi(path, x.request) : v2
  if (parsed.kind === 'refused') return deny(parsed.reason, parsed.detail)
  return parsed.kind === 'other' ? unknown(x, rates) : called(x, rates, parsed.call, parsed.computation)
}

/** Model servers compute at more paths than are known here: whatever it is, what its answer says of what it took counts. */
function unknown(x: Exchange, rates: TokenRates): Verdict {
  x.meter = createMeter(unknownComputation(x.request), { rates })
  return ALLOW
}

function grpcCall(x: Exchange, path: string, rates: TokenRates): Verdict {
  const method = grpcMethod(path)
  if (method === undefined) return deny('operation_forbidden', 'no such method')
  const { verb } = method
  if (!method.isNamed) return called(x, rates, { protocol: 'v2-grpc', verb })
  const { body, isBodyComplete } = x.request
  if (body === undefined) {
    // Admission alone (ext_authz) may be asked without the message; whoever needs the model then finds none.
    return x.request.api === 'ext_authz'
      ? called(x, rates, { protocol: 'v2-grpc', verb })
      : deny('request_malformed', 'no message')
  }
  const named = readNamedModel(body, isBodyComplete)
  if (named.kind === 'incomplete')
    return deny('request_malformed', 'the model is not named at the start of the message')
  if (named.kind === 'refused') return deny(named.reason, named.detail)
  const { model, version } = named
  if (model === '' && verb === 'stats') return called(x, rates, { protocol: 'v2-grpc', verb })
  if (!isModelName(model)) return deny('model_name_invalid', 'the model name is not valid')
  if (version !== '' && !isModelVersion(version))
    return deny('model_name_invalid', 'the model version is not valid')
  return called(x, rates, { protocol: 'v2-grpc', verb, model, ...(version !== '' && { version }) })
}

function called(x: Exchange, rates: TokenRates, call: ModelCall, computation?: Computation): Verdict {
  if (forbidden.has(call.verb)) return deny('operation_forbidden', call.verb)
  x.call = call
  if (computation !== undefined) setComputation(x, rates, computation)
  else if (computingVerbs.has(call.verb)) {
    const fault = readV2Body(x, rates, call)
    if (fault !== undefined) return deny('request_malformed', fault)
  }
  const route = call.model === undefined ? undefined : x.resources.routes.get(call.model)
  if (route !== undefined) x.modelRoute = route
  return ALLOW
}

/**
 * Looks into the body of a V2 request that has a model compute, and leaves its inputs to who wants to know them.
 *
 * @returns what is wrong with it
 */
function readV2Body(x: Exchange, rates: TokenRates, call: ModelCall): string | undefined {
  const { request } = x
  const { body, isBodyComplete } = request
  let json: JsonObject | undefined
  if (call.protocol === 'v2-http') {
    const read = readV2Json(request, call.verb === 'infer')
    if (read.kind === 'refused') return read.detail
    if (read.kind === 'read') json = read.value
    if (call.verb === 'infer') {
      const inputs = json?.['inputs']
      const fault = binaryDataFault(request, inputs)
      if (fault !== undefined) return fault
      const summaries = () => summariesOf(inputs)
      if (json !== undefined) x.inputs = summaries
    }
  } else if (call.verb === 'infer' && body !== undefined && isBodyComplete) {
    const summaries = () => messageSummaries(Buffer.from(body.buffer, body.byteOffset, body.byteLength))
    x.inputs = summaries
  }
  setComputation(x, rates, v2Computation(call, request, json))
  return undefined
}

/**
 * The function has a name first: V8 takes one that is written straight into a property for a method, which stays, and puts
 * it among what is old. Old as it was, it kept all of its exchange through every quick collection: half of what a request
 * allocated was copied, and memory grew by it until the next great one.
 */
function setComputation(x: Exchange, rates: TokenRates, computation: Computation): void {
  const demand = () => computation.ask().demand
  x.demand = demand
  x.meter = createMeter(computation, { rates, model: x.call?.model })
}

function isGrpc(x: Exchange): boolean {
  return x.request.client === 'grpc' || x.request.client === 'grpc-web'
}

/** Whether the decision about a gRPC call has to wait for its first message. */
export function isModelInMessage(path: string): boolean {
  return grpcMethod(path)?.isNamed === true
}

/** Whether enough of a gRPC body has come to decide. */
export function hasNamedModel(body: Uint8Array, isComplete: boolean): boolean {
  return readNamedModel(body, isComplete).kind !== 'incomplete'
}

/** The tensors of a V2 message in JSON, without their contents. */
export function tensorSummaries(list: JsonValue | undefined): readonly TensorSummary[] | undefined {
  return summariesOf(list)
}

/** The path with the version put in. */
export function pinPathVersion(path: string, version: string): string {
  return pinPath(path, version)
}

/** The start of a gRPC body with the version put into its first message. */
export function spliceModelVersion(body: Uint8Array, version: string): Uint8Array {
  return splice(body, version)
}

/** Watches the rest of a gRPC body for what would undo the decision. */
export function createFrameGuard(): FrameGuard {
  return createGuard()
}
