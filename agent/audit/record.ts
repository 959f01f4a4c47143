import { messageOf } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'

const maxText = 512
const maxZones = 64

/** What is kept of a decision. Bodies, queries, tokens and header values are never in it; texts are cut. */
export function decisionRecord(
  x: Exchange,
  verdict: Verdict,
  phase: 'request' | 'response',
): Readonly<Record<string, unknown>> {
  const { request, peer, tenant, call, label, route, policy } = x
  const query = request.path.indexOf('?')
  return {
    id: x.id,
    phase,
    api: request.api,
    verdict: verdict.kind,
    ...(verdict.kind !== 'allow' && { reason: verdict.reason }),
    ...(verdict.kind === 'deny' && verdict.detail !== undefined && { detail: short(verdict.detail) }),
    ...(verdict.kind === 'error' && { detail: short(messageOf(verdict.cause)) }),
    method: short(request.method),
    authority: short(request.authority),
    path: short(query === -1 ? request.path : request.path.slice(0, query)),
    ...(peer && { peer: peer.spiffeId, certificate: peer.certificateSha256 }),
    ...(tenant && { tenant: tenant.name }),
    ...(call && { verb: call.verb, model: call.model, asked: call.version }),
    ...(route && { version: route.version, by: route.by, key: route.key }),
    ...(label && { zones: label.zones.slice(0, maxZones) }),
    ...(policy && { policy: policy.revision }),
    epoch: x.resources.epoch,
  }
}

function short(text: string): string {
  return text.length > maxText ? `${text.slice(0, maxText)}…` : text
}
