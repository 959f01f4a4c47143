import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import type { Identity } from '../test/harness/http.ts'
import { temporaryFolder } from '../test/harness/temp.ts'
import type { Questions } from './load.ts'

/** Who asks for what in the benchmarks: 1,000 tenants, each with the same five models. */
const tenantCount = 1000
const models = ['fraud', 'ocr', 'churn', 'risk', 'chat'] as const
/** A model that each tenant may ask once a day, to see that quotas are on. */
const scarceModel = 'scarce'
/** A model that each tenant may use, but for the policy. */
const withheldModel = 'withheld'

export const trustDomain = 'bench.sluice.dev'

/** A walk over the tenants that does not go in order. */
export const tenantOf = (index: number): string => `t${(index * 7919) % tenantCount}`
export const modelOf = (index: number): string => models[index % models.length] as string

/** An inference without a body: what is decided about is in the head. */
export function inferRequest(path: string, tenant: string, headers: readonly string[] = []): string {
  const own = [`x-tenant: ${tenant}`, ...headers, 'content-length: 0']
  return [`POST ${path} HTTP/1.1`, 'host: models', ...own, '', ''].join('\r\n')
}

/** The policy that every engine gets, and its data. */
export const policyFiles: Readonly<Record<string, string>> = {
  'rbac.rego': readFileSync(join(import.meta.dirname, 'authz', 'rbac.rego'), 'utf8'),
  'data.json': JSON.stringify({ rbac: perTenant(perModel(true)) }),
}

/** What the whole pipeline needs beside the policy: tenants with residency, quotas, and two versions of each model. */
export function writeResources(folder: string): void {
  mkdirSync(folder, { recursive: true })
  const write = (file: string, kind: string, specs: Readonly<Record<string, unknown>>) => {
    const documents = Object.entries(specs).map(([name, spec]) =>
      // JSON is YAML.
      JSON.stringify({ apiVersion: 'sluice.dev/v1alpha1', kind, metadata: { name }, spec }),
    )
    writeFileSync(join(folder, file), documents.join('\n---\n'))
  }
  const tenants = Object.keys(perTenant(true)).map((name) => [
    name,
    {
      peers: [`spiffe://${trustDomain}/ns/${name}/**`],
      models: [...models, scarceModel, withheldModel],
      residency: { allow: ['AE', 'GCC'] },
    },
  ])
  write('tenants.yaml', 'Tenant', Object.fromEntries(tenants))
  write('quotas.yaml', 'QuotaPolicy', {
    ample: {
      tenants: ['*'],
      scope: 'model',
      limits: [
        { unit: 'requests', rate: 1_000_000, window: '1s' },
        { unit: 'concurrency', max: 10_000 },
      ],
    },
    scarce: {
      tenants: ['*'],
      models: [scarceModel],
      limits: [{ unit: 'requests', rate: 1, window: '24h' }],
    },
  })
  const versions = [
    { version: '2', weight: '10%' },
    { version: '1', weight: '90%' },
  ]
  const route = (model: string) => ({ model, zones: ['AE', 'GCC'], versions })
  write('routes.yaml', 'ModelRoute', Object.fromEntries([...models].map((model) => [model, route(model)])))
}

/** Certificates of a trust domain: files for Envoy, and an identity for each connection. */
export interface Pki extends Disposable {
  readonly files: {
    readonly certificate: string
    readonly privateKey: string
    readonly trustBundles: Readonly<Record<string, string>>
  }
  readonly tls: NonNullable<Questions['tls']>
}

/** A connection `n` is a workload of `tenantOf(n)`. */
export function createPki(): Pki {
  const folder = temporaryFolder()
  const at = (file: string) => join(folder.path, file)
  const ca = createDevCa({ trustDomain })
  writeFileSync(at('ca.pem'), ca.bundlePem)
  ca.write(at('envoy'), ca.issue({ spiffeId: `spiffe://${trustDomain}/ns/models/sa/triton` }))
  const issued = new Map<number, Identity>()
  return {
    files: {
      certificate: at('envoy.pem'),
      privateKey: at('envoy.key'),
      trustBundles: { [trustDomain]: at('ca.pem') },
    },
    tls: {
      ca: ca.bundlePem,
      identity: (connection) => {
        const known = issued.get(connection)
        if (known !== undefined) return known
        const spiffeId = `spiffe://${trustDomain}/ns/${tenantOf(connection)}/sa/app`
        const identity = ca.issue({ spiffeId })
        issued.set(connection, identity)
        return identity
      },
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

function perModel<T>(value: T): Record<string, T> {
  return Object.fromEntries([...models, scarceModel].map((model) => [model, value]))
}

function perTenant<T>(value: T): Record<string, T> {
  return Object.fromEntries(Array.from({ length: tenantCount }, (_, index) => [`t${index}`, value]))
}
