import type { Stage } from '#decision/stage.ts'
import { allowWith, type Verdict } from '#decision/verdict.ts'

/**
 * The same stage, whose denials deny nobody. An undefined decision and what goes wrong inside still refuse, as under OPA's
 * Envoy plugin, and what the decision says of metadata is told all the same.
 */
export function dryRun(stage: Stage): Stage {
  const lenient = (verdict: Verdict): Verdict => {
    if (verdict.kind !== 'deny' || verdict.reason === 'policy_undefined') return verdict
    const { dynamicMetadata } = verdict.own ?? {}
    return allowWith(dynamicMetadata === undefined ? {} : { dynamicMetadata })
  }
  const { request } = stage
  if (request === undefined) return stage
  return {
    ...stage,
    request: (x) => {
      const verdict = request.call(stage, x)
      return verdict instanceof Promise ? verdict.then(lenient) : lenient(verdict)
    },
  }
}
