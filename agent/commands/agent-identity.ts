import type { Config } from '#config/config.ts'
import { openIdentitySource } from '#identity/source/open.ts'
import { type IdentitySource, type IdentityState, identityEnd } from '#identity/source/source.ts'
import { expiresAtMs } from '#identity/x509/svid.ts'
import type { IdentityReading } from '#telemetry/identity-metrics.ts'
import type { ReadinessCheck } from '#telemetry/probes.ts'
import type { Logger, Metrics } from '#telemetry/telemetry.ts'

export interface AgentIdentity {
  readonly source: IdentitySource
  /** That there is something to decide with. */
  readonly check: ReadinessCheck
  /** For `/readyz` alone: what is decided needs no certificate of ours, and Envoy must go on asking. */
  readonly ownCheck: ReadinessCheck
}

/**
 * Opens the source of identities, where the configuration has one, and shows what it knows.
 *
 * @throws SluiceError for a configuration that cannot be opened.
 */
export async function openAgentIdentity(options: {
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
}): Promise<AgentIdentity | undefined> {
  const { config, log, metrics } = options
  const endpointSocket = process.env['SPIFFE_ENDPOINT_SOCKET']
  const source = config.identity && (await openIdentitySource(config.identity, { log, endpointSocket }))
  if (source === undefined) return undefined
  metrics.identities(() => readingOf(source.current()))
  const problem = () => (source.current() === undefined ? (source.problem() ?? 'not loaded') : undefined)
  return {
    source,
    check: { name: 'identity', problem, warning: () => source.problem() },
    ownCheck: { name: 'own_identity', problem: () => identityEnd(source.current(), Date.now()) },
  }
}

function readingOf(state: IdentityState | undefined): IdentityReading {
  const { svids = [], bundles = noBundles } = state ?? {}
  return {
    expiresAtMs: new Map([...svids].reverse().map((svid) => [svid.id.text, expiresAtMs(svid)])),
    bundles: new Map(
      [...bundles.values()].map(({ trustDomain, x509Authorities }) => {
        const ends = x509Authorities.map(({ notAfterMs }) => notAfterMs)
        const last = ends.length === 0 ? undefined : Math.max(...ends)
        return [trustDomain, { authorities: ends.length, expiresAtMs: last }]
      }),
    ),
  }
}

const noBundles: IdentityState['bundles'] = new Map()
