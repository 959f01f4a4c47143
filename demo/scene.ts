import type { JsonObject } from '#base/json.ts'

/** Who plays in the demo. Every name is made up; every certificate is issued by a development CA at start. */
export const trustDomain = 'demo.sluice.dev'

export const callers = {
  acme: 'spiffe://demo.sluice.dev/ns/acme/sa/checkout',
  globex: 'spiffe://demo.sluice.dev/ns/globex/sa/batch',
  initech: 'spiffe://demo.sluice.dev/ns/initech/sa/reports',
  umbrella: 'spiffe://demo.sluice.dev/ns/umbrella/sa/lab',
  /** Calls for several tenants; the token says for which. */
  gateway: 'spiffe://demo.sluice.dev/ns/edge/sa/gateway',
} as const

export type Caller = keyof typeof callers

/** The same workload name, but vouched for by somebody else. */
export const stranger = {
  trustDomain: 'elsewhere.example',
  spiffeId: 'spiffe://elsewhere.example/ns/acme/sa/checkout',
}

/** How many tokens of `story` a day `acme` has; the tour uses them up. */
export const acmeTokens = 60

/** How many requests a minute `initech` has; small, so that the tour runs into it. */
export const initechRequests = 5

/** Who says for whom the gateway calls. */
export const issuer = 'https://idp.demo.sluice.dev'
export const audience = 'models'

export const tenants = `apiVersion: sluice.dev/v1alpha1
kind: Tenant
metadata: {name: acme}
spec:
  peers: ["spiffe://demo.sluice.dev/ns/acme/**"]
  models: [fraud, story]
  residency: {allow: [AE, GCC]}
---
apiVersion: sluice.dev/v1alpha1
kind: Tenant
metadata: {name: globex}
spec:
  peers: ["spiffe://demo.sluice.dev/ns/globex/**"]
  models: [fraud, "ocr-*"]
  residency: {allow: [AE]}
---
apiVersion: sluice.dev/v1alpha1
kind: Tenant
metadata: {name: initech}
spec:
  peers: ["spiffe://demo.sluice.dev/ns/initech/**"]
  models: [fraud]
  residency: {allow: [AE]}
---
apiVersion: sluice.dev/v1alpha1
kind: Tenant
metadata: {name: umbrella}
spec:
  peers: ["spiffe://demo.sluice.dev/ns/umbrella/**"]
  models: [fraud]
  residency: {allow: [EU]}          # this agent stands in AE: its data may not be processed here
---
apiVersion: sluice.dev/v1alpha1
kind: Tenant
metadata: {name: hooli}
spec:
  peers: ["spiffe://demo.sluice.dev/ns/edge/sa/gateway"]
  tokens: [{issuer: "${issuer}"}]     # and a token whose tenant claim is hooli
  models: [fraud]
  residency: {allow: [AE]}
---
apiVersion: sluice.dev/v1alpha1
kind: Tenant
metadata: {name: pied-piper}
spec:
  peers: ["spiffe://demo.sluice.dev/ns/pied-piper/**"]
  tokens: [{issuer: "${issuer}"}]
  models: [fraud]
  residency: {allow: [AE]}
`

export const quotas = `apiVersion: sluice.dev/v1alpha1
kind: QuotaPolicy
metadata: {name: initech-small}
spec:
  tenants: [initech]
  limits:
    - {unit: requests, rate: ${initechRequests}, window: 1m}
    - {unit: concurrency, max: 4}
---
apiVersion: sluice.dev/v1alpha1
kind: QuotaPolicy
metadata: {name: acme-story}
spec:
  tenants: [acme]
  models: [story]
  limits:
    - {name: tokens, unit: outputTokens, limit: ${acmeTokens}, period: {unit: day, zone: Asia/Dubai}}
  reserve: {slice: 16}
`

/** Candidate first, stable last: growing the candidate never moves anybody back. */
export function modelRoute(candidatePercent: number): string {
  return `apiVersion: sluice.dev/v1alpha1
kind: ModelRoute
metadata: {name: fraud}
spec:
  model: fraud
  zones: [AE, GCC]
  versions:
    - {version: "2", weight: "${candidatePercent}%"}
    - {version: "1", weight: "${100 - candidatePercent}%"}
  pins:
    - {tenant: initech, version: "1"}
`
}

const everything = { verbs: ['infer', 'stream_infer'] }

/** The data beside the default Rego: which tenant may do what with which model. */
export function policyData({ mayGlobexUseFraud }: { readonly mayGlobexUseFraud: boolean }): JsonObject {
  return {
    sluice: {
      tenants: {
        acme: {
          models: {
            fraud: { ...everything, versions: ['1', '2'] },
            story: { verbs: ['generate_stream'], versions: ['1'] },
          },
        },
        globex: {
          models: {
            ocr: { ...everything, versions: ['1'] },
            ...(mayGlobexUseFraud && { fraud: { ...everything, versions: ['1', '2'] } }),
          },
        },
        initech: { models: { fraud: { ...everything, versions: ['1'] } } },
        hooli: { models: { fraud: { ...everything, versions: ['1', '2'] } } },
        umbrella: { models: { fraud: { ...everything, versions: ['1', '2'] } } },
      },
    },
  }
}
