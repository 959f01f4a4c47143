/** Who is to blame for a refusal: decides whether a rollout counts it against a model version. */
export type Blame = 'client' | 'mesh' | 'model'

export interface Reason {
  /** HTTP status to the client; only codes of `envoy.type.v3.StatusCode` (451 is not one of them). */
  readonly httpStatus: number
  /** gRPC status code (google.rpc.Code) to a gRPC client. */
  readonly grpcStatus: number
  /** What the client reads: reveals no policy, limit, identity or topology. */
  readonly text: string
  readonly blame: Blame
  /** Whether a rollout counts a request refused so against the version that would have served it. */
  readonly isCounted: boolean
}

const row = (httpStatus: number, grpcStatus: number, blame: Blame, text: string): Reason => ({
  httpStatus,
  grpcStatus,
  text,
  blame,
  isCounted: blame === 'model',
})

/** Everything Sluice ever says no with. Documentation (`docs/reasons.md`) is checked against this table. */
export const reasons = {
  // who is calling
  peer_certificate_missing: row(401, 16, 'client', 'A client certificate is required.'),
  peer_certificate_untrusted: row(401, 16, 'client', 'The client certificate was not accepted.'),
  peer_certificate_invalid: row(401, 16, 'client', 'The client certificate was not accepted.'),
  peer_certificate_expired: row(401, 16, 'client', 'The client certificate was not accepted.'),
  peer_trust_domain_foreign: row(403, 7, 'client', 'The caller is not permitted here.'),
  peer_checks_exhausted: row(503, 14, 'mesh', 'A decision could not be made.'),
  peer_bundle_missing: row(401, 16, 'client', 'The client certificate was not accepted.'),
  forwarded_identity_invalid: row(400, 3, 'client', 'The forwarded client certificate could not be read.'),
  // on whose behalf
  credentials_ambiguous: row(400, 3, 'client', 'The request carries more than one credential.'),
  token_missing: row(401, 16, 'client', 'An access token is required.'),
  token_malformed: row(401, 16, 'client', 'The access token was not accepted.'),
  token_invalid: row(401, 16, 'client', 'The access token was not accepted.'),
  token_signature_invalid: row(401, 16, 'client', 'The access token was not accepted.'),
  token_key_unknown: row(401, 16, 'client', 'The access token was not accepted.'),
  token_issuer_unknown: row(401, 16, 'client', 'The access token was not accepted.'),
  token_audience_wrong: row(401, 16, 'client', 'The access token was not accepted.'),
  token_expired: row(401, 16, 'client', 'The access token has expired.'),
  token_inactive: row(401, 16, 'client', 'The access token was not accepted.'),
  token_binding_mismatch: row(401, 16, 'client', 'The access token was not accepted.'),
  token_keys_unavailable: row(503, 14, 'mesh', 'A decision could not be made.'),
  token_verification_throttled: row(429, 8, 'client', 'Too many requests.'),
  introspection_failed: row(503, 14, 'mesh', 'A decision could not be made.'),
  dpop_proof_invalid: row(401, 16, 'client', 'The proof of possession was not accepted.'),
  dpop_proof_replayed: row(401, 16, 'client', 'The proof of possession was not accepted.'),
  dpop_nonce_required: row(401, 16, 'client', 'The proof of possession must carry the nonce given.'),
  replay_store_failed: row(503, 14, 'mesh', 'A decision could not be made.'),
  step_up_required: row(401, 16, 'client', 'A stronger or more recent authentication is required.'),
  scope_insufficient: row(403, 7, 'client', 'The access token lacks a scope that is required.'),
  tenant_binding_missing: row(403, 7, 'client', 'The caller is not permitted here.'),
  tenant_binding_mismatch: row(403, 7, 'client', 'The caller is not permitted here.'),
  tenant_unknown: row(403, 7, 'client', 'The caller is not permitted here.'),
  tenant_ambiguous: row(403, 7, 'mesh', 'The caller is not permitted here.'),
  // what is being asked
  path_not_canonical: row(400, 3, 'client', 'The request path is not in canonical form.'),
  host_not_canonical: row(400, 3, 'client', 'The host of the request is not in canonical form.'),
  method_not_canonical: row(400, 3, 'client', 'The method of the request is not in canonical form.'),
  header_not_canonical: row(400, 3, 'client', 'A header of the request is not in canonical form.'),
  header_duplicated: row(400, 3, 'client', 'A header that must be single was sent more than once.'),
  request_malformed: row(400, 3, 'client', 'The request could not be read.'),
  message_compressed: row(400, 12, 'client', 'Compressed messages are not accepted for this call.'),
  message_too_late: row(408, 4, 'client', 'The first message of the call did not arrive in time.'),
  model_name_invalid: row(400, 3, 'client', 'The model name or version is not valid.'),
  operation_forbidden: row(403, 7, 'client', 'This operation is not available.'),
  // may they
  model_not_permitted: row(403, 7, 'client', 'The caller may not use this model.'),
  policy_denied: row(403, 7, 'client', 'The request was denied by policy.'),
  policy_undefined: row(403, 7, 'mesh', 'The request was denied by policy.'),
  policy_answer_denied: row(403, 7, 'mesh', 'The answer was withheld by policy.'),
  redaction_impossible: row(502, 13, 'mesh', 'The answer was withheld by policy.'),
  policy_failed: row(503, 14, 'mesh', 'A decision could not be made.'),
  policy_result_invalid: row(503, 14, 'mesh', 'A decision could not be made.'),
  policy_not_loaded: row(503, 14, 'mesh', 'A decision could not be made.'),
  policy_stale: row(503, 14, 'mesh', 'A decision could not be made.'),
  // how much
  rate_limited: row(429, 8, 'client', 'Too many requests.'),
  concurrency_limited: row(429, 8, 'client', 'Too many requests at once.'),
  quota_exceeded: row(429, 8, 'client', 'All that may be used is used up for now.'),
  quota_cost_impossible: row(400, 11, 'client', 'The request asks for more than can ever be granted.'),
  quota_cost_unbounded: row(400, 3, 'client', 'The request must say how much it asks for.'),
  quota_store_unavailable: row(503, 14, 'mesh', 'A decision could not be made.'),
  quota_store_lost: row(503, 14, 'mesh', 'A decision could not be made.'),
  quota_handed_in_invalid: row(503, 14, 'mesh', 'A decision could not be made.'),
  abnormal_usage: row(429, 8, 'client', 'The usage is out of the ordinary.'),
  overloaded: row(503, 14, 'mesh', 'The model has no capacity left at the moment.'),
  queue_full: row(429, 8, 'client', 'Too many requests wait already.'),
  queue_timeout: row(503, 14, 'mesh', 'The model has no capacity left at the moment.'),
  model_circuit_open: row(503, 14, 'model', 'The model does not answer at the moment.'),
  limits_failed: row(503, 14, 'mesh', 'A decision could not be made.'),
  // where
  residency_denied: row(403, 7, 'client', 'The data may not be processed here.'),
  residency_tag_missing: row(403, 7, 'client', 'The data may not be processed here.'),
  residency_failed: row(503, 14, 'mesh', 'A decision could not be made.'),
  // which version
  version_unavailable: row(404, 5, 'client', 'This version of the model is not available.'),
  version_required: row(400, 9, 'client', 'The request must name a version of the model.'),
  traffic_failed: row(503, 14, 'mesh', 'A decision could not be made.'),
  // ours
  deadline_exceeded: row(503, 14, 'mesh', 'A decision could not be made in time.'),
  audit_failed: row(503, 14, 'mesh', 'A decision could not be made.'),
  internal_error: row(503, 14, 'mesh', 'A decision could not be made.'),
  resources_not_loaded: row(503, 14, 'mesh', 'A decision could not be made.'),
  envoy_config_unsupported: row(500, 13, 'mesh', 'A decision could not be made.'),
} as const satisfies Record<string, Reason>

export type ReasonCode = keyof typeof reasons

/** Problem types that are registered for everybody. @see draft-ietf-httpapi-ratelimit-headers-11 */
const registered: ReadonlyMap<ReasonCode, string> = new Map<ReasonCode, string>([
  ['rate_limited', 'quota-exceeded'],
  ['concurrency_limited', 'quota-exceeded'],
  ['quota_exceeded', 'quota-exceeded'],
  ['overloaded', 'temporary-reduced-capacity'],
  ['queue_timeout', 'temporary-reduced-capacity'],
  ['abnormal_usage', 'abnormal-usage-detected'],
])

/** The problem type of RFC 9457 for a reason. */
export function problemType(code: ReasonCode): string {
  const known = registered.get(code)
  if (known !== undefined) return `https://iana.org/assignments/http-problem-types#${known}`
  return `https://sluice.dev/problems/${code.replaceAll('_', '-')}`
}
