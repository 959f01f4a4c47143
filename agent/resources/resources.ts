import type { z } from 'zod'
import { messageOf } from '#base/errors.ts'
import { watchPath } from '#base/watch.ts'
import { type ResourceChecks, readResources } from './directory.ts'
import type { quotaPolicySpec } from './quota-schema.ts'
import type { accessPolicySpec, modelRouteSpec, tenantSpec } from './schema.ts'

export { limitNameOf, type QuotaLimit, type QuotaUnit } from './quota-limit.ts'

interface Named {
  readonly name: string
}

/** Who may act as a tenant, which models it may ask for and where its data may go. */
export type Tenant = Named & z.infer<typeof tenantSpec>
export type QuotaPolicy = Named & z.infer<typeof quotaPolicySpec>
export type AccessPolicy = Named & z.infer<typeof accessPolicySpec>
export type ModelRoute = Named & z.infer<typeof modelRouteSpec>

/** Everything that was declared, at one moment. Never changed: a reload makes a new one. */
export interface Resources {
  /** Grows by one at each reload. */
  readonly epoch: number
  readonly tenants: readonly Tenant[]
  readonly quotas: readonly QuotaPolicy[]
  /** By name. */
  readonly accessPolicies: readonly AccessPolicy[]
  /** By model name. */
  readonly routes: ReadonlyMap<string, ModelRoute>
}

export const noResources: Resources = {
  epoch: 0,
  tenants: [],
  quotas: [],
  accessPolicies: [],
  routes: new Map(),
}

/** Whether a list of model patterns (a name, a prefix followed by `*`, or `*`) covers a model. */
export function coversModel(patterns: readonly string[], model: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? model.startsWith(pattern.slice(0, -1)) : model === pattern,
  )
}

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

export interface ResourceSource extends Disposable {
  /** The last good state; empty before the first. */
  current(): Resources
  /** Whether there has been a good state; until then every request must be refused. */
  isReady(): boolean
  /** Why what was read last is not in force. */
  lastError(): string | undefined
}

/** Reads a directory of resource files once. @throws SluiceError that lists every mistake. */
export function readOnce(dir: string, checks: ResourceChecks): Resources {
  return readResources(dir, 1, checks)
}

/**
 * Loads a directory of resource files and keeps watching it. One mistake anywhere refuses the whole reload: the last good
 * state stays.
 */
export function openResources(
  options: ResourceChecks & {
    readonly dir: string
    /** Told of each load: whether it is in force, and why not. */
    readonly onLoad: (load: { readonly epoch: number; readonly problem?: string }) => void
    readonly watchIntervalMs?: number
  },
): ResourceSource {
  const { dir, onLoad } = options
  let current = noResources
  let problem: string | undefined
  const load = () => {
    try {
      current = readResources(dir, current.epoch + 1, options)
      problem = undefined
    } catch (thrown) {
      problem = messageOf(thrown)
    }
    onLoad({ epoch: current.epoch, ...(problem !== undefined && { problem }) })
  }
  load()
  const watch = watchPath(
    dir,
    load,
    options.watchIntervalMs === undefined ? {} : { intervalMs: options.watchIntervalMs },
  )
  return {
    current: () => current,
    isReady: () => current.epoch > 0,
    lastError: () => problem,
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  }
}
