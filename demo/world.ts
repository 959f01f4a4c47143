import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createDevCa, openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { repackBundle } from '#policy/bundle/bundle.ts'
import { type AgentProcess, startAgent } from '../test/harness/agent.ts'
import { hasTriton, type Progress } from '../test/harness/components.ts'
import { type Envoy, startEnvoy } from '../test/harness/envoy.ts'
import type { Identity } from '../test/harness/http.ts'
import { startEmbeddedModelServer } from '../test/harness/model-server.ts'
import { freePorts } from '../test/harness/ports.ts'
import { run } from '../test/harness/run.ts'
import { temporaryFolder } from '../test/harness/temp.ts'
import { type ModelServer, startTriton } from '../test/harness/triton.ts'
import {
  audience,
  type Caller,
  callers,
  issuer,
  modelRoute,
  policyData,
  quotas,
  stranger,
  tenants,
  trustDomain,
} from './scene.ts'
import { createTokens } from './tokens.ts'

/** Everything that runs in the demo. */
export interface World extends AsyncDisposable {
  readonly folder: string
  readonly agent: AgentProcess
  readonly envoy: Envoy
  readonly modelServer: ModelServer
  /** mTLS, ext_proc, the whole pipeline. */
  readonly mainPort: number
  /** mTLS, ext_authz, admission only. */
  readonly admissionPort: number
  /** PEM that verifies Envoy's own certificate. */
  readonly ca: string
  readonly identities: Readonly<Record<Caller | 'stranger', Identity>>
  readonly agentConfig: string
  /** An access token with this tenant in it. */
  tokenFor(tenant: string): string
  setPolicy(data: { readonly mayGlobexUseFraud: boolean; readonly revision: string }): void
  breakPolicy(): void
  setCandidateShare(percent: number): void
  /** The record so far, a line each. */
  auditLines(): readonly Record<string, unknown>[]
}

export type ModelServerChoice = 'triton' | 'embedded'

const root = join(import.meta.dirname, '..')
const shippedBundle = join(root, 'policies', 'dist', 'default.tar.gz')

export async function startWorld(options: {
  readonly modelServer: ModelServerChoice
  readonly say: Progress
  /** False for one that looks at no token; the gateway is of no use then. */
  readonly hasIssuer?: boolean
}): Promise<World> {
  await using opening = new AsyncDisposableStack()
  const { path: folder } = opening.use(temporaryFolder())
  const [mainPort, admissionPort] = (await freePorts(2)) as [number, number]

  const ca = openDevCa(join(folder, 'ca'), { trustDomain })
  const entries = Object.entries(callers).map(([name, spiffeId]) => [name, ca.issue({ spiffeId })] as const)
  const foreign = createDevCa({ trustDomain: stranger.trustDomain }).issue({ spiffeId: stranger.spiffeId })
  const identities = Object.fromEntries([...entries, ['stranger', foreign]]) as World['identities']
  for (const [name, identity] of Object.entries(identities))
    ca.write(join(folder, 'certificates', name), identity)
  const tokens = createTokens()
  writeFileSync(join(folder, 'idp.json'), tokens.jwks)
  writeFileSync(join(folder, 'certificates', 'hooli.jwt'), tokens.issue('hooli'))
  writeFileSync(join(folder, 'certificates', 'ca.pem'), ca.bundlePem)

  mkdirSync(join(folder, 'resources'))
  writeFileSync(join(folder, 'resources', 'tenants.yaml'), tenants)
  writeFileSync(join(folder, 'resources', 'quotas.yaml'), quotas)
  const setCandidateShare = (percent: number) =>
    writeFileSync(join(folder, 'resources', 'routes.yaml'), modelRoute(percent))
  setCandidateShare(10)

  const bundle = join(folder, 'policy.tar.gz')
  const setPolicy: World['setPolicy'] = ({ revision, mayGlobexUseFraud }) => {
    const data = policyData({ mayGlobexUseFraud })
    writeFileSync(bundle, repackBundle(readFileSync(shippedBundle), shippedBundle, { data, revision }))
  }
  setPolicy({ mayGlobexUseFraud: false, revision: 'demo-1' })

  options.say(`Starting ${options.modelServer === 'triton' ? 'Triton' : 'the embedded model server'} …`)
  const modelServer = opening.use(
    options.modelServer === 'triton' && hasTriton()
      ? await startTriton(options.say)
      : await startEmbeddedModelServer(),
  )
  options.say('Starting Sluice and Envoy …')
  const agent = opening.use(
    await startAgent({
      folder,
      config: {
        role: 'model',
        identity: {
          trustDomains: [trustDomain],
          // Envoy's own certificate too: Envoy takes it from the agent, and a new one each half hour.
          source: {
            type: 'dev',
            dir: 'ca',
            spiffeId: `spiffe://${trustDomain}/ns/models/sa/triton`,
            dnsNames: ['localhost'],
          },
        },
        ...(options.hasIssuer !== false && {
          issuers: [{ issuer, audience, jwks: { file: 'idp.json' }, tenantClaim: 'tenant' }],
          tokens: { required: false },
        }),
        policy: { bundle: 'policy.tar.gz', decision: 'envoy/authz/allow' },
        limits: { store: 'memory' },
        residency: { zone: 'AE', partOf: ['GCC'], requireTag: true },
        traffic: {},
        audit: { dir: 'audit' },
        resources: { dir: 'resources' },
        listen: { admin: `unix:${join(folder, 'admin.sock')}` },
        envoy: {
          main: `127.0.0.1:${mainPort}`,
          admission: `127.0.0.1:${admissionPort}`,
          upstream: { http: `127.0.0.1:${modelServer.httpPort}`, grpc: `127.0.0.1:${modelServer.grpcPort}` },
        },
      },
    }),
  )
  // The configuration that a user would generate, by the command that a user would type.
  const cli = ['agent/main.ts', 'envoy', 'config', '--json', '--config', agent.configPath]
  const generated = JSON.parse((await run(process.execPath, cli, { cwd: root })).toString())
  const envoy = opening.use(await startEnvoy(generated))

  const owned = opening.move()
  return {
    folder,
    agent,
    envoy,
    modelServer,
    mainPort,
    admissionPort,
    ca: ca.bundlePem,
    identities,
    agentConfig: agent.configPath,
    tokenFor: tokens.issue,
    setPolicy,
    breakPolicy: () => writeFileSync(bundle, 'this is no bundle'),
    setCandidateShare,
    auditLines: () =>
      readFileSync(join(folder, 'audit', 'decisions.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
