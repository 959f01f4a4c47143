import type { JsonObject } from '#base/json.ts'
import type { ModelRoute, Resources, Tenant } from '#resources/resources.ts'
import type { RequestHeaders } from './request-headers.ts'
import type { AnswerMeter, Demand, Metered, Settlement } from './usage.ts'

/** How the caller expects to be refused. */
export type ClientKind = 'http' | 'json' | 'grpc' | 'grpc-web'

/** The connection's certificate, as Envoy gives it. */
export interface PeerCertificate {
  /** PEM of the leaf, not URL-encoded. */
  readonly pem: string
  /** Whether Envoy validated the chain; `undefined` where its API does not say (ext_authz). */
  readonly isChainValid?: boolean
}

/** What was asked, as it stood on the wire. Filled by `envoy/`, read by everyone, changed by nobody. */
export interface RequestFacts {
  readonly api: 'ext_authz' | 'ext_proc'
  /** Envoy's `x-request-id`, empty when there is none. */
  readonly requestId: string
  readonly method: string
  /** `:path` with its query, undecoded. */
  readonly path: string
  readonly authority: string
  readonly scheme: string
  readonly protocol: string
  readonly headers: RequestHeaders
  readonly client: ClientKind
  readonly certificate?: PeerCertificate | undefined
  readonly sni?: string | undefined
  /** `ip:port` of the downstream connection; empty when unknown. */
  readonly sourceAddress: string
  /** What was seen of the body: the first bytes or all of it. `undefined` when none was sent to us. */
  readonly body?: Uint8Array | undefined
  /** True where Envoy sent the body as text, in which octets that are no UTF-8 are lost. */
  readonly isBodyText?: boolean
  /** False when more of the body exists than `body` holds. */
  readonly isBodyComplete: boolean
  /** The name of Envoy's route; empty when Envoy does not say it. */
  readonly routeName: string
  /** The route's `context_extensions` (ext_authz) or the attributes the config generator wrote. */
  readonly contextExtensions: Readonly<Record<string, string>>
  /** Wall time of arrival, milliseconds. */
  readonly receivedAtMs: number
  /** `input.attributes` of the OPA Envoy plugin's contract; built when a policy wants it. */
  attributes(): JsonObject
}

/** The workload at the other end, proven by its certificate. */
export interface Peer {
  readonly spiffeId: string
  readonly trustDomain: string
  /** Segments of the path, at least one. */
  readonly path: readonly string[]
  /** Lower-case hex SHA-256 of the leaf's DER. */
  readonly certificateSha256: string
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number
}

/** On whose behalf a request is made, proven by a token that was verified. Holds claims, never the token. */
export interface TokenFacts {
  readonly kind: 'jwt' | 'jwt-svid' | 'opaque'
  readonly issuer: string
  readonly subject: string
  readonly audiences: readonly string[]
  /** Frozen, without a prototype. */
  readonly claims: JsonObject
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number
  /** `jti`, where the token has one. */
  readonly tokenId?: string
  /** base64url SHA-256 of what identifies the token whatever its spelling: a JWT's signing input, an opaque token's text. */
  readonly hash: string
  /** What the token is bound to (RFC 7800, RFC 8705, RFC 9449); checked where it stands here. */
  readonly confirmation?: { readonly certificateSha256?: string; readonly keyThumbprint?: string }
  /** The claim that the issuer's configuration names for it, where it is there. */
  readonly tenantClaim?: string
  /** Scopes of `scope` or `scp`. */
  readonly scopes: readonly string[]
  /** Verified with keys that could not be refreshed in time, within the bound. */
  readonly isKeySetStale: boolean
}

/** Who the request came from before a trusted gateway forwarded it, as that gateway says. */
export interface ForwardedPeer {
  readonly spiffeId: string
  /** Lower-case hex SHA-256 of the certificate, where the gateway says it. */
  readonly certificateSha256?: string
  /** SPIFFE ID of the gateway. */
  readonly by: string
}

export type ModelVerb =
  | 'infer'
  | 'stream_infer'
  | 'generate'
  | 'generate_stream'
  | 'embed'
  | 'metadata'
  | 'config'
  | 'stats'
  | 'model_ready'
  | 'server_live'
  | 'server_ready'
  | 'server_metadata'
  | 'repository'
  | 'shared_memory'
  | 'trace'
  | 'logging'

/** What a request of OpenAI's API says of what is to be generated, without its contents. */
export interface GenerationFacts {
  readonly isStream: boolean
  /** The bound on output tokens that the request sets. */
  readonly maxTokens?: number
  /** How many answers are wanted (`n`). */
  readonly choices?: number
  readonly messages?: number
  readonly tools?: number
}

/** What is asked of the model server (KServe V2, HTTP or gRPC, and Triton's extensions, or OpenAI's API). */
export interface ModelCall {
  readonly protocol: 'v2-http' | 'v2-grpc' | 'openai'
  readonly verb: ModelVerb
  /** Absent for calls that are about the server. */
  readonly model?: string
  /** The version the client asked for; absent when it left the choice to the server. */
  readonly version?: string
  readonly generation?: GenerationFacts
}

