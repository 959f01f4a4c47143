import { SluiceError } from '#base/errors.ts'
import type { JsonValue } from '#base/json.ts'
import { createCanonicalStage } from '#canonical/canonical.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { isCapturedCheck, readCapturedCheck } from '#envoy/capture/capture.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { policyInput } from '#policy/input/input.ts'
import { defaultSwitches } from '#policy/policy.ts'
import { noResources } from '#resources/resources.ts'

/**
 * The input that the agent would build for a captured CheckRequest; any other document is taken for an input and given
 * back. Of `serving` it has what the request itself tells, which is neither tenant nor peer.
 *
 * @throws SluiceError for a request that is refused before policy is asked.
 */
export async function inputOf(value: JsonValue, place: string): Promise<JsonValue> {
  if (!isCapturedCheck(value)) return value
  const x: Exchange = {
    id: 'captured',
    request: await readCapturedCheck(value, place),
    resources: noResources,
    startedUs: 0,
  }
  let verdict: Verdict | undefined
  for (const stage of [createCanonicalStage({ isStrict: false, tenantHeaders: [] }), createInferenceStage()])
    if (verdict === undefined || verdict.kind === 'allow') verdict = await stage.request?.(x)
  const input = policyInput(x, defaultSwitches)
  const refusal =
    verdict !== undefined && verdict.kind !== 'allow'
      ? verdict.reason
      : 'fault' in input && String(input.fault)
  if (refusal !== false)
    throw new SluiceError({
      code: 'capture_refused',
      place,
      found: `a request that is refused before policy is asked: ${refusal}`,
      expected: 'a request that reaches the policy',
    })
  return input as JsonValue
}
