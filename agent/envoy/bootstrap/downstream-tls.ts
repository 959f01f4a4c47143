import type { JsonObject } from '#base/json.ts'
import type { Config } from '#config/config.ts'
import { defaultNames } from '../sds/names.ts'
import { agentCluster } from './filters.ts'
import { typed } from './types.ts'

type TlsFiles = NonNullable<NonNullable<Config['envoy']>['tls']>

/** How clients are met: with certificates from files, or where there are none, with those that the agent serves. */
export function downstreamTls(files: TlsFiles | undefined): JsonObject {
  return {
    require_client_certificate: true,
    // A resumed session would not look at the certificate again after a bundle has changed.
    disable_stateless_session_resumption: true,
    disable_stateful_session_resumption: true,
    common_tls_context: {
      alpn_protocols: ['h2', 'http/1.1'],
      tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
      ...(files === undefined ? fromAgent : fromFiles(files)),
    },
  }
}

function fromFiles({ certificate, privateKey, trustBundles }: TlsFiles): JsonObject {
  const domains = Object.entries(trustBundles).map(([name, path]) => ({
    name,
    trust_bundle: { filename: path },
  }))
  return {
    tls_certificates: [
      { certificate_chain: { filename: certificate }, private_key: { filename: privateKey } },
    ],
    validation_context: {
      custom_validator_config: typed('envoy.tls.cert_validator.spiffe', 'spiffeValidator', {
        trust_domains: domains,
      }),
    },
  }
}

/** Envoy listens when it has both, and not before. */
const fromAgent: JsonObject = {
  tls_certificate_sds_secret_configs: [secretFromAgent(defaultNames.certificate)],
  validation_context_sds_secret_config: secretFromAgent(defaultNames.allBundles),
}

function secretFromAgent(name: string): JsonObject {
  return {
    name,
    sds_config: {
      resource_api_version: 'V3',
      // With a bound, Envoy would say that it is ready and refuse every connection.
      initial_fetch_timeout: '0s',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: agentCluster } }],
      },
    },
  }
}

/** What SPIRE gives an identity unless told otherwise. */
const usualTtlSeconds = 3600

/**
 * How long a connection may last, seconds. It keeps what was verified at its handshake: where certificates and bundles
 * change by themselves, it must not outlive them.
 */
export function maxConnectionSeconds({ envoy, identity }: Config): number {
  if (envoy?.maxConnectionSeconds !== undefined) return envoy.maxConnectionSeconds
  const source = identity?.source
  return Math.floor((source?.type === 'dev' ? source.ttlSeconds : usualTtlSeconds) / 2)
}
