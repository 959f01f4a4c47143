import { type Clock, systemClock } from '#base/clock.ts'
import { rateLimitMethod } from '#envoy/rate-limit.ts'
import { startGrpcServer } from '#grpc/grpc.ts'
import { createRateLimiter } from '../../../../agent/limits/rls/limiter.ts'
import { type RuleOptions, readRules } from '../../../../agent/limits/rls/rules.ts'
import type { RateLimitSettings } from '../../../../agent/limits/rls/settings.ts'
import { createMemoryStore } from '../../../../agent/limits/store/memory.ts'
import { createLogger } from '../../../../agent/telemetry/telemetry.ts'
import { defaultSettings } from '../kit.ts'

export type OwnSettings = Partial<RateLimitSettings>

/** Our service on `unix:/path`, in this process, with counters in its memory. */
export async function startOwnServer(options: {
  readonly listen: string
  readonly paths: readonly string[]
  readonly rules: RuleOptions
  readonly settings?: OwnSettings
  readonly clock?: Clock
}): Promise<AsyncDisposable> {
  const { clock = systemClock } = options
  const rules = readRules(options.paths, options.rules)
  await using opening = new AsyncDisposableStack()
  const store = opening.use(createMemoryStore({ clock }))
  const settings = { ...defaultSettings, ...options.settings }
  const limiter = createRateLimiter({ rules: () => rules, store, settings, clock })
  const faults: unknown[] = []
  opening.use(
    await startGrpcServer({
      listen: options.listen,
      methods: [rateLimitMethod({ limiter, log: createLogger('error'), observe: () => {} })],
      maxMessageBytes: 1 << 20,
      onHandlerFault: (cause) => void faults.push(cause),
      onWrongPeer: (protocol) => void faults.push(protocol),
    }),
  )
  opening.defer(() => {
    if (faults.length > 0) throw new Error('our service failed', { cause: faults[0] })
  })
  const owned = opening.move()
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
