import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startAgent } from '../test/harness/agent.ts'
import { startGoServer } from '../test/harness/go-peers.ts'
import { buildBundle } from '../test/harness/opa.ts'
import { startOpaEnvoyPlugin } from '../test/harness/opa-envoy-plugin.ts'
import type { Decider } from './behind-envoy.ts'
import { policyFiles, trustDomain, writeResources } from './scene.ts'

const bundles = new Map<string, Promise<Buffer>>()

/** Built once, whoever asks. */
function policyBundle(target: 'wasm' | 'plan'): Promise<Buffer> {
  const bundle = bundles.get(target) ?? buildBundle({ files: policyFiles, target })
  bundles.set(target, bundle)
  return bundle
}

/** Sluice with a policy and nothing else. */
export function startSluice(folder: string): Promise<Decider> {
  return startWith(folder, {})
}

/** The same with the policy compiled to JavaScript. */
export function startSluiceCompiled(folder: string): Promise<Decider> {
  return startWith(folder, { policy: { engine: 'compiled' } }, 'plan')
}

/** Sluice with every stage on, and the record. */
export function startSluicePipeline(folder: string): Promise<Decider> {
  writeResources(join(folder, 'resources'))
  return startWith(folder, {
    identity: { trustDomains: [trustDomain] },
    limits: { store: 'memory' },
    residency: { zone: 'AE', partOf: ['GCC'], requireTag: true },
    traffic: {},
    audit: { dir: 'audit' },
    resources: { dir: 'resources' },
  })
}

async function startWith(
  folder: string,
  { policy, ...config }: { readonly policy?: object; readonly [stage: string]: unknown },
  target: 'wasm' | 'plan' = 'wasm',
): Promise<Decider> {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'policy.tar.gz'), await policyBundle(target))
  const agent = await startAgent({
    folder,
    config: { policy: { bundle: 'policy.tar.gz', ...policy }, ...config },
    isInstalled: true,
  })
  return {
    pid: agent.pid,
    address: `unix:${join(folder, 'agent.sock')}`,
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  }
}

export async function startOpa(folder: string): Promise<Decider> {
  const running = await startOpaEnvoyPlugin(folder, policyFiles)
  return { ...running, address: `127.0.0.1:${running.port}` }
}

/** grpc-go with answers that decide nothing. */
export async function startGo(folder: string): Promise<Decider> {
  const address = `unix:${join(folder, 'go.sock')}`
  return { ...(await startGoServer(address)), address }
}
