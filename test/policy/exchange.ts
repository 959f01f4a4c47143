import type { JsonObject } from '#base/json.ts'
import type { Exchange, RequestFacts } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { noResources } from '#resources/resources.ts'

/** A complete request of tenant acme to model fraud; change one thing. */
export function validExchange(
  change: {
    readonly path?: string
    readonly headers?: readonly (readonly [string, string])[]
    readonly body?: string | Buffer
    readonly isBodyComplete?: boolean
    readonly attributes?: JsonObject
  } & Partial<Omit<Exchange, 'request'>> = {},
): Exchange {
  const { path = '/v2/models/fraud/infer', headers = [], body, isBodyComplete = true, ...rest } = change
  const { attributes = { request: { http: { path } } }, ...fields } = rest
  const all = new RequestHeaders()
  for (const [name, value] of headers) all.add(name, value)
  const request: RequestFacts = {
    api: 'ext_authz',
    requestId: 'r1',
    method: 'POST',
    path,
    authority: 'models',
    scheme: 'https',
    protocol: 'HTTP/2',
    headers: all,
    client: 'json',
    sourceAddress: '127.0.0.1:1',
    ...(body !== undefined && { body: Buffer.from(body) }),
    isBodyComplete,
    routeName: '',
    contextExtensions: {},
    receivedAtMs: 0,
    attributes: () => attributes,
  }
  return {
    id: 'd1',
    request,
    resources: noResources,
    startedUs: 0,
    tenant: { name: 'acme', peers: ['spiffe://x/acme'], models: ['fraud', 'ocr-*'] },
    call: { protocol: 'v2-http', verb: 'infer', model: 'fraud' },
    ...fields,
  }
}
