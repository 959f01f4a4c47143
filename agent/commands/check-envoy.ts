import type { Config } from '#config/config.ts'
import {
  auditEnvoyConfig,
  type Expectations,
  expectationsOf,
  type Finding as PostureFinding,
  parseDump,
  readConfigDump,
} from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { acceptedRules } from './agent-posture.ts'
import { readEnvoyFile } from './envoy.ts'
import type { Finding } from './policy-check.ts'

/** A finding in Envoy's configuration, and in which. */
export interface EnvoyFinding extends Finding {
  readonly source: string
  readonly posture?: PostureFinding
}

/** What a running Envoy, a file for one, or what would be generated for one would let pass. */
export async function envoyFindings(
  config: Config | undefined,
  sources: { readonly envoyConfig?: string; readonly envoy?: string },
): Promise<EnvoyFinding[]> {
  const expected = config === undefined ? {} : expectationsOf(config)
  const accepted = config?.envoy === undefined ? new Set<string>() : await acceptedRules(config.envoy)
  const judged = (source: string, dump: unknown) => findingsIn({ source, dump, expected, accepted })
  const findings: EnvoyFinding[] = []
  if (sources.envoyConfig !== undefined)
    findings.push(...judged(sources.envoyConfig, readEnvoyFile(sources.envoyConfig)))
  if (sources.envoy !== undefined)
    findings.push(
      ...judged(`Envoy at ${sources.envoy}`, parseDump(sources.envoy, await readConfigDump(sources.envoy))),
    )
  const isAsked = sources.envoyConfig !== undefined || sources.envoy !== undefined
  if (!isAsked && config?.envoy !== undefined)
    findings.push(...judged('generated Envoy configuration', envoyConfig(config)))
  return findings
}

function findingsIn(options: {
  readonly source: string
  readonly dump: unknown
  readonly expected: Expectations
  readonly accepted: ReadonlySet<string>
}): EnvoyFinding[] {
  const { source, dump, expected, accepted } = options
  const found = auditEnvoyConfig(dump, expected)
  if (found.length === 0) return [{ isGood: true, source, text: `${source}: nothing that fails open` }]
  return found.map((posture) => {
    const { id, severity, place, setting, why, fix } = posture
    const isAccepted = accepted.has(id)
    const text = `${source}: ${place}: ${setting}: ${why} Fix: ${fix} (${id}, ${isAccepted ? 'accepted' : severity})`
    return { isGood: isAccepted, source, posture, text }
  })
}
