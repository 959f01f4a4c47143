import type { z } from 'zod'
import type { modelRouteSpec, quotaLimit, quotaPolicySpec, tenantSpec } from './schema.ts'

interface Named {
  readonly name: string
}

/** Who may act as a tenant, which models it may ask for and where its data may go. */
export type Tenant = Named & z.infer<typeof tenantSpec>
export type QuotaLimit = z.infer<typeof quotaLimit>
export type QuotaPolicy = Named & z.infer<typeof quotaPolicySpec>
export type ModelRoute = Named & z.infer<typeof modelRouteSpec>

/** Everything that was declared, at one moment. Never changed: a reload makes a new one. */
export interface Resources {
  /** Grows by one at each reload. */
  readonly epoch: number
  readonly tenants: readonly Tenant[]
  readonly quotas: readonly QuotaPolicy[]
  /** By model name. */
  readonly routes: ReadonlyMap<string, ModelRoute>
}

export const noResources: Resources = { epoch: 0, tenants: [], quotas: [], routes: new Map() }

/**
 * Remembers what a stage compiled from one set of resources, so that it is built once per reload and each exchange
 * keeps the one that fits its own snapshot.
 */
export function perResources<T>(compile: (resources: Resources) => T): (resources: Resources) => T {
  const compiled = new WeakMap<Resources, T>()
  return (resources) => {
    let value = compiled.get(resources)
    if (value === undefined) {
      value = compile(resources)
      compiled.set(resources, value)
    }
    return value
  }
}
