import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SluiceError } from '#base/errors.ts'
import type { Config, OpaConfig } from '#config/config.ts'
import {
  type BundleSource,
  createServiceClient,
  type openPolicy,
  type Policy,
  type ServiceClient,
  type Switches,
  type Verification,
} from '#policy/policy.ts'
import type { Logger } from '#telemetry/telemetry.ts'

type PolicyConfig = NonNullable<Config['policy']>
type PolicyOptions = Omit<Parameters<typeof openPolicy>[0], 'onLoad'>

const defaultMinDelaySeconds = 60
const defaultMaxDelaySeconds = 120
const staleLookMs = 10_000

/** What the configuration says of policy, as the policy room takes it. `loose` are sources beside those of `opa`. */
export function policyOptions(
  config: PolicyConfig,
  profile: Config['profile'],
  loose: readonly BundleSource[] = [],
): PolicyOptions {
  const { bundle, opa, decision, engine, verification, staleAfterSeconds, onStale, revisionOrder } = config
  return {
    source:
      bundle === undefined ? { bundles: [...(opa ? bundleSources(opa) : []), ...loose] } : { file: bundle },
    decision,
    engine,
    ...((verification ?? opa) && {
      verification: verification ? verificationOf(verification) : candidateVerification(opa),
    }),
    rigour: { isProduction: profile === 'production', revisionOrder },
    ...(staleAfterSeconds !== undefined && {
      stale: { afterSeconds: staleAfterSeconds, isRefused: onStale === 'refuse' },
    }),
  }
}

/** A client for each service of OPA's configuration, by name. */
export function serviceClients(services: OpaConfig['services']): ReadonlyMap<string, ServiceClient> {
  return new Map(Object.entries(services).map(([name, config]) => [name, createServiceClient(name, config)]))
}

function bundleSources(opa: OpaConfig): BundleSource[] {
  const clients = serviceClients(opa.services)
  return Object.entries(opa.bundles).map(([name, bundle]): BundleSource => {
    const { resource = `bundles/${name}`, polling, size_limit_bytes: sizeLimitBytes } = bundle
    const verification = verificationByOpa(opa.keys, bundle.signing)
    const common = { name, verification, sizeLimitBytes }
    if (resource.startsWith('file:'))
      return { ...common, kind: 'file', path: fileURLToPath(resource), isWatched: true }
    const service = bundle.service ?? Object.keys(opa.services)[0]
    const client = clients.get(service ?? '')
    if (client === undefined)
      throw new SluiceError({
        code: 'config_invalid',
        place: `bundles.${name}.service`,
        found: `${service}`,
        expected: `one of services: ${[...clients.keys()].join(', ')}`,
      })
    return {
      ...common,
      kind: 'download',
      client,
      resource,
      minDelayMs: (polling.min_delay_seconds ?? defaultMinDelaySeconds) * 1000,
      maxDelayMs: (polling.max_delay_seconds ?? defaultMaxDelaySeconds) * 1000,
      longPollingSeconds: polling.long_polling_timeout_seconds,
      ...(bundle.persist && { persist: join(opa.persistence_directory, 'bundles', name, 'bundle.tar.gz') }),
    }
  })
}

/** A candidate beside OPA's bundles is verified with OPA's keys, and as the bundle in force where that is one. */
function candidateVerification(opa: OpaConfig | undefined): (() => Verification) | undefined {
  const [only, ...others] = Object.values(opa?.bundles ?? {})
  return verificationByOpa(opa?.keys ?? {}, others.length === 0 ? only?.signing : undefined)
}

/** Keys without `signing` verify what is signed and let pass what is not, as under OPA. */
function verificationByOpa(
  keys: OpaConfig['keys'],
  signing: OpaConfig['bundles'][string]['signing'],
): (() => Verification) | undefined {
  if (Object.keys(keys).length === 0) return undefined
  const verification: Verification = {
    keys: new Map(Object.entries(keys)),
    keyId: signing?.keyid,
    scope: signing?.scope,
    excludeFiles: signing?.exclude_files ?? [],
    isOptional: signing === undefined,
    allowsUnsignedDelta: signing?.allow_unsigned_delta_bundles === true,
  }
  return () => verification
}

/** Reads the keys when a bundle is to be verified: they are replaced together with what they sign. */
function verificationOf({ keys, ...rest }: NonNullable<PolicyConfig['verification']>): () => Verification {
  return () => ({
    ...rest,
    keys: new Map(
      Object.entries(keys).map(([id, { file, ...key }]) => [id, { ...key, key: readFileSync(file, 'utf8') }]),
    ),
  })
}

/** Says so once when bundles have not been confirmed for too long, and once when they are again. */
export function warnWhenStale(policy: Policy, log: Logger): Disposable {
  let wasStale = false
  const timer = setInterval(() => {
    const staleForSeconds = policy.staleForSeconds()
    const isStale = staleForSeconds !== undefined
    if (isStale && !wasStale) log.warn({ staleForSeconds }, 'no server has confirmed the policy for too long')
    if (!isStale && wasStale) log.info('the policy is confirmed again')
    wasStale = isStale
  }, staleLookMs).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** The code that reads gRPC messages by their descriptors is loaded only where they are configured. */
export async function switchesOf({ protoDescriptor, ...policy }: PolicyConfig): Promise<Partial<Switches>> {
  const { onUndefined, onError, dryRun, skipRequestBodyParse, requestTime } = policy
  const { errorDetailToClient, maxInputBytes, maxDepth } = policy
  const reader = protoDescriptor && (await import('#envoy/message-json/message-json.ts')).openMessageReader
  return {
    ...{ onUndefined, onError, dryRun, skipRequestBodyParse, requestTime },
    ...{ errorDetailToClient, maxInputBytes, maxDepth },
    ...(reader && { readMessage: reader(protoDescriptor) }),
  }
}
