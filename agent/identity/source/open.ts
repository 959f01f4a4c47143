import type { Clock } from '#base/clock.ts'
import { SluiceError } from '#base/errors.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { type FederatedEndpoint, openFederation } from '../federation/federation.ts'
import type { BundleLayer } from './bundle-layer.ts'
import { openBundleMapFile } from './bundle-map-file.ts'
import { openDevSource } from './dev.ts'
import { type FilesConfig, openFilesSource } from './files.ts'
import { layBundles } from './layered.ts'
import type { IdentitySource } from './source.ts'

/** `identity` of the configuration, as far as it says where identities come from. */
export interface IdentityConfig {
  readonly source?: SourceConfig | undefined
  /** By trust domain. */
  readonly federation?: Readonly<Record<string, FederatedEndpoint>> | undefined
  readonly trustBundleMap?: string | undefined
}

export type SourceConfig =
  | ({ readonly type: 'files' } & FilesConfig)
  | { readonly type: 'spire'; readonly socket?: string | undefined }
  | {
      readonly type: 'dev'
      readonly dir: string
      readonly spiffeId: string
      readonly dnsNames?: readonly string[]
      readonly ttlSeconds: number
    }

export interface SourceOptions {
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly clock?: Clock
  /** `SPIFFE_ENDPOINT_SOCKET` of the environment, for where the configuration does not say it. */
  readonly endpointSocket?: string | undefined
}

/**
 * Opens what the configuration names: our own identity and the bundles that belong to it, and beside them the bundles of
 * other trust domains from a map and from their endpoints, which are asked in the background. Resolves when what is here
 * was looked at, whether or not it is good; `problem()` tells.
 *
 * @returns undefined where the configuration has no source.
 * @throws SluiceError for a configuration that cannot be opened.
 */
export async function openIdentitySource(
  { source, federation, trustBundleMap }: IdentityConfig,
  options: SourceOptions,
): Promise<IdentitySource | undefined> {
  if (source === undefined) return undefined
  await using opening = new AsyncDisposableStack()
  const base = opening.use(await openBase(source, options))
  let layered: IdentitySource = base
  const layers: BundleLayer[] = []
  if (trustBundleMap !== undefined) layers.push(opening.use(openBundleMapFile(trustBundleMap)))
  if (federation !== undefined)
    layers.push(
      opening.use(
        openFederation(federation, {
          ...(options.clock && { clock: options.clock }),
          bundleFor: (name) => layered.current()?.bundles.get(name),
        }),
      ),
    )
  layered = layBundles(base, layers)
  opening.move()
  layered.subscribe(({ generation, svids, bundles }) =>
    options.log.info(
      { generation, svids: svids.map(({ id }) => id.text), trustDomains: [...bundles.keys()] },
      'identities in force',
    ),
  )
  return layered
}

async function openBase(source: SourceConfig, options: SourceOptions): Promise<IdentitySource> {
  switch (source.type) {
    case 'files':
      return openFilesSource({ ...source, ...options })
    case 'dev':
      return openDevSource({ ...source, ...options })
    case 'spire': {
      const socket = source.socket ?? options.endpointSocket
      if (socket === undefined)
        throw new SluiceError({
          code: 'config_invalid',
          place: 'identity.source.socket',
          found: 'nothing, and no SPIFFE_ENDPOINT_SOCKET in the environment',
          expected: 'where the SPIFFE Workload API is, such as unix:///run/spire/sockets/agent.sock',
        })
      // Brings a gRPC client with it, which nobody else needs.
      const { openSpireSource } = await import('./spire.ts')
      return openSpireSource({ ...options, socket })
    }
    default:
      return source satisfies never
  }
}
