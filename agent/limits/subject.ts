import type { Exchange } from '#decision/exchange.ts'
import type { HandedIn, Subject } from './rules/rules.ts'

/** Who and what a call is counted under. What is not known is absent. */
export function subjectOf(x: Exchange): Subject {
  const { call, peer, tenant, token, request } = x
  return {
    tenant: tenant?.name,
    user: token === undefined ? undefined : userOf(token.issuer, token.subject),
    peer: peer?.spiffeId,
    model: call?.model,
    version: x.route?.version ?? call?.version,
    route: request.routeName === '' ? undefined : request.routeName,
    headers: request.headers,
  }
}

/** Both parts, as one text that no other two make: subjects are only unique within their issuer. */
export function userOf(issuer: string, subject: string): string {
  return `${issuer.length}:${issuer}${subject}`
}

/** The same, from `issuer|subject` as people write it; `undefined` where there is no `|`. */
export function userFromText(text: string): string | undefined {
  const bar = text.indexOf('|')
  return bar === -1 ? undefined : userOf(text.slice(0, bar), text.slice(bar + 1))
}

export function handedInOf({ policy, token }: Exchange): HandedIn {
  return { policy: policy?.quotas, claims: token?.claims }
}
