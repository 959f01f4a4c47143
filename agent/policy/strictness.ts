import { messageOf } from '#base/errors.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import { allowWith, deny, type Refusal, type Verdict } from '#decision/verdict.ts'
import type { Switches } from './switches.ts'

/** The refusal of a request that policy was not asked about. */
export function malformed(why: string, { errorDetailToClient }: Switches): Refusal {
  const refusal = deny('request_malformed', why)
  return errorDetailToClient ? { ...refusal, clientDetail: why } : refusal
}

/** What a policy says no with. */
const denials: ReadonlySet<ReasonCode> = new Set([
  'policy_denied',
  'policy_answer_denied',
  'step_up_required',
  'scope_insufficient',
])

/**
 * A verdict under the switches. In a dry run a denial lets the request go on with nothing of it but its metadata; what is
 * undefined or failed refuses there too, as under the OPA Envoy plugin.
 */
export function judged(verdict: Verdict, switches: Switches): Verdict {
  if (verdict.kind === 'allow') return verdict
  if (verdict.kind === 'deny') {
    if (denials.has(verdict.reason) && switches.dryRun)
      return allowWith({ dynamicMetadata: verdict.own?.dynamicMetadata ?? {} })
    if (verdict.reason === 'policy_undefined' && switches.onUndefined === 'grpc_error')
      return {
        kind: 'error',
        reason: 'policy_undefined',
        cause: new Error('the decision is undefined'),
        failsCall: true,
      }
    return verdict
  }
  return {
    ...verdict,
    ...(switches.onError === 'grpc_error' && { failsCall: true }),
    ...(switches.errorDetailToClient && { clientDetail: messageOf(verdict.cause) }),
  }
}
