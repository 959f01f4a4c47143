import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import { type Fault, messageOf, SluiceError, throwFaults } from '#base/errors.ts'
import { parseDocument } from '#base/schema-faults.ts'
import { readDocuments } from '#base/yaml-document.ts'
import { leaseFaults } from './quota-checks.ts'
import type { AccessPolicy, ModelRoute, QuotaPolicy, Resources, Tenant } from './resources.ts'
import { anyResource } from './schema.ts'

interface Placed {
  readonly resource: z.infer<typeof anyResource>
  readonly place: string
  /** Of a member of `spec`. */
  placeAt(path: readonly (string | number)[]): string
}

/** What this folder cannot know of those who use what it reads. */
export interface ResourceChecks {
  /** Why a Tenant cannot be used. */
  readonly tenantFault?: ((tenant: Tenant) => string | undefined) | undefined
  /** How long what is drawn beforehand may be used, milliseconds. */
  readonly leaseMs?: number | undefined
}

/**
 * Reads every resource file of a directory, whole or not at all. A directory without a single resource is a mistake: an
 * empty mount or a half-done copy would otherwise lift every limit.
 *
 * @throws SluiceError that lists every mistake with file, line, path, what was found and what was expected.
 */
export function readResources(dir: string, epoch: number, checks: ResourceChecks): Resources {
  const { placed, faults } = readAll(fileNames(dir).map((name) => join(dir, name)))
  // What refers to another resource can only be judged when every one was read.
  throwFaults(faults)
  throwFaults([...duplicates(placed), ...crossFaults(placed, checks)])
  if (placed.length === 0) {
    const expected = 'at least one resource in a .yaml, .yml or .json file'
    throw new SluiceError({ code: 'resources_empty', place: dir, found: 'no resource', expected })
  }
  const named = <K extends Placed['resource']['kind']>(kind: K) =>
    placed.flatMap(({ resource }) =>
      resource.kind === kind ? [{ ...resource.spec, name: resource.metadata.name }] : [],
    )
  return {
    epoch,
    tenants: named('Tenant') as Tenant[],
    quotas: named('QuotaPolicy') as QuotaPolicy[],
    accessPolicies: (named('AccessPolicy') as AccessPolicy[]).sort((a, b) => (a.name < b.name ? -1 : 1)),
    routes: new Map((named('ModelRoute') as ModelRoute[]).map((route) => [route.model, route])),
  }
}

function fileNames(dir: string): string[] {
  try {
    // Kubernetes lays the files of a ConfigMap out as links beside hidden folders.
    return readdirSync(dir)
      .filter((name) => /\.(ya?ml|json)$/.test(name) && !name.startsWith('.'))
      .sort()
  } catch (cause) {
    throw new SluiceError({
      code: 'resources_unreadable',
      place: dir,
      found: messageOf(cause),
      expected: 'a directory',
      cause,
    })
  }
}

function readAll(paths: readonly string[]): {
  readonly placed: readonly Placed[]
  readonly faults: readonly Fault[]
} {
  const placed: Placed[] = []
  const faults: Fault[] = []
  for (const path of paths) {
    try {
      for (const document of readDocuments(path)) {
        // A document of comments only.
        if (document.value === null) continue
        const parsed = parseDocument(document, anyResource)
        if (parsed.ok) {
          placed.push({
            resource: parsed.value,
            place: document.placeOf(['metadata', 'name']),
            placeAt: (path) => `${document.placeOf(['spec', ...path])}: spec.${path.join('.')}`,
          })
        } else faults.push(...parsed.faults)
      }
    } catch (thrown) {
      if (!(thrown instanceof SluiceError)) throw thrown
      faults.push(...thrown.faults)
    }
  }
  return { placed, faults }
}

function duplicates(placed: readonly Placed[]): Fault[] {
  const seen = new Map<string, string>()
  return placed.flatMap(({ resource, place }) => {
    const names = [`${resource.kind} ${resource.metadata.name}`]
    if (resource.kind === 'ModelRoute') names.push(`ModelRoute for the model ${resource.spec.model}`)
    return names.flatMap((name): Fault[] => {
      const first = seen.get(name)
      if (first === undefined) {
        seen.set(name, place)
        return []
      }
      const [found, expected] = [`${name} a second time`, `only the one at ${first}`]
      return [{ code: 'resource_duplicate', place, found, expected }]
    })
  })
}

function crossFaults(placed: readonly Placed[], { tenantFault, leaseMs }: ResourceChecks): Fault[] {
  const tenants = new Set(
    placed.flatMap(({ resource }) => (resource.kind === 'Tenant' ? [resource.metadata.name] : [])),
  )
  return placed.flatMap(({ resource, place, placeAt }): Fault[] => {
    const { name } = resource.metadata
    if (resource.kind === 'Tenant') {
      const found = tenantFault?.({ ...resource.spec, name })
      return found === undefined
        ? []
        : [{ code: 'tenant_invalid', place, found, expected: 'a usable Tenant' }]
    }
    const named =
      resource.kind === 'ModelRoute' ? resource.spec.pins.map((pin) => pin.tenant) : resource.spec.tenants
    const unknown = named
      .filter((tenant) => tenant !== '*' && !tenants.has(tenant))
      .map((tenant) => ({
        code: 'tenant_unknown',
        place,
        found: `${resource.kind} ${name} names the tenant ${tenant}`,
        expected: 'a tenant that exists',
      }))
    if (resource.kind !== 'QuotaPolicy') return unknown
    const overridden = resource.spec.overrides.flatMap(({ tenant }, index): Fault[] => {
      if (tenants.has(tenant)) return []
      const at = placeAt(['overrides', index, 'tenant'])
      return [
        {
          code: 'tenant_unknown',
          place: at,
          found: JSON.stringify(tenant),
          expected: 'a tenant that exists',
        },
      ]
    })
    const leased = leaseMs === undefined ? [] : leaseFaults(resource.spec, leaseMs)
    return [
      ...unknown,
      ...overridden,
      ...leased.map(({ path, found, expected }) => ({
        code: 'lease_too_long',
        place: placeAt(path),
        found,
        expected,
      })),
    ]
  })
}
