import { Counter, Gauge, type Registry } from 'prom-client'

/** What the secret discovery service has counted since it began. */
export interface SecretCounters {
  /** Open now. */
  readonly streams: number
  readonly sent: number
  readonly accepted: number
  readonly refused: number
}

/** Has the registry read the counters whenever it is asked. */
export function registerSecretMetrics(registry: Registry, counters: SecretCounters): void {
  new Counter({
    name: 'sluice_sds_answers_total',
    help: 'Certificates and trust bundles that went to Envoy: sent, accepted, refused.',
    labelNames: ['what'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const what of ['sent', 'accepted', 'refused'] as const) this.inc({ what }, counters[what])
    },
  })
  new Gauge({
    name: 'sluice_sds_open_streams',
    help: 'Subscriptions to certificates and trust bundles that are open now.',
    registers: [registry],
    collect() {
      this.set(counters.streams)
    },
  })
}
