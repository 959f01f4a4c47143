import type { Config } from '#config/config.ts'
import { maxConnectionSeconds } from '../bootstrap/downstream-tls.ts'

/** What policy judges of answers: nothing, their headers, or their bodies too. */
export type JudgedAnswer = 'none' | 'headers' | 'body'

/** What the agent beside the Envoy needs of it; what is left out is not asked for. */
export interface Expectations {
  readonly judged?: JudgedAnswer
  /** Whether calls are measured: by the bodies of their requests beforehand, by those of their answers afterwards. */
  readonly areCallsMeasured?: boolean
  /** Where the agent listens: the cluster that leads there is the one whose answers count. */
  readonly agent?: string
  /** Addresses of the model server. */
  readonly upstreams?: readonly string[]
  /** Whether policy is meant to see the beginning of a body that is too large. */
  readonly areBodiesCut?: boolean
  /** Whether the agent reads what trusted gateways say of their clients' certificates, and takes it from everybody else. */
  readonly hasTrustedForwarders?: boolean
  /** How long the agent takes at most; Envoy has to wait longer. */
  readonly deadlineMs?: number
  /** How long a connection, or a session that is resumed, may rest on one look at a certificate. */
  readonly maxConnectionSeconds?: number
}

/** Half of the hour that an X.509-SVID commonly lives. */
export const defaultMaxConnectionSeconds = 1800

/** What a configuration of the agent asks of its Envoy. */
export function expectationsOf(config: Config): Expectations {
  const { listen, policy, decision, identity, envoy } = config
  const response = policy?.response
  return {
    judged: response === undefined ? 'none' : response.body === 'none' ? 'headers' : 'body',
    areCallsMeasured: config.limits !== undefined,
    agent: listen.agent,
    deadlineMs: decision.deadlineMs,
    hasTrustedForwarders: (identity?.trustedForwarders.length ?? 0) > 0,
    ...(envoy && {
      upstreams: [envoy.upstream.http, envoy.upstream.grpc],
      areBodiesCut: envoy.policyBodyBytes > 0,
      maxConnectionSeconds: maxConnectionSeconds(config),
    }),
  }
}
