import { messageOf } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Settlement } from '#decision/usage.ts'
import type { Verdict } from '#decision/verdict.ts'
import type { LogRecord } from './log.ts'

const maxText = 512
const maxZones = 64

/**
 * What is kept of a decision. Bodies, queries, tokens and header values are never in it; texts are cut.
 *
 * Filled field by field: spreads of what may be missing cost 1.5 µs more (`bench -- authz --pipeline`).
 */
export function decisionRecord(
  x: Exchange,
  verdict: Verdict,
  phase: 'request' | 'response',
  time: string,
): LogRecord {
  const { request, peer, forwarded, token, tenant, call, label, route, policy } = x
  const query = request.path.indexOf('?')
  const record: { time: string; [key: string]: unknown } = {
    time,
    id: x.id,
    phase,
    api: request.api,
    verdict: verdict.kind,
  }
  if (verdict.kind !== 'allow') record['reason'] = verdict.reason
  if (verdict.kind === 'deny' && verdict.detail !== undefined) record['detail'] = short(verdict.detail)
  if (verdict.kind === 'error') record['detail'] = short(messageOf(verdict.cause))
  record['method'] = short(request.method)
  record['authority'] = short(request.authority)
  record['path'] = short(query === -1 ? request.path : request.path.slice(0, query))
  if (peer !== undefined) {
    record['peer'] = peer.spiffeId
    record['certificate'] = peer.certificateSha256
  }
  if (forwarded !== undefined) record['forwarded'] = forwarded.spiffeId
  if (token !== undefined) {
    record['issuer'] = short(token.issuer)
    record['subject'] = short(token.subject)
    record['token'] = token.hash
    record['bound'] = token.confirmation !== undefined
    if (token.isKeySetStale) record['keysStale'] = true
  }
  if (tenant !== undefined) record['tenant'] = tenant.name
  if (call !== undefined) {
    record['verb'] = call.verb
    record['model'] = call.model
    record['asked'] = call.version
  }
  if (route !== undefined) {
    record['version'] = route.version
    record['by'] = route.by
    record['key'] = route.key
  }
  if (label !== undefined) record['zones'] = label.zones.slice(0, maxZones)
  if (policy !== undefined) record['policy'] = policy.revision
  record['epoch'] = x.resources.epoch
  return record
}

/** What is kept of what a call took: evidence for a bill. */
export function usageRecord(
  x: Exchange,
  { usage, source, isComplete, charges }: Settlement,
  durationMs: number,
  time: string,
): LogRecord {
  const { peer, token, tenant, call, route } = x
  const version = route?.version ?? call?.version
  return {
    time,
    id: x.id,
    phase: 'usage',
    durationMs: Math.round(durationMs),
    ...(peer !== undefined && { peer: peer.spiffeId }),
    ...(token !== undefined && { issuer: short(token.issuer), subject: short(token.subject) }),
    ...(tenant !== undefined && { tenant: tenant.name }),
    ...(call?.model !== undefined && { model: call.model }),
    ...(version !== undefined && { version }),
    source,
    complete: isComplete,
    usage: Object.fromEntries(Object.entries(usage).filter(([, units]) => units > 0)),
    charged: Object.fromEntries(charges.map(({ limit, units }) => [limit, units])),
  }
}

function short(text: string): string {
  return text.length > maxText ? `${text.slice(0, maxText)}…` : text
}
