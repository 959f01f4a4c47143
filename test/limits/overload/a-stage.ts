import type { z } from 'zod'
import { overloadSchema } from '#config/overload-schema.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import type { OverloadEvent } from '#limits/overload/observer.ts'
import { type Overload, type OverloadOptions, openOverload } from '#limits/overload/overload.ts'
import { acme, anExchange, someAnswer, someRequest } from '../../decision/an-exchange.ts'

type Input = z.input<typeof overloadSchema>

export interface Setting {
  readonly overload: Overload
  readonly events: OverloadEvent[]
  /** Lets time pass: whoever waits longer is refused. */
  advanceMs(ms: number): void
  /** A call, and what became of it so far. */
  ask(tenant: string, more?: Partial<Exchange>): Asked
  /** Of the one model. */
  load(): { readonly inFlight: number; readonly waiting: number }
}

export interface Asked {
  readonly x: Exchange
  /** `undefined` while it waits. */
  verdict(): Verdict | undefined
  /** `run`, `wait`, or the reason's code. */
  said(): string
  end(): void
}

/** The stage on a configuration, with time that passes when told. */
export function setting(config: Input, more: Partial<OverloadOptions> = {}): Setting {
  let nowMs = 1_700_000_000_000
  const timers = new Set<{ readonly atMs: number; readonly act: () => void }>()
  const events: OverloadEvent[] = []
  const overload = openOverload({
    settings: overloadSchema.parse(config),
    onEvent: (event) => void events.push(event),
    clock: { nowMs: () => nowMs, monotonicUs: () => nowMs * 1000 },
    after: (delayMs, act) => {
      const timer = { atMs: nowMs + delayMs, act }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    ...more,
  })
  const { stage } = overload
  return {
    overload,
    events,
    advanceMs: (ms) => {
      nowMs += ms
      for (const timer of [...timers]) {
        if (timer.atMs > nowMs) continue
        timers.delete(timer)
        timer.act()
      }
    },
    ask: (tenant, exchange = {}) => {
      const x = anExchange({ tenant: { ...acme, name: tenant }, startedUs: nowMs * 1000, ...exchange })
      let verdict: Verdict | undefined
      const answer = stage.request?.(x)
      if (answer instanceof Promise) void answer.then((late) => (verdict = late))
      else verdict = answer
      return {
        x,
        verdict: () => verdict,
        said: () => (verdict === undefined ? 'wait' : verdict.kind === 'allow' ? 'run' : verdict.reason),
        end: () => stage.end?.(x),
      }
    },
    load: () => {
      const [model] = overload.readings().models
      const waiting = Object.values(model?.waiting ?? {}).reduce((sum, each) => sum + each, 0)
      return { inFlight: model?.inFlight ?? 0, waiting }
    },
  }
}

/** Has the model server answer. */
export function answered(
  { overload }: Setting,
  { x }: Asked,
  httpStatus: number,
  grpcStatus?: number,
): Verdict {
  x.served = { ...someAnswer(httpStatus), ...(grpcStatus !== undefined && { grpcStatus }) }
  return overload.stage.response?.(x) as Verdict
}

/** A gRPC call that allows so much time. */
export function withGrpcTimeout(text: string): Partial<Exchange> {
  return { request: someRequest({ client: 'grpc', headers: [['grpc-timeout', text]] }) }
}

/** One at a time: the others wait. */
export const one = {
  models: ['*'],
  concurrency: { floor: 1, initial: 1, ceiling: 1 },
  queue: { total: 4, perTenant: 3, waitMs: 1000, retryAfterSeconds: 7 },
}
export const oneAtATime: Input = { models: [one] }

/** Ends those that run, one after the other, and says in which order they did. */
export async function inOrder(calls: readonly Asked[]): Promise<Asked[]> {
  const left = new Set(calls)
  const order: Asked[] = []
  for (;;) {
    await seen()
    const running = [...left].find((each) => each.said() === 'run')
    if (running === undefined) return order
    left.delete(running)
    order.push(running)
    running.end()
  }
}

/** Lets promises that are settled be seen. */
export const seen = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
