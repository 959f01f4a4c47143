import type { Clock } from '#base/clock.ts'
import { createCanonicalStage } from '#canonical/canonical.ts'
import type { Exchange, RequestFacts, ServedFacts, TokenFacts } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, type Verdict } from '#decision/verdict.ts'
import type { ModelRoute, Resources, Tenant } from '#resources/resources.ts'

export const acme: Tenant = {
  name: 'acme',
  peers: ['spiffe://example.org/ns/acme/**'],
  models: ['fraud'],
  residency: { allow: ['AE', 'GCC'] },
}

export const fraudRoute: ModelRoute = {
  name: 'fraud',
  model: 'fraud',
  versions: [
    { version: '2', weight: 100_000 },
    { version: '1', weight: 900_000 },
  ],
  pins: [],
  key: { sessionHeader: 'x-session-id' },
}

export const someResources = (more: Partial<Resources> = {}): Resources => ({
  epoch: 1,
  tenants: [acme],
  quotas: [],
  accessPolicies: [],
  routes: new Map([['fraud', fraudRoute]]),
  ...more,
})

/** A complete token, to change one thing of. */
export const aToken = (more: Partial<TokenFacts> = {}): TokenFacts => ({
  kind: 'jwt',
  issuer: 'https://idp.example',
  subject: 'alice',
  audiences: ['models'],
  claims: {},
  expiresAtMs: 2_000_000_000_000,
  hash: 'h',
  scopes: [],
  isKeySetStale: false,
  ...more,
})

/** An answer without a body. */
export const someAnswer = (httpStatus: number): ServedFacts => ({
  httpStatus,
  headers: new RequestHeaders(),
  isBodyComplete: true,
})

type HeaderList = readonly (readonly [string, string])[]

export function someRequest(
  more: Partial<Omit<RequestFacts, 'headers'>> & { readonly headers?: HeaderList } = {},
): RequestFacts {
  const headers = new RequestHeaders()
  for (const [name, value] of more.headers ?? []) headers.add(name, value)
  return {
    api: 'ext_proc',
    requestId: 'r-1',
    method: 'POST',
    path: '/v2/models/fraud/infer',
    authority: 'models.example.org',
    scheme: 'https',
    protocol: 'HTTP/2',
    client: 'http',
    sourceAddress: '10.0.0.1:4711',
    isBodyComplete: true,
    routeName: '',
    contextExtensions: {},
    receivedAtMs: 0,
    attributes: () => ({
      request: { http: { method: 'POST', path: more.path ?? '/v2/models/fraud/infer' } },
    }),
    ...more,
    headers,
  }
}

/** Asks one stage after the other, as the pipeline does, as long as they answer at once. */
export function inTurn(x: Exchange, ...stages: readonly Stage[]): Verdict {
  let verdict: Verdict = ALLOW
  for (const stage of stages) {
    verdict = stage.request?.(x) as Verdict
    if (verdict.kind !== 'allow') break
  }
  return verdict
}

/** Judges every request. */
export const strictForm = createCanonicalStage({ isStrict: true, tenantHeaders: ['x-tenant', 'x-tenant-*'] })

/** A complete exchange, to change one thing of. */
export function anExchange(more: Partial<Exchange> = {}): Exchange {
  return {
    id: '00000000-0000-4000-8000-000000000001',
    request: someRequest(),
    resources: someResources(),
    startedUs: 0,
    tenant: acme,
    call: { protocol: 'v2-http', verb: 'infer', model: 'fraud' },
    modelRoute: fraudRoute,
    ...more,
  }
}

/** A clock that only moves when told. */
export function manualClock(): Clock & { advanceMs(ms: number): void } {
  let ms = 1_700_000_000_000
  return {
    nowMs: () => ms,
    monotonicUs: () => ms * 1000,
    advanceMs: (by) => {
      ms += by
    },
  }
}
