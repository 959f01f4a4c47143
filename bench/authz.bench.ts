import { type Contender, measureBehindEnvoy } from './behind-envoy.ts'
import type { BenchOptions, Row } from './bench.ts'
import { generatedEnvoy, plainEnvoy } from './bootstraps.ts'
import { startOpa, startSluice, startSluiceCompiled, startSluicePipeline } from './deciders.ts'
import { createPki, inferRequest, modelOf, type Pki, tenantOf } from './scene.ts'

/**
 * ext_authz, one RBAC policy of 1,000 tenants by 5 models: Envoy alone, with the OPA Envoy plugin, with Sluice, the policy in
 * wasm and compiled; with `--pipeline` also Sluice with every stage on, behind the mTLS listener that it generates.
 */
export async function measure(options: BenchOptions): Promise<Row[]> {
  using pki = createPki()
  const contenders = [
    envoyAlone,
    policyOnly('opa-envoy-plugin', startOpa),
    policyOnly('sluice', startSluice),
    policyOnly('sluice-compiled', startSluiceCompiled),
    ...(options.isPipelineWanted ? [pipeline(pki)] : []),
  ]
  return await measureBehindEnvoy(contenders, options)
}

// ext_authz cannot choose a version, so the client names one; the same path for all.
const pathOf = (model: string) => `/v2/models/${model}/versions/1/infer`
const plain = { request: (index: number) => inferRequest(pathOf(modelOf(index)), tenantOf(index)) }

const envoyAlone: Contender = {
  name: 'envoy',
  bootstrap: (ports) => plainEnvoy(ports, undefined),
  questions: plain,
  checks: [{ request: inferRequest(pathOf('other'), 'nobody'), status: '200' }],
}

function policyOnly(name: string, start: NonNullable<Contender['start']>): Contender {
  return {
    name,
    start,
    bootstrap: plainEnvoy,
    questions: plain,
    checks: [
      { request: inferRequest(pathOf('fraud'), 't1'), status: '200' },
      { request: inferRequest(pathOf('other'), 't1'), status: '403' },
      { request: inferRequest(pathOf('fraud'), 'nobody'), status: '403' },
    ],
  }
}

function pipeline(pki: Pki): Contender {
  const ask = (path: string) => inferRequest(path, tenantOf(0))
  return {
    name: 'sluice-pipeline',
    start: startSluicePipeline,
    bootstrap: (ports, decider) => generatedEnvoy(ports, { decider, measured: 'admission', pki }),
    questions: {
      tls: pki.tls,
      request: (index, connection) => inferRequest(pathOf(modelOf(index)), tenantOf(connection)),
    },
    checks: [
      { request: ask(pathOf('fraud')), status: '200' },
      { request: ask(pathOf('other')), status: '403' },
      { request: ask(pathOf('withheld')), status: '403' },
      { request: ask('/v2/models/fraud/versions/9/infer'), status: '404' },
      { request: ask(pathOf('scarce')), status: '200' },
      { request: ask(pathOf('scarce')), status: '429' },
    ],
  }
}
