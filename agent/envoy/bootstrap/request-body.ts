import type { Config } from '#config/config.ts'

/** Prompts of models are rarely longer, and the agent holds as much of each request that is under way. */
const measuredBytes = 1 << 20

/**
 * How much of an HTTP request's body the agent is shown, octets. What a call costs at most stands in its body, so that limits
 * need it, whatever policy is to see.
 */
export function requestBodyBytes({ envoy, limits }: Config): number {
  const { policyBodyBytes = 0 } = envoy ?? {}
  return limits === undefined ? policyBodyBytes : Math.max(policyBodyBytes, measuredBytes)
}
