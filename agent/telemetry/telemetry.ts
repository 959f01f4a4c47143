import { type DestinationStream, type Logger, pino } from 'pino'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { DecisionObserver } from '#decision/pipeline.ts'
import { registerDecisionMetrics } from './decision-metrics.ts'
import { type IdentityReading, registerIdentityMetrics } from './identity-metrics.ts'
import { type OpaReadings, registerOpaMetrics } from './opa-metrics.ts'
import { type OverloadReading, registerOverloadMetrics } from './overload-metrics.ts'
import { type PostureReading, registerPostureMetrics } from './posture-metrics.ts'
import { type QuotaMetrics, registerQuotaMetrics } from './quota-metrics.ts'
import { type RateLimitCount, registerRateLimitMetrics } from './rate-limit-metrics.ts'
import { registerSecretMetrics, type SecretCounters } from './secret-metrics.ts'
import { registerTransportMetrics, type TransportCounters } from './transport-metrics.ts'

export type { Logger }

/** A JSON logger: one object a line, `time` in RFC 3339, `level` as a word. */
export function createLogger(level: string, destination: DestinationStream = pino.destination(2)): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}

/** The agent's counters. A registry of its own, so that two agents in one process never mix. */
export interface Metrics {
  /** Prometheus text exposition format. */
  render(): Promise<string>
  /** Counts and times each decision. */
  readonly observe: DecisionObserver
  /** Reports a loaded or refused file: `what` is config, policy or resources. */
  reloaded(what: string, isGood: boolean): void
  /** Counts an answer of the rate limit service. */
  rateLimited(code: string): void
  /** Shows what came to each limit of the rate limit service. */
  rateLimits(read: () => Iterable<RateLimitCount>): void
  /** Counts what an AccessPolicy in shadow mode would have done. */
  shadowed(policy: string, verdict: string): void
  /** Counts what came of asking a candidate policy. */
  candidateCompared(outcome: string): void
  /** Shows what the server towards Envoy counts. */
  transport(counters: TransportCounters): void
  /** Shows what the secret discovery service counts. */
  secrets(counters: SecretCounters): void
  /** Shows when our certificates end and whom we trust. */
  identities(read: () => IdentityReading): void
  /** Shows what is known of the Envoy beside the agent. */
  posture(read: () => PostureReading): void
  /** Shows what protects the model server. */
  overload(read: () => OverloadReading): void
  /** Counts quotas. Asked for where there are any. */
  quotas(): QuotaMetrics
  /** Shows what OPA shows, by its names. */
  opa(read: () => OpaReadings): void
}

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const observe = registerDecisionMetrics(registry)
  const rateLimits = new Counter({
    name: 'sluice_rate_limit_decisions_total',
    help: 'Answers of the rate limit service: ok, over_limit, or why there was none.',
    labelNames: ['code'] as const,
    registers: [registry],
  })
  const shadows = new Counter({
    name: 'sluice_policy_shadow_total',
    help: 'What AccessPolicies in shadow mode would have done: allow, deny, error.',
    labelNames: ['policy', 'verdict'] as const,
    registers: [registry],
  })
  const candidates = new Counter({
    name: 'sluice_policy_candidate_total',
    help: 'The candidate policy beside the one in force: same, different, failed, absent, dropped.',
    labelNames: ['outcome'] as const,
    registers: [registry],
  })
  const reloads = new Counter({
    name: 'sluice_reloads_total',
    help: 'Loads of policy and resources; a refused one leaves the last good state in place.',
    labelNames: ['what', 'result'] as const,
    registers: [registry],
  })
  const lastGood = new Gauge({
    name: 'sluice_last_reload_successful',
    help: '1 when what was read last is in force, 0 when it was refused.',
    labelNames: ['what'] as const,
    registers: [registry],
  })
  return {
    render: () => registry.metrics(),
    observe,
    reloaded: (what, isGood) => {
      reloads.inc({ what, result: isGood ? 'loaded' : 'refused' })
      lastGood.set({ what }, isGood ? 1 : 0)
    },
    rateLimited: (code) => rateLimits.inc({ code }),
    rateLimits: (read) => registerRateLimitMetrics(registry, read),
    shadowed: (policy, verdict) => shadows.inc({ policy, verdict }),
    candidateCompared: (outcome) => candidates.inc({ outcome }),
    transport: (counters) => registerTransportMetrics(registry, counters),
    secrets: (counters) => registerSecretMetrics(registry, counters),
    identities: (read) => registerIdentityMetrics(registry, read),
    posture: (read) => registerPostureMetrics(registry, read),
    overload: (read) => registerOverloadMetrics(registry, read),
    quotas: () => registerQuotaMetrics(registry),
    opa: (read) => registerOpaMetrics(registry, read),
  }
}
