import type { JsonObject } from '#base/json.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Decision } from '#decision/pipeline.ts'
import { reasons } from '#decision/reasons.ts'
import type { Header } from '#decision/verdict.ts'
import { type Denial, denialOf, refusedOf } from './denial.ts'
import { upstreamHeaders } from './upstream-headers.ts'
import { upstreamPath } from './upstream-path.ts'
import { writeAddedHeaders, writeHeaderOptions } from './wire/header-options.ts'
import { Writer } from './wire/writer.ts'

type Permitted = Extract<Decision, { kind: 'allow' }>

const writer = new Writer()

/**
 * The only way from a decision to a CheckResponse.
 *
 * @see envoy/service/auth/v3/external_auth.proto for the field numbers
 */
export function encodeCheck(x: Exchange, decision: Decision): Uint8Array {
  writer.begin()
  if (decision.kind === 'allow') writeAllowed(x, decision)
  else writeRefused(x, decision)
  return writer.finish()
}

function writeAllowed(x: Exchange, { mutations }: Permitted): void {
  const { set, remove } = upstreamHeaders(x, mutations)
  // Not in `query_parameters_to_*`: there Envoy rejects escapes, and does not see through a client's.
  const path = upstreamPath(x, mutations)
  const moved: Header[] = path === x.request.path ? [] : [[':path', path]]
  writeMetadata(mutations.dynamicMetadata)
  const ok = writer.length
  writeAddedHeaders(writer, 0x32, mutations.addResponseHeaders ?? [], 'value')
  for (let i = remove.length - 1; i >= 0; i--) writer.string(0x2a, remove[i] as string)
  writeHeaderOptions(writer, 0x12, set, 'value')
  writeHeaderOptions(writer, 0x12, moved, 'value')
  writer.message(0x1a, ok)
  // status: there, with code 0.
  writer.message(0x0a, writer.length)
}

function writeRefused(x: Exchange, decision: Exclude<Decision, { kind: 'allow' }>): void {
  const denial = denialOf(decision, refusedOf(x))
  // Our own failure is no denial: Envoy counts it apart, and it stays a refusal because failure_mode_allow is off.
  if (decision.kind === 'error') writeDenial(0x2a, denial)
  else {
    writeMetadata(decision.own?.dynamicMetadata)
    writeDenial(0x12, denial)
  }
  const status = writer.length
  writer.string(0x12, decision.reason)
  writer.varint(0x08, reasons[decision.reason].grpcStatus)
  writer.message(0x0a, status)
}

/** `denied_response` or `error_response`. */
function writeDenial(tag: number, denial: Denial): void {
  // Envoy derives a gRPC client's status from the HTTP one, which has no word for RESOURCE_EXHAUSTED; the header wins.
  const grpc: Header[] = denial.grpcStatus === undefined ? [] : [['grpc-status', String(denial.grpcStatus)]]
  const before = writer.length
  writer.string(0x1a, denial.body)
  writeHeaderOptions(writer, 0x12, [...denial.headers, ...grpc], 'value')
  const status = writer.length
  writer.varint(0x08, denial.httpStatus)
  writer.message(0x0a, status)
  writer.message(tag, before)
}

function writeMetadata(metadata: JsonObject | undefined): void {
  if (metadata !== undefined) writer.struct(0x22, metadata)
}
