import type { Exchange } from '#decision/exchange.ts'
import type { HandedIn, Subject } from './rules/rules.ts'

/** Who and what a call is counted under. What is not known is absent. */
export function subjectOf(x: Exchange): Subject {
  const { call, peer, tenant, token, request } = x
  return {
    tenant: tenant?.name,
    // Both parts: subjects are only unique within their issuer.
    user: token === undefined ? undefined : `${token.issuer.length}:${token.issuer}${token.subject}`,
    peer: peer?.spiffeId,
    model: call?.model,
    version: x.route?.version ?? call?.version,
    route: request.routeName === '' ? undefined : request.routeName,
    headers: request.headers,
  }
}

export function handedInOf({ policy, token }: Exchange): HandedIn {
  return { policy: policy?.quotas, claims: token?.claims }
}
