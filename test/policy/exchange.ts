import { systemClock } from '#base/clock.ts'
import type { JsonObject } from '#base/json.ts'
import type { Exchange, RequestFacts } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import type { DecideOptions } from '#policy/decide.ts'
import { defaultSwitches } from '#policy/policy.ts'
import { createShadowQueue } from '#policy/shadow/queue.ts'
import { noResources } from '#resources/resources.ts'

/** How a policy is asked, as it is configured by default. */
export const validDeciding = (change: Partial<DecideOptions> = {}): DecideOptions => ({
  decision: 'envoy/authz/allow',
  clock: systemClock,
  queue: createShadowQueue(),
  onShadow: () => {},
  switches: defaultSwitches,
  ...change,
})

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
