import { create, toBinary } from '@bufbuild/protobuf'
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js'
import {
  type Conversation,
  invalidArgument,
  maxNames,
  readRequest,
  requestFault,
  type Surroundings,
  validatorOf,
  wildcard,
} from './conversation.ts'
import { Ledger, type Refusal } from './ledger.ts'
import { type EncodedSecret, secretTypeName, type Validator } from './secrets.ts'

/**
 * One stream in the incremental form: each answer holds what changed. What a receiver says to hold on a new stream is
 * not sent again where it is current, and taken away where it is no more.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
 */
export class DeltaStream implements Conversation {
  readonly #around: Surroundings
  readonly #ledger = new Ledger()
  readonly #subscribed = new Set<string>()
  #isEverything = false
  #hasBegun = false
  #validator: Validator = 'spiffe'
  #answers = 0

  constructor(around: Surroundings) {
    this.#around = around
  }

  message(bytes: Uint8Array): void {
    const request = readRequest(DeltaDiscoveryRequestSchema, bytes, this.#around)
    if (request === undefined) return
    const { typeUrl, resourceNamesSubscribe, errorDetail, responseNonce } = request
    const held = Object.keys(request.initialResourceVersions)
    const fault =
      requestFault(typeUrl, resourceNamesSubscribe) ??
      requestFault(typeUrl, held) ??
      (this.#subscribed.size + resourceNamesSubscribe.length > maxNames
        ? `more than ${maxNames} names`
        : undefined)
    if (fault !== undefined) return this.#around.close({ code: invalidArgument, message: fault })
    if (responseNonce !== '') {
      const settled = this.#ledger.settle(responseNonce, errorDetail?.message, this.#around.accepted())
      if (settled.kind !== 'unknown') this.#around.observe(settled.kind, settled.names, errorDetail?.message)
    }
    this.#subscribe(request)
    this.#answer()
  }

  push(): void {
    if (this.#hasBegun) this.#answer()
  }

  reconsider(accepted: readonly string[]): void {
    if (this.#ledger.reconsider(accepted)) this.push()
  }

  refusals(): Iterable<Refusal> {
    return this.#ledger.refusals()
  }

  #subscribe(request: DeltaDiscoveryRequest): void {
    const { resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions } = request
    const isFirst = !this.#hasBegun
    this.#hasBegun = true
    for (const name of resourceNamesUnsubscribe) {
      if (name === wildcard) this.#isEverything = false
      else if (this.#subscribed.delete(name)) this.#ledger.forget(name)
    }
    if (isFirst) {
      this.#validator = validatorOf(request.node)
      // A first request that names nothing asks for everything, as before there was a name for that.
      if (resourceNamesSubscribe.length === 0) this.#isEverything = true
    }
    for (const name of resourceNamesSubscribe) {
      if (name === '') continue
      if (name === wildcard) {
        this.#isEverything = true
        continue
      }
      this.#subscribed.add(name)
      // It may have forgotten what it had, and is given it once more.
      this.#ledger.mustTell(name)
    }
    if (isFirst)
      for (const [name, version] of Object.entries(initialResourceVersions))
        if (this.#isEverything || this.#subscribed.has(name)) this.#ledger.declared(name, version)
    if (!this.#isEverything)
      for (const name of this.#ledger.heldNames()) if (!this.#subscribed.has(name)) this.#ledger.forget(name)
  }

  /** Sends what is new to the receiver. */
  #answer(): void {
    if (this.#ledger.isFull) return
    const secrets = this.#around.secrets()
    const everything = new Set(this.#isEverything ? secrets.everything() : [])
    const changed = new Map<string, EncodedSecret>()
    const missing: string[] = []
    for (const name of new Set([...everything, ...this.#subscribed])) {
      const secret = secrets.find(name, this.#validator)
      if (secret.kind === 'impossible')
        return this.#around.close({ code: invalidArgument, message: secret.why })
      const chosen = this.#ledger.choose(name, secret)
      if (chosen !== undefined && !this.#ledger.isTold(name, chosen.version)) changed.set(name, chosen)
      if (chosen === undefined && !this.#ledger.isHolder(name)) missing.push(name)
    }
    if (missing.length > 0) this.#around.waiting(missing)
    // What everything held and holds no more. What was asked for by name is replaced by what stands for nobody instead:
    // Envoy keeps what it is told to remove.
    const removed = this.#ledger
      .heldNames()
      .filter((name) => !everything.has(name) && !this.#subscribed.has(name))
    if (changed.size === 0 && removed.length === 0) return

    const answer = new Map<string, EncodedSecret | undefined>(removed.map((name) => [name, undefined]))
    for (const [name, secret] of changed) answer.set(name, secret)
    const nonce = this.#ledger.sent(answer, this.#around.accepted())
    const { spelling } = this.#ledger
    const response = create(DeltaDiscoveryResponseSchema, {
      systemVersionInfo: String(++this.#answers),
      resources: [...changed].map(([name, secret]) => ({
        name,
        version: secret.version,
        resource: secret.spell(spelling),
      })),
      removedResources: removed,
      typeUrl: secretTypeName,
      nonce,
    })
    this.#around.send(toBinary(DeltaDiscoveryResponseSchema, response))
    this.#around.observe('sent', [...changed.keys(), ...removed])
  }
}
