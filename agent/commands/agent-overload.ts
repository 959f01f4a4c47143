import type { Config } from '#config/config.ts'
import { type Overload, openOverload } from '#limits/overload/overload.ts'
import type { Logger, Metrics } from '#telemetry/telemetry.ts'

/** Opens what protects the model server from too much, where the configuration asks for it. */
export function openAgentOverload(options: {
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
}): Overload | undefined {
  const { config, log, metrics } = options
  const settings = config.limits?.overload
  if (settings === undefined) return undefined
  const overload = openOverload({
    settings,
    onEvent: (event) => {
      switch (event.kind) {
        case 'breaker':
          return log.warn(event, 'a version of a model: the breaker has changed')
        case 'usage':
          if (event.isAlert) log.warn(event, 'the usage of a tenant is out of the ordinary, or no more')
          return
        case 'metrics':
          if (event.problem === undefined) log.info("the model server's metrics are read")
          else log.error(event, "the model server's metrics cannot be read; calls are counted here alone")
          return
        default:
          return event satisfies never
      }
    },
  })
  metrics.overload(overload.readings)
  return overload
}
