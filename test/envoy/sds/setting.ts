import { openSecretDiscovery, type SecretDiscovery } from '#envoy/sds/sds.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import type { IdentityState } from '#identity/source/source.ts'
import { createLogger } from '#telemetry/telemetry.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { bundle, bundles, pair, type ScriptedSource, scriptedSource } from '../../harness/identity-source.ts'

export type Said = Omit<IdentityState, 'generation'>

export const envoyId = 'spiffe://example.org/envoy'
export const otherId = 'spiffe://example.org/other'
export const hourMs = 3_600_000

/** Time in which everything below was issued; stands still unless a test moves its own. */
export const clock = manualClock()
export const ca = createDevCa({ trustDomain: 'example.org', clock })
export const partner = createDevCa({ trustDomain: 'a.partner.org', clock })
/** By the same trust domain's name, and in no bundle. */
export const stranger = createDevCa({ trustDomain: 'example.org', clock })

export const own = bundle('example.org', ca.bundlePem)
export const partners = bundle('a.partner.org', partner.bundlePem)
export const freshPair = (spiffeId = envoyId) => pair(ca.issue({ spiffeId }))

/** Two identities of ours, two trust domains. */
export const whole: Said = { svids: [freshPair(), freshPair(otherId)], bundles: bundles(own, partners) }

export interface Setting {
  readonly source: ScriptedSource
  readonly discovery: SecretDiscovery
  readonly logged: string[]
}

/** A discovery service whose source has said `first`, or nothing yet. */
export function setting(first?: Said, at = clock): Setting {
  const source = scriptedSource(first)
  const logged: string[] = []
  const log = createLogger('debug', { write: (line: string) => void logged.push(line) })
  return { source, logged, discovery: openSecretDiscovery({ source, log, clock: at }) }
}
