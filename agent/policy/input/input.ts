import type { JsonObject, JsonValue } from '#base/json.ts'
import type { Exchange, GenerationFacts, ModelCall, TokenFacts } from '#decision/exchange.ts'
import type { Switches } from '../switches.ts'
import { type ParsedBody, parsedBody } from './body.ts'
import { parsedPath, parsedQuery } from './parsed.ts'
import { presented } from './presented.ts'
import { withTextTime } from './request-time.ts'

/** Why no input could be built; the request is refused as malformed. */
export interface InputFault {
  readonly fault: string
}

/** Envoy's own word on a body that it cut. */
const cutHeader = 'x-envoy-auth-partial-body'

const version = { ext_authz: 'v3', encoding: 'protojson' }

/** What of the switches shapes the input. */
export type InputRules = Pick<Switches, 'skipRequestBodyParse' | 'requestTime' | 'maxDepth' | 'readMessage'>

/**
 * The input of a decision: the OPA Envoy plugin's document, and what is ours under `serving`. With
 * `answer` it is the response phase's: the same document, and the answer under `serving.response`.
 */
export function policyInput(x: Exchange, rules: InputRules, answer?: JsonObject): JsonObject | InputFault {
  const { request } = x
  const path = parsedPath(request.path)
  if (path === undefined) return { fault: 'the path has a malformed escape' }
  const query = parsedQuery(request.path)
  if (query === undefined) return { fault: 'the query cannot be parsed' }
  const body = rules.skipRequestBodyParse ? unparsed : bodyOf(x, path, rules)
  if (body === undefined) return { fault: 'the body is not what its content type says' }
  const told = request.attributes()
  const plain = x.canonical === undefined ? told : presented(told, x.canonical, x.unvouched)
  const attributes = rules.requestTime === 'rfc3339' ? withTextTime(plain) : plain
  const principal = (attributes['source'] as JsonObject | undefined)?.['principal']
  // Set one by one, here and below: a spread for each that may be missing costs 0.1 µs (`bench -- authz`).
  const input: Record<string, JsonValue> = { attributes, version, parsed_path: path, parsed_query: query }
  if (body !== unparsed) {
    input['parsed_body'] = body.value
    input['truncated_body'] = body.isTruncated
  }
  if (typeof principal === 'string' && principal !== '') input['source_principal'] = principal
  input['serving'] = serving(x, answer)
  return input
}

const unparsed: ParsedBody = { isTruncated: false, value: null }
const absent: ParsedBody = { isTruncated: false, value: null }

function bodyOf({ request }: Exchange, path: readonly string[], rules: InputRules): ParsedBody | undefined {
  const { api, headers, body } = request
  // Where Envoy says so itself; in ext_proc it does not, and only a client could.
  const isCut = api === 'ext_authz' && headers.has(cutHeader) && headers.all(cutHeader).includes('true')
  // Where nothing was seen its type does not matter, but to who reads messages.
  if (!isCut && (body === undefined || body.length === 0) && rules.readMessage === undefined) return absent
  return parsedBody(
    {
      // Joined as Envoy and the plugin do: a second content type must not hide a body from policy.
      contentType: headers.all('content-type').join(','),
      contentLength: headers.has('content-length') ? headers.all('content-length').join(',') : undefined,
      body,
      isText: request.isBodyText === true,
      isComplete: request.isBodyComplete,
      isCut,
      path,
    },
    rules,
  )
}

function serving(x: Exchange, answer: JsonObject | undefined): JsonObject {
  const { call, tenant, peer, forwarded, token, label } = x
  const document: Record<string, JsonValue> = { phase: answer === undefined ? 'request' : 'response' }
  if (call !== undefined) {
    document['protocol'] = call.protocol
    document['model'] = modelJson(x, call)
  }
  if (tenant !== undefined) document['tenant'] = { name: tenant.name, models: tenant.models }
  if (peer !== undefined)
    document['peer'] = {
      spiffe_id: peer.spiffeId,
      trust_domain: peer.trustDomain,
      path: peer.path,
      cert: { sha256: peer.certificateSha256, not_after: Math.floor(peer.notAfterMs / 1000) },
    }
  if (forwarded !== undefined) document['forwarded'] = { spiffe_id: forwarded.spiffeId, by: forwarded.by }
  if (token !== undefined) document['token'] = tokenJson(token)
  if (label !== undefined) document['residency'] = { zones: label.zones }
  if (answer !== undefined) document['response'] = answer
  return document
}

/** What a verified token says; the token itself is nowhere. */
function tokenJson(token: TokenFacts): JsonObject {
  return {
    kind: token.kind,
    issuer: token.issuer,
    subject: token.subject,
    audiences: token.audiences,
    scopes: token.scopes,
    claims: token.claims,
    expires_at: Math.floor(token.expiresAtMs / 1000),
    bound: token.confirmation !== undefined,
    keys_stale: token.isKeySetStale,
  }
}

function modelJson({ inputs, route }: Exchange, call: ModelCall): JsonObject {
  const model: Record<string, JsonValue> = { verb: call.verb }
  if (call.model !== undefined) model['name'] = call.model
  if (call.version !== undefined) model['requested_version'] = call.version
  const version = call.version ?? route?.version
  if (version !== undefined) model['version'] = version
  if (call.generation !== undefined) model['generation'] = generation(call.generation)
  const summaries = inputs?.()
  if (summaries !== undefined) model['inputs'] = summaries.map((summary) => ({ ...summary }))
  return model
}

function generation({ isStream, maxTokens, choices, messages, tools }: GenerationFacts): JsonObject {
  return {
    stream: isStream,
    ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    ...(choices !== undefined && { n: choices }),
    ...(messages !== undefined && { messages }),
    ...(tools !== undefined && { tools }),
  }
}
