import { reasons } from '#decision/reasons.ts'
import type { Header, Refusal } from '#decision/verdict.ts'
import { Writer } from './wire/writer.ts'

/** Who the reasons are of. */
const domain = 'sluice.dev'
const typePrefix = 'type.googleapis.com/google.rpc.'

const writer = new Writer()

/**
 * What a gRPC client can read of a refusal beside its status: when to come again, which quotas are used up, and the reason.
 * Only for refusals that say when or which; others have nothing to add to their status.
 *
 * @see google.rpc.Status and google/rpc/error_details.proto for the field numbers
 */
export function grpcDetails(refusal: Refusal, message: string): readonly Header[] {
  if (refusal.kind !== 'deny') return []
  const { reason, retryAfterSeconds, quotas = [] } = refusal
  const { grpcStatus } = reasons[reason]
  if (retryAfterSeconds === undefined && quotas.length === 0) return []
  writer.begin()
  writeDetail('ErrorInfo', () => {
    writer.string(0x12, domain)
    writer.string(0x0a, reason.toUpperCase())
  })
  if (quotas.length > 0) {
    writeDetail('QuotaFailure', () => {
      for (const { name } of quotas.toReversed()) {
        const violation = writer.length
        writer.string(0x12, message)
        writer.string(0x0a, name)
        writer.message(0x0a, violation)
      }
    })
  }
  if (retryAfterSeconds !== undefined) {
    writeDetail('RetryInfo', () => {
      const delay = writer.length
      writer.varint(0x08, retryAfterSeconds)
      writer.message(0x0a, delay)
    })
  }
  writer.string(0x12, message)
  writer.varint(0x08, grpcStatus)
  // Without padding: both forms are read, and this one is what implementations write.
  return [['grpc-status-details-bin', writer.finish().toString('base64').replace(/=+$/, '')]]
}

/** One of `details`: a google.protobuf.Any. The last is written first. */
function writeDetail(type: string, write: () => void): void {
  const detail = writer.length
  write()
  writer.message(0x12, detail)
  writer.string(0x0a, `${typePrefix}${type}`)
  writer.message(0x1a, detail)
}
