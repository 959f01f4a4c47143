import type { JsonObject } from '#base/json.ts'
import type { Exchange } from '#decision/exchange.ts'
import { parsedBody, parsedPath, parsedQuery } from './parsed.ts'

/** Why no input could be built; the request is refused as malformed. */
export interface InputFault {
  readonly fault: string
}

const version = { ext_authz: 'v3', encoding: 'protojson' }

/**
 * The input of a decision: the OPA Envoy plugin's document, and what is ours under `serving`. With
 * `answer` it is the response phase's: the same document, and the answer under `serving.response`.
 */
export function policyInput(x: Exchange, answer?: JsonObject): JsonObject | InputFault {
  const { request } = x
  const path = parsedPath(request.path)
  if (path === undefined) return { fault: 'the path has a malformed escape' }
  const query = parsedQuery(request.path)
  if (query === undefined) return { fault: 'the query cannot be parsed' }
  // Joined as Envoy and the plugin do: a second content type must not hide a body from policy.
  const contentType = request.headers.all('content-type').join(',')
  const body = parsedBody(contentType, request.body, request.isBodyComplete)
  if (body === undefined) return { fault: 'the body is not what its content type says' }
  const attributes = request.attributes()
  const principal = (attributes['source'] as JsonObject | undefined)?.['principal']
  return {
    attributes,
    version,
    parsed_path: path,
    parsed_query: query,
    parsed_body: body.value,
    truncated_body: body.isTruncated,
    ...(typeof principal === 'string' && principal !== '' && { source_principal: principal }),
    serving: serving(x, answer),
  }
}

function serving({ call, tenant, peer, label, route }: Exchange, answer: JsonObject | undefined): JsonObject {
  const version = call?.version ?? route?.version
  return {
    phase: answer === undefined ? 'request' : 'response',
    ...(call && {
      protocol: call.protocol,
      model: {
        verb: call.verb,
        ...(call.model !== undefined && { name: call.model }),
        ...(call.version !== undefined && { requested_version: call.version }),
        ...(version !== undefined && { version }),
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
