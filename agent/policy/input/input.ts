import type { JsonObject } from '#base/json.ts'
import type { Exchange, GenerationFacts } from '#decision/exchange.ts'
import type { Switches } from '../switches.ts'
import { type ParsedBody, parsedBody } from './body.ts'
import { parsedPath, parsedQuery } from './parsed.ts'
import { withTextTime } from './request-time.ts'

/** Why no input could be built; the request is refused as malformed. */
export interface InputFault {
  readonly fault: string
}

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
  const plain = request.attributes()
  const attributes = rules.requestTime === 'rfc3339' ? withTextTime(plain) : plain
  const principal = (attributes['source'] as JsonObject | undefined)?.['principal']
  return {
    attributes,
    version,
    parsed_path: path,
    parsed_query: query,
    ...(body !== unparsed && { parsed_body: body.value, truncated_body: body.isTruncated }),
    ...(typeof principal === 'string' && principal !== '' && { source_principal: principal }),
    serving: serving(x, answer),
  }
}

const unparsed: ParsedBody = { isTruncated: false, value: null }

function bodyOf({ request }: Exchange, path: readonly string[], rules: InputRules): ParsedBody | undefined {
  const { headers } = request
  return parsedBody(
    {
      // Joined as Envoy and the plugin do: a second content type must not hide a body from policy.
      contentType: headers.all('content-type').join(','),
      contentLength: headers.has('content-length') ? headers.all('content-length').join(',') : undefined,
      body: request.body,
      isText: request.isBodyText === true,
      isComplete: request.isBodyComplete,
      isCut: headers.all('x-envoy-auth-partial-body').includes('true'),
      path,
    },
    rules,
  )
}

function serving(
  { call, inputs, tenant, peer, label, route }: Exchange,
  answer: JsonObject | undefined,
): JsonObject {
  const version = call?.version ?? route?.version
  const summaries = inputs?.()
  return {
    phase: answer === undefined ? 'request' : 'response',
    ...(call && {
      protocol: call.protocol,
      model: {
        verb: call.verb,
        ...(call.model !== undefined && { name: call.model }),
        ...(call.version !== undefined && { requested_version: call.version }),
        ...(version !== undefined && { version }),
        ...(call.generation && { generation: generation(call.generation) }),
        ...(summaries !== undefined && { inputs: summaries.map((summary) => ({ ...summary })) }),
      },
    }),
    ...(tenant && { tenant: { name: tenant.name, models: tenant.models } }),
    ...(peer && {
      peer: {
        spiffe_id: peer.spiffeId,
        trust_domain: peer.trustDomain,
        path: peer.path,
        cert: { sha256: peer.certificateSha256, not_after: Math.floor(peer.notAfterMs / 1000) },
      },
    }),
    ...(label && { residency: { zones: label.zones } }),
    ...(answer && { response: answer }),
  }
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
