import { Counter, Gauge, type Registry } from 'prom-client'

/** What is known of the Envoy beside the agent. */
export interface PostureReading {
  /** How many findings each check has; one that had some and has none any more stands there with 0. */
  readonly findings: ReadonlyMap<string, number>
  readonly lastSuccessMs: number | undefined
  readonly successes: number
  readonly failures: number
}

/** Has the registry read the state whenever it is asked. */
export function registerPostureMetrics(registry: Registry, read: () => PostureReading): void {
  new Gauge({
    name: 'sluice_posture_findings',
    help: 'Settings of the running Envoy that weaken identity or policy, by rule.',
    labelNames: ['check'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [check, count] of read().findings) this.set({ check }, count)
    },
  })
  new Gauge({
    name: 'sluice_posture_last_success_timestamp_seconds',
    help: "When Envoy's configuration was last read; 0 before the first time.",
    registers: [registry],
    collect() {
      this.set((read().lastSuccessMs ?? 0) / 1000)
    },
  })
  new Counter({
    name: 'sluice_posture_reads_total',
    help: "Attempts to read Envoy's configuration: ok, failed.",
    labelNames: ['result'] as const,
    registers: [registry],
    collect() {
      this.reset()
      const { successes, failures } = read()
      this.inc({ result: 'ok' }, successes)
      this.inc({ result: 'failed' }, failures)
    },
  })
}
