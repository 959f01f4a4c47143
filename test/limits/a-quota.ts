import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import type { AnswerMeter, Metered, Usage } from '#decision/usage.ts'
import { noUsage } from '#decision/usage.ts'
import type { Verdict } from '#decision/verdict.ts'
import { quotaPolicySpec } from '#resources/quota-schema.ts'
import type { QuotaPolicy } from '#resources/resources.ts'
import { createLimitsStage, type LimitsOptions } from '../../agent/limits/limits.ts'
import { createMemoryStore } from '../../agent/limits/store/memory.ts'
import { anExchange, manualClock, someResources } from '../decision/an-exchange.ts'

export const perSecond = { unit: 'requests', rate: 2, window: '1s' }

/** A policy for acme as it is written, with all that is left out; change one thing. */
export function aPolicy(spec: Readonly<Record<string, unknown>> = {}, name = 'q'): QuotaPolicy {
  return { name, ...quotaPolicySpec.parse({ tenants: ['acme'], limits: [perSecond], ...spec }) }
}

export const infer = (model: string) => ({ protocol: 'v2-http', verb: 'infer', model }) as const
export const chat = { protocol: 'openai', verb: 'generate_stream', model: 'fraud' } as const

/** The stage over counters in memory, at a time that is set. */
export function aStage(quotas: readonly QuotaPolicy[], options: Partial<LimitsOptions> = {}) {
  const clock = manualClock()
  const store = createMemoryStore({ clock })
  const stage = createLimitsStage({ store, clock, ...options })
  const resources = someResources({ quotas })
  let count = 0
  const open = (more: Partial<Exchange> = {}): Exchange => {
    count++
    return anExchange({ id: `call-${count}`, resources, ...more })
  }
  const ask = (more: Partial<Exchange> = {}) => {
    const x = open(more)
    return { x, verdict: stage.request?.(x) as Verdict }
  }
  return { clock, store, stage, open, ask }
}

export const end = (stage: Stage, x: Exchange) => stage.end?.(x)

/** A meter that says what a test wants, and hears nothing. */
export function aMeter(
  usage: Partial<Usage>,
  more: Partial<Metered> & { readonly request?: Uint8Array } = {},
): AnswerMeter & { set(usage: Partial<Usage>): void } {
  const { request, ...rest } = more
  let current = usage
  return {
    requestReport: () => request,
    begin: () => {},
    feed: (chunk) => chunk,
    metered: () => ({ source: 'reported', isComplete: true, ...rest, usage: { ...noUsage, ...current } }),
    farewell: () => undefined,
    set: (next) => {
      current = next
    },
  }
}

/** What a request may take at most. */
export const aDemand =
  (bound: Partial<Usage>, isOutputBounded = true, answers = 1) =>
  () => ({ bound: { ...noUsage, ...bound }, isOutputBounded, answers })
