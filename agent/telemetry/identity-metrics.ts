import { Gauge, type Registry } from 'prom-client'

/** What is known of identities now. */
export interface IdentityReading {
  /** When each of our own ends, by SPIFFE ID. */
  readonly expiresAtMs: ReadonlyMap<string, number>
  /** By trust domain. */
  readonly bundles: ReadonlyMap<string, BundleReading>
}

interface BundleReading {
  readonly authorities: number
  /** When the last of them ends; `undefined` where there is none. */
  readonly expiresAtMs: number | undefined
}

/** Has the registry read the state whenever it is asked. */
export function registerIdentityMetrics(registry: Registry, read: () => IdentityReading): void {
  new Gauge({
    name: 'sluice_identity_expires_timestamp_seconds',
    help: 'When our own certificate ends; none while we have none.',
    labelNames: ['spiffe_id'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [id, atMs] of read().expiresAtMs) this.set({ spiffe_id: id }, atMs / 1000)
    },
  })
  new Gauge({
    name: 'sluice_identity_bundle_authorities',
    help: 'CA certificates in the bundle of a trust domain; 0 where it trusts nobody.',
    labelNames: ['trust_domain'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [name, { authorities }] of read().bundles) this.set({ trust_domain: name }, authorities)
    },
  })
  new Gauge({
    name: 'sluice_identity_bundle_expires_timestamp_seconds',
    help: 'When the last CA certificate in the bundle of a trust domain ends.',
    labelNames: ['trust_domain'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [name, { expiresAtMs }] of read().bundles)
        if (expiresAtMs !== undefined) this.set({ trust_domain: name }, expiresAtMs / 1000)
    },
  })
}
