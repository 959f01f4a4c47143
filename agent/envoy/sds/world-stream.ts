import { create, toBinary } from '@bufbuild/protobuf'
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js'
import {
  type Conversation,
  invalidArgument,
  readRequest,
  requestFault,
  type Surroundings,
  validatorOf,
  wildcard,
} from './conversation.ts'
import { Ledger, type Refusal } from './ledger.ts'
import { type EncodedSecret, secretTypeName, type Validator } from './secrets.ts'

/**
 * One stream in the state-of-the-world form: each answer holds all that is subscribed to. An acknowledgement is not
 * answered, what was refused is not sent again, and what comes with another nonce than the last is passed over.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
 */
export class WorldStream implements Conversation {
  readonly #around: Surroundings
  readonly #ledger = new Ledger()
  /** `undefined` until the first request. */
  #subscribed: ReadonlySet<string> | undefined
  #isEverything = false
  #validator: Validator = 'spiffe'
  #lastNonce = ''
  #answers = 0

  constructor(around: Surroundings) {
    this.#around = around
  }

  message(bytes: Uint8Array): void {
    const request = readRequest(DiscoveryRequestSchema, bytes, this.#around)
    if (request === undefined) return
    const fault = requestFault(request.typeUrl, request.resourceNames)
    if (fault !== undefined) return this.#around.close({ code: invalidArgument, message: fault })
    if (this.#lastNonce !== '' && request.responseNonce !== this.#lastNonce)
      return this.#ledger.supersede(request.responseNonce)
    if (this.#lastNonce !== '') this.#settle(request)

    const isFirst = this.#subscribed === undefined
    const before = this.#subscribed ?? new Set<string>()
    const wasEverything = this.#isEverything
    const wanted = new Set(request.resourceNames.filter((name) => name !== ''))
    // A first request that names nothing asks for everything; a later one, for as much as before or nothing.
    this.#isEverything = wanted.delete(wildcard) || (wanted.size === 0 && (isFirst || wasEverything))
    this.#subscribed = wanted
    if (isFirst) {
      this.#validator = validatorOf(request.node)
      // A version on a new stream: it has something from an earlier one, perhaps from an earlier agent.
      if (request.versionInfo !== '') for (const name of wanted) this.#ledger.declared(name)
      return this.#answer()
    }
    if (!this.#isEverything)
      for (const name of this.#ledger.heldNames()) if (!wanted.has(name)) this.#ledger.forget(name)
    const isWider = (this.#isEverything && !wasEverything) || [...wanted].some((name) => !before.has(name))
    // Of what waited for an acknowledgement the newest goes out now.
    if (isWider || request.responseNonce !== '') this.#answer()
  }

  push(): void {
    if (this.#subscribed !== undefined) this.#answer()
  }

  reconsider(accepted: readonly string[]): void {
    if (this.#ledger.reconsider(accepted)) this.push()
  }

  refusals(): Iterable<Refusal> {
    return this.#ledger.refusals()
  }

  #settle({ errorDetail, responseNonce }: DiscoveryRequest): void {
    const settled = this.#ledger.settle(responseNonce, errorDetail?.message, this.#around.accepted())
    if (settled.kind !== 'unknown') this.#around.observe(settled.kind, settled.names, errorDetail?.message)
  }

  /** Sends all that is subscribed to, where any of it is new to the receiver. */
  #answer(): void {
    if (this.#ledger.isFull) return
    const secrets = this.#around.secrets()
    const everything = this.#isEverything ? secrets.everything() : []
    const found = new Map<string, EncodedSecret>()
    const missing: string[] = []
    for (const name of new Set([...everything, ...(this.#subscribed ?? [])])) {
      const secret = secrets.find(name, this.#validator)
      if (secret.kind === 'impossible')
        return this.#around.close({ code: invalidArgument, message: secret.why })
      const chosen = this.#ledger.choose(name, secret)
      if (chosen !== undefined) found.set(name, chosen)
      else if (!this.#ledger.isHolder(name)) missing.push(name)
    }
    if (missing.length > 0) this.#around.waiting(missing)
    const isNew = [...found].some(([name, { version }]) => !this.#ledger.isTold(name, version))
    const taken = this.#isEverything
      ? this.#ledger.heldNames().filter((name) => !everything.includes(name) && !this.#subscribed?.has(name))
      : []
    if (!isNew && taken.length === 0) return

    for (const name of taken) this.#ledger.forget(name)
    this.#lastNonce = this.#ledger.sent(found, this.#around.accepted())
    const response = create(DiscoveryResponseSchema, {
      versionInfo: String(++this.#answers),
      resources: [...found.values()].map((secret) => secret.spell(this.#ledger.spelling)),
      typeUrl: secretTypeName,
      nonce: this.#lastNonce,
    })
    this.#around.send(toBinary(DiscoveryResponseSchema, response))
    this.#around.observe('sent', [...found.keys()])
  }
}