/** A tensor without its contents. */
export interface TensorSummary {
  readonly name: string
  /** Of the protocol: FP32, INT64, BYTES. */
  readonly datatype: string
  readonly shape: readonly number[]
  /** What the shape makes of it; absent where that is no number. */
  readonly elements?: number
  /** What the contents take; absent where there are none. */
  readonly bytes?: number
}

/** Where the exchange's data may be processed: the intersection of every source that spoke. */
export interface ResidencyLabel {
  /** Sorted zone names. */
  readonly zones: readonly string[]
  /** Who narrowed it, for the record. */
  readonly sources: readonly string[]
}

export interface PolicyResult {
  readonly decisionId: string
  readonly revision: string
  readonly isAllowed: boolean
  /** Limits that policy hands in, by `policy/limit` of a QuotaPolicy: whole numbers. */
  readonly quotas?: ReadonlyMap<string, number>
}

/** What was taken from the quotas, so that it is settled exactly once. */
export interface QuotaHold {
  /** Whether what it costs depends on the answer: who sees the answer then measures it. */
  readonly isMetered: boolean
  /** Whether it may run out while the answer comes: the smaller the pieces that are told of, the less is given beyond it. */
  readonly isGrowing: boolean
  /**
   * Told what was measured so far. Asks for more in the background where what was reserved runs out.
   *
   * @returns `stop` once more was refused: the answer is to be ended
   */
  progress(metered: Metered): 'go_on' | 'stop'
}

/** A request whose turn has not come: it stands in a queue, which has a deadline of its own. */
export interface Waiting {
  /** How long at most, milliseconds from when it began to wait. */
  readonly atMostMs: number
  /** Nobody wants the answer any more: it leaves the queue and is refused. */
  abandon(): void
}

export type SplitKeyKind = 'session' | 'user' | 'tenant' | 'request'

export interface RouteChoice {
  readonly version: string
  /** Why: `asked` (the client named it), `pin` or `split`. */
  readonly by: 'asked' | 'pin' | 'split'
  /** Which step of the key ladder decided, where `by` is `split`. */
  readonly key?: SplitKeyKind
}

/** What the model server answered, as far as Envoy tells. */
export interface ServedFacts {
  readonly httpStatus: number
  /** Of the answer, `:status` among them. */
  readonly headers: RequestHeaders
  /** What was seen of the body, as it stood on the wire; `undefined` when none was sent to us. */
  readonly body?: Uint8Array
  /** False when more of the body exists than `body` holds. */
  readonly isBodyComplete: boolean
  readonly grpcStatus?: number
  readonly upstreamAddress?: string
}

/** The request in the form that everybody is judged by. */
export interface CanonicalRequest {
  /** Without its query. `undefined` where it is not in canonical form and nothing demands that it be. */
  readonly path: string | undefined
  /** `:authority`, in lower case where the form is demanded. */
  readonly authority: string
  /**
   * Headers in which the client says what is ours to say: neither policy nor the model server sees them. `undefined` where
   * nobody looked.
   */
  readonly withheld: readonly string[] | undefined
}

/** One HTTP exchange, filled stage by stage. A stage writes its own fields and reads those before it. */
export interface Exchange {
  /** The decision id: a UUID, also in dynamic metadata and the audit record. */
  readonly id: string
  readonly request: RequestFacts
  /** The resources as they stood when the request came; kept to its end. */
  readonly resources: Resources
  readonly startedUs: number
  /** When the request was let through, on the same clock; from then on it is with the model server. */
  permittedUs?: number
  canonical?: CanonicalRequest
  peer?: Peer
  forwarded?: ForwardedPeer
  /** Headers that say who somebody is, by nobody's word that counts: policy is not shown them. */
  unvouched?: readonly string[]
  token?: TokenFacts
  tenant?: Tenant
  call?: ModelCall
  /** Reads what the call says of its input tensors, for who wants to know; `undefined` where that was not seen. */
  inputs?: () => readonly TensorSummary[] | undefined
  /** What the call may take at most, for who wants to know. */
  demand?: () => Demand
  /** Measures the answer; there for calls that have a model compute. */
  meter?: AnswerMeter
  modelRoute?: ModelRoute
  label?: ResidencyLabel
  policy?: PolicyResult
  hold?: QuotaHold
  /** There once the exchange has ended, where quotas were charged for it. */
  settled?: Settlement
  /** There while the request waits for its turn. */
  waiting?: Waiting | undefined
  /** Told when the request begins to wait; set by whoever has to keep somebody patient meanwhile. */
  whenWaiting?: (waiting: Waiting) => void
  route?: RouteChoice
  served?: ServedFacts
  /** Whether the body of the answer is shown to us for certain: where nothing was seen of it, nothing came. */
  isAnswerShown?: boolean
}
