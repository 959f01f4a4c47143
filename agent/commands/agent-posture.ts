import { SluiceError } from '#base/errors.ts'
import type { Config } from '#config/config.ts'
import type { Finding, Posture, PostureState } from '#envoy/audit/audit.ts'
import type { ReadinessCheck } from '#telemetry/probes.ts'
import type { Logger, Metrics } from '#telemetry/telemetry.ts'

type EnvoyConfig = NonNullable<Config['envoy']>

/** Findings that are logged one by one; of more only the number is told. */
const maxLogged = 50
/** Rules that readiness names. */
const maxNamed = 5

export interface AgentPosture extends AsyncDisposable {
  /** For `/readyz` alone: an agent that Envoy took for dead because of it could not decide any more. */
  readonly check: ReadinessCheck
}

/**
 * Keeps an eye on the Envoy beside the agent, where its admin address is known. Requests are decided whatever it sees; in the
 * production profile the agent is unready while anything weakens what it decides, or nothing can be seen. The rules are
 * loaded only where they are wanted.
 *
 * @throws SluiceError for an accepted rule that there is none of.
 */
export async function openAgentPosture(options: {
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
}): Promise<AgentPosture | undefined> {
  const { config, log, metrics } = options
  const admin = config.envoy?.audit.admin ?? config.envoy?.admin
  if (config.envoy === undefined || admin === undefined) return undefined
  const { expectationsOf, openPosture } = await import('#envoy/audit/audit.ts')
  const accepted = await acceptedRules(config.envoy)
  const posture: Posture = openPosture({
    admin,
    everyMs: config.envoy.audit.everySeconds * 1000,
    expected: expectationsOf(config),
    onChange: ({ come, gone }) => {
      for (const finding of come.slice(0, maxLogged))
        log.warn(
          { ...finding, accepted: accepted.has(finding.id) },
          'Envoy is configured to weaken what is decided',
        )
      if (come.length > maxLogged) log.warn({ more: come.length - maxLogged }, 'and more findings in Envoy')
      for (const { id, place } of gone.slice(0, maxLogged)) log.info({ id, place }, 'mended in Envoy')
    },
    onFailure: (failure) => {
      if (failure === undefined) log.info({ admin }, "Envoy's configuration can be read again")
      else log.warn({ admin, failure }, "Envoy's configuration could not be read")
    },
  })
  metrics.posture(postureReading(() => posture.state()))
  const trouble = () => troubleOf(posture.state(), accepted)
  const isDemanded = config.profile === 'production'
  return {
    check: {
      name: 'envoy_posture',
      problem: () => (isDemanded ? trouble() : undefined),
      remark: trouble,
    },
    [Symbol.asyncDispose]: () => posture[Symbol.asyncDispose](),
  }
}

/** The rules whose findings make nobody unready. @throws SluiceError for one that there is none of. */
export async function acceptedRules({ audit }: Pick<EnvoyConfig, 'audit'>): Promise<ReadonlySet<string>> {
  const { auditAreas } = await import('#envoy/audit/audit.ts')
  const known = new Set(auditAreas.flatMap(({ rules }) => rules.map(({ id }) => id)))
  const wrong = audit.accept.find((id) => !known.has(id))
  if (wrong !== undefined)
    throw new SluiceError({
      code: 'config_invalid',
      place: 'envoy.audit.accept',
      found: wrong,
      expected: 'the name of a rule, as `sluice check --envoy` writes it',
    })
  return new Set(audit.accept)
}

function troubleOf({ failure, findings }: PostureState, accepted: ReadonlySet<string>): string | undefined {
  if (failure !== undefined) return failure.replaceAll('\n', ' ')
  const open = findings.filter(({ id }) => !accepted.has(id))
  if (open.length === 0) return undefined
  const ids = [...new Set(open.map(({ id }) => id))]
  const more = ids.length > maxNamed ? ', …' : ''
  return `${countOf(open)}: ${ids.slice(0, maxNamed).join(', ')}${more}`
}

const countOf = ({ length }: readonly Finding[]) => (length === 1 ? '1 finding' : `${length} findings`)

/** Counts by rule, and 0 for one that had findings before. */
function postureReading(stateOf: () => PostureState) {
  const seen = new Set<string>()
  return () => {
    const { findings, ...state } = stateOf()
    for (const { id } of findings) seen.add(id)
    const counts = new Map([...seen].map((id) => [id, findings.filter((each) => each.id === id).length]))
    return { ...state, findings: counts }
  }
}
