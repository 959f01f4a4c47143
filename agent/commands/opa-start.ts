import { SluiceError } from '#base/errors.ts'
import { parseDocument } from '#base/schema-faults.ts'
import { type Config, configSchema, type Environment, loadOpaFile, type OpaFile } from '#config/config.ts'
import type { BundleSource } from '#policy/policy.ts'

/** The options that make it a start as OPA would be started. */
export interface OpaOptions {
  readonly opaConfig?: string
  readonly set?: readonly string[]
  readonly setFile?: readonly string[]
  readonly bundle?: boolean
  readonly watch?: boolean
  readonly ignore?: readonly string[]
  readonly addr?: string
  readonly diagnosticAddr?: string
  readonly profile?: string
  readonly logLevel?: string
}

/** What an agent that is started so has beside its configuration. */
export interface OpaExtras {
  /** What was named on the command line. */
  readonly loose?: readonly BundleSource[]
}

export function isOpaStart(paths: readonly string[], options: OpaOptions): boolean {
  const { opaConfig, set, setFile } = options
  return paths.length > 0 || opaConfig !== undefined || set !== undefined || setFile !== undefined
}

/**
 * Makes a configuration of what `opa run` would be given. It may listen where `sluice.yaml` may not: OPA does, and who
 * starts us in its place has a firewall for it.
 *
 * @throws SluiceError for what is wrong or not served.
 */
export function startFromOpa(
  paths: readonly string[],
  options: OpaOptions,
  env: Environment,
): OpaExtras & { readonly config: Config; readonly warnings: readonly string[] } {
  const { opaConfig: path, set = [], setFile = [] } = options
  const { plugins, ...opa } = loadOpaFile({ path, set, setFile, env })
  const plugin = plugins.envoy_ext_authz_grpc
  const hasBundles = Object.keys(opa.bundles).length > 0
  const loose = sourcesOf(paths, options, hasBundles)
  if (loose.length === 0 && !hasBundles)
    throw new SluiceError({
      code: 'config_invalid',
      place: path ?? 'sluice agent',
      found: 'neither bundles nor paths',
      expected: 'bundles in the configuration, or Rego files behind the options',
    })
  const protoDescriptor = plugin['proto-descriptor']
  const policy = {
    decision: decisionOf(plugin),
    dryRun: plugin['dry-run'],
    skipRequestBodyParse: plugin['skip-request-body-parse'],
    ...(protoDescriptor !== undefined && { protoDescriptor }),
  }
  const config = ownConfig(path ?? '--set', {
    ...(options.profile !== undefined && { profile: options.profile }),
    // What is named on the command line stands in no configuration.
    policy: { ...policy, ...(hasBundles ? { opa } : { bundle: 'command line' }) },
    listen: {
      agent: 'unix:/placeholder',
      ...(options.diagnosticAddr !== undefined && { probes: probesAddress(options.diagnosticAddr) }),
    },
    decision: { maxMessageBytes: plugin['grpc-max-recv-msg-size'] },
    log: options.logLevel === undefined ? {} : { level: options.logLevel },
  })
  const agent = listenAddress(plugin.addr)
  return {
    config: {
      ...config,
      ...(config.policy && { policy: { ...withoutBundle(config.policy), opa } }),
      listen: { ...config.listen, agent },
    },
    loose,
    warnings: [
      ...(isOpenToOthers(agent)
        ? [
            `listening on ${agent}, where others than Envoy beside us may call; a Unix socket or loopback is safer`,
          ]
        : []),
      ...(options.addr === undefined ? [] : [`--addr ${options.addr}: OPA's REST API is not served`]),
    ],
  }
}

function ownConfig(place: string, value: unknown): Config {
  const parsed = parseDocument({ value, placeOf: () => place, placeOfKey: () => place }, configSchema)
  if (!parsed.ok) throw new SluiceError(...parsed.faults)
  return parsed.value
}

function withoutBundle({
  bundle: _,
  ...policy
}: NonNullable<Config['policy']>): NonNullable<Config['policy']> {
  return policy
}

/** The plugin does not ask for `default_decision`. */
function decisionOf({ path, query }: OpaFile['plugins']['envoy_ext_authz_grpc']): string {
  const byQuery = query
    ?.matchAll(/\.(\w+)|\["([^"]+)"\]/g)
    .map(([, name, quoted]) => name ?? quoted)
    .toArray()
    .join('/')
  return path ?? byQuery ?? 'envoy/authz/allow'
}

function sourcesOf(paths: readonly string[], options: OpaOptions, hasBundles: boolean): BundleSource[] {
  const isWatched = options.watch === true
  const isBundle = (path: string) => options.bundle === true || /\.(tar\.gz|tgz)$/.test(path)
  const loose = paths.filter((path) => !isBundle(path))
  const bundles = paths
    .filter(isBundle)
    .map((path): BundleSource => ({ kind: 'file', name: path, path, isWatched }))
  if (loose.length === 0) return bundles
  const isAlone = !hasBundles && bundles.length === 0
  const name = loose.join(', ')
  return [...bundles, { kind: 'loose', name, paths: loose, ignore: options.ignore ?? [], isWatched, isAlone }]
}

/** OPA's ways to write an address in ours. */
function listenAddress(addr: string): string {
  return addr.startsWith('unix://') ? `unix:${addr.slice('unix://'.length)}` : addr.replace(/^grpc:\/\//, '')
}

function probesAddress(addr: string): string {
  return addr.startsWith(':') ? `0.0.0.0${addr}` : addr
}

function isOpenToOthers(address: string): boolean {
  return !/^(unix:|127\.|localhost:|\[::1\]:)/.test(address)
}
