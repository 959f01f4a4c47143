import { z } from 'zod'
import type { JsonValue } from '#base/json.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import { allowWith, deny, failure, type Header, type Verdict } from '#decision/verdict.ts'
import { plainResult, type ResultObject, resultSchema } from './result-schema.ts'
import { withDoubles } from './values/json.ts'

/** Is told the limits that a result which allows hands in. */
export type QuotaSink = (quotas: ReadonlyMap<string, number>) => void

/** What Rego said, as a verdict. Anything but the two shapes of the contract refuses. */
export function verdictOf(result: JsonValue | undefined, decisionId: string, onQuotas?: QuotaSink): Verdict {
  if (result === undefined) return deny('policy_undefined')
  if (result === true) return allowWith({ dynamicMetadata: { decision_id: decisionId } })
  if (result === false) {
    return { kind: 'deny', reason: 'policy_denied', own: { dynamicMetadata: { decision_id: decisionId } } }
  }
  const plain = plainResult(result)
  if (plain !== undefined) return verdictOfObject(plain, decisionId)
  const parsed = resultSchema.safeParse(withDoubles(result))
  if (!parsed.success) return failure('policy_result_invalid', new Error(z.prettifyError(parsed.error)))
  if (parsed.data.allowed && parsed.data.quotas !== undefined) onQuotas?.(parsed.data.quotas)
  return verdictOfObject(parsed.data, decisionId)
}

function verdictOfObject(data: ResultObject, decisionId: string): Verdict {
  const dynamicMetadata = { ...data.dynamic_metadata, decision_id: decisionId }
  if (!data.allowed) {
    const { http_status, headers: set, body, challenge } = data
    return {
      kind: 'deny',
      reason: challenge === undefined ? 'policy_denied' : challengeReason(challenge),
      ...(challenge !== undefined && { demand: challenge.demand }),
      own: {
        dynamicMetadata,
        ...(http_status !== undefined && { httpStatus: http_status }),
        ...(set !== undefined && { headers: set }),
        ...(body !== undefined && { body }),
      },
    }
  }
  const removeHeaders = data.request_headers_to_remove
  const setHeaders = withoutNames(data.headers, removeHeaders)
  const setQuery = withoutNames(data.query_parameters_to_set, data.query_parameters_to_remove)
  return allowWith({
    dynamicMetadata,
    ...(setHeaders !== undefined && { setHeaders }),
    ...(data.response_headers_to_add !== undefined && { addResponseHeaders: data.response_headers_to_add }),
    ...(removeHeaders !== undefined && { removeHeaders }),
    ...(setQuery !== undefined && { setQuery }),
    ...(data.query_parameters_to_remove !== undefined && { removeQuery: data.query_parameters_to_remove }),
  })
}

/** Another sign-in is asked for before more scopes: the token that comes of it may have them. */
function challengeReason({ isStepUp }: { readonly isStepUp: boolean }): ReasonCode {
  return isStepUp ? 'step_up_required' : 'scope_insufficient'
}

/** Envoy sets first and removes then: what a policy names in both lists is gone. */
function withoutNames(
  set: readonly Header[] | undefined,
  remove: readonly string[] | undefined,
): readonly Header[] | undefined {
  return remove === undefined ? set : set?.filter(([name]) => !remove.includes(name))
}
