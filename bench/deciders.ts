import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startAgent } from '../test/harness/agent.ts'
import { startGoServer } from '../test/harness/go-peers.ts'
import { buildBundle } from '../test/harness/opa.ts'
import { startOpaEnvoyPlugin } from '../test/harness/opa-envoy-plugin.ts'
import type { Decider } from './behind-envoy.ts'
import { policyFiles, trustDomain, writeResources } from './scene.ts'

let bundle: Promise<Buffer> | undefined

/** Built once, whoever asks. */
function policyBundle(): Promise<Buffer> {
  bundle ??= buildBundle({ files: policyFiles })
  return bundle
}

/** Sluice with a policy and nothing else. */
export function startSluice(folder: string): Promise<Decider> {
  return startWith(folder, {})
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

async function startWith(folder: string, config: Readonly<Record<string, unknown>>): Promise<Decider> {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'policy.tar.gz'), await policyBundle())
  const agent = await startAgent({ folder, config: { policy: { bundle: 'policy.tar.gz' }, ...config } })
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
