import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf'
import { messageOf } from '#base/errors.ts'
import type { Node } from '#gen/envoy/config/core/v3/base_pb.js'
import type { Status } from '#grpc/service.ts'
import type { Refusal } from './ledger.ts'
import { type Secrets, secretTypeName, type Validator } from './secrets.ts'

/** One stream of one receiver, in either form of the protocol. */
export interface Conversation {
  message(bytes: Uint8Array): void
  /** There is another state. */
  push(): void
  /** Another answer, here or on another stream, was accepted: what was refused may be taken now. */
  reconsider(accepted: readonly string[]): void
  refusals(): Iterable<Refusal>
}

/** What a conversation needs of the server it belongs to. */
export interface Surroundings {
  secrets(): Secrets
  /** How many answers were accepted so far, on all streams. */
  accepted(): number
  send(message: Uint8Array): void
  close(status: Status): void
  /** Told of each answer that went out, and of what its receiver said. */
  observe(event: 'sent' | 'accepted' | 'refused', names: readonly string[], why?: string): void
  /** Told of names that are waited for. */
  waiting(names: readonly string[]): void
}

/** One Envoy asks for a handful. */
export const maxNames = 1024

export const invalidArgument = 3

/** The name of everything. */
export const wildcard = '*'

/** Reads a request; ends the stream of one that cannot be read. */
export function readRequest<T extends DescMessage>(
  schema: T,
  bytes: Uint8Array,
  around: Surroundings,
): MessageShape<T> | undefined {
  try {
    return fromBinary(schema, bytes)
  } catch (thrown) {
    around.close({ code: invalidArgument, message: `malformed ${schema.name}: ${messageOf(thrown)}` })
    return undefined
  }
}

/** Why a request cannot be served; `undefined` when it can. */
export function requestFault(typeUrl: string, names: readonly string[]): string | undefined {
  if (typeUrl !== '' && typeUrl !== secretTypeName)
    return `resources of another type: expected ${secretTypeName}`
  if (names.length > maxNames) return `more than ${maxNames} names`
  return undefined
}

/** How the receiver's node asks for trust bundles: as SPIRE's agent, by its metadata. */
export function validatorOf(node: Node | undefined): Validator {
  const isDisabled = node?.metadata?.['disable_spiffe_cert_validation']
  return isDisabled === true || isDisabled === 'true' ? 'trusted-ca' : 'spiffe'
}
