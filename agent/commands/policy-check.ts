import { existsSync } from 'node:fs'
import { messageOf } from '#base/errors.ts'
import type { Config } from '#config/config.ts'
import { tenantFault } from '#identity/identity.ts'
import { openPolicy } from '#policy/policy.ts'
import { noResources, openResources, type Resources } from '#resources/resources.ts'
import { uncounted } from './agent-quotas.ts'
import { policyOptions, switchesOf } from './policy-options.ts'

/** One line of what a check found. */
export interface Finding {
  readonly isGood: boolean
  readonly text: string
}

/**
 * Whether policy and resources would take effect: bundles in files are loaded as the agent would load them, compiled with
 * the `opa` on PATH where they are Rego alone. Servers are not asked.
 */
export async function policyFindings(config: Config): Promise<Finding[]> {
  const { findings, resources } = resourceFindings(config)
  const { policy } = config
  if (policy === undefined) return findings
  findings.push(...(await descriptorFindings(policy)))
  const options = policyOptions(policy, config.profile)
  const { source } = options
  const bundles = 'file' in source ? [{ kind: 'file', path: source.file }] : source.bundles
  if (bundles.some(({ kind }) => kind === 'download')) {
    findings.push({ isGood: true, text: 'policy.opa.bundles: from servers, which are not asked here' })
  } else if (bundles.every((bundle) => 'path' in bundle && existsSync(bundle.path))) {
    const base = { ...options, ...(policy.response && { answer: answerOf(policy) }) }
    findings.push(...(await loaded('policy', base, resources)))
  }
  if (policy.candidate && existsSync(policy.candidate.bundle))
    findings.push(
      ...(await loaded('policy.candidate', { ...options, source: { file: policy.candidate.bundle } })),
    )
  return findings
}

type PolicyConfig = NonNullable<Config['policy']>
type Options = Omit<Parameters<typeof openPolicy>[0], 'onLoad'>

function answerOf({ decision, response }: PolicyConfig): NonNullable<Options['answer']> {
  return {
    decision: response?.decision ?? decision,
    body: response?.body ?? 'none',
    tensorsOf: () => undefined,
  }
}

/** @param what is loaded, for the report. */
async function loaded(
  what: string,
  options: Options,
  { accessPolicies }: Resources = noResources,
): Promise<Finding[]> {
  try {
    await using policy = await openPolicy({ ...options, onLoad: () => {} })
    const { engine, revision, lastError } = policy.status()
    if (!policy.isReady()) return [{ isGood: false, text: `${what}: ${lastError ?? 'not loaded'}` }]
    const asked = [options.decision, ...(options.answer ? [options.answer.decision] : [])]
    const answers = [...new Set(asked)].join(', ')
    return [
      {
        isGood: true,
        text: `${what}: answers ${answers}, revision ${revision || '(none)'}, engine ${engine}`,
      },
      ...accessPolicies
        .filter(({ decision }) => !policy.answers(decision))
        .map(({ name, decision }) => ({
          isGood: false,
          text: `AccessPolicy ${name}: the policy has no decision ${decision}, so that it refuses every request it covers; expected a bundle built with it (sluice policy build -e ${decision})`,
        })),
    ]
  } catch (cause) {
    return [{ isGood: false, text: `${what}: ${messageOf(cause)}` }]
  }
}

async function descriptorFindings(policy: PolicyConfig): Promise<Finding[]> {
  const { protoDescriptor } = policy
  if (protoDescriptor === undefined || !existsSync(protoDescriptor)) return []
  try {
    await switchesOf(policy)
    return [{ isGood: true, text: 'policy.protoDescriptor: gRPC messages can be read' }]
  } catch (cause) {
    return [{ isGood: false, text: `policy.protoDescriptor: ${messageOf(cause)}` }]
  }
}

function resourceFindings(config: Config): {
  readonly findings: Finding[]
  readonly resources: Resources
} {
  const dir = config.resources?.dir
  if (dir === undefined || !existsSync(dir)) return { findings: [], resources: noResources }
  using source = openResources({ dir, tenantFault, onLoad: () => {} })
  const problem = source.lastError()
  const resources = source.current()
  const { tenants, quotas, accessPolicies, routes } = resources
  const counts = `${tenants.length} tenants, ${quotas.length} quotas, ${routes.size} routes, ${accessPolicies.length} access policies`
  const finding =
    problem === undefined
      ? { isGood: true, text: `resources: ${counts}` }
      : { isGood: false, text: `resources: ${problem}` }
  const findings: Finding[] = [finding]
  const missing = uncounted(config, resources)
  if (missing !== undefined) findings.push({ isGood: false, text: missing })
  return { findings, resources }
}
