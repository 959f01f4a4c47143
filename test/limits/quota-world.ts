import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { type AgentProcess, startAgent } from '../harness/agent.ts'
import { startEnvoy } from '../harness/envoy.ts'
import type { Identity } from '../harness/http.ts'
import { type OpenAiOptions, type OpenAiServer, startOpenAiServer } from '../harness/openai-server.ts'
import { freePorts } from '../harness/ports.ts'
import { run } from '../harness/run.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { createSigner, setOf, signToken } from '../identity/token/kit.ts'

const trustDomain = 'quota.example'
const issuer = 'https://idp.example'
const gateway = `spiffe://${trustDomain}/ns/edge/sa/gateway`
const root = join(import.meta.dirname, '..', '..')
const signer = createSigner('P-256', 'idp-1')

/** One agent with the Envoy before it. */
export interface Pod {
  readonly port: number
  readonly agent: AgentProcess
  readonly admin: string
  auditLines(): readonly Readonly<Record<string, unknown>>[]
}

/** What became of a call. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** Whether the answer came to its end. */
  readonly isWhole: boolean
}

export interface Asked {
  readonly pod: Pod
  readonly tenant: string
  readonly body: object
  /** The client goes away as soon as its text says so. */
  readonly leave?: (text: string) => boolean
}

export interface QuotaWorld extends AsyncDisposable {
  readonly model: OpenAiServer
  readonly pods: readonly Pod[]
  ask(asked: Asked): Promise<Reply>
}

/** Whole agents behind real Envoys with mTLS, in front of one streaming model server; a gateway calls for tenants by tokens. */
export async function startQuotaWorld(options: {
  readonly tenants: readonly string[]
  readonly quotas: readonly object[]
  readonly model?: OpenAiOptions
  /** Where another model server listens that stands in its place. */
  readonly modelPort?: number
  readonly pods?: number
  /** `limits` of the configuration, by the number of the pod where each has its own. */
  readonly limits?: object | ((index: number) => object)
}): Promise<QuotaWorld> {
  await using opening = new AsyncDisposableStack()
  const { path: folder } = opening.use(temporaryFolder())
  const model = opening.use(await startOpenAiServer(options.model))
  const modelPort = options.modelPort ?? model.port
  const ca = openDevCa(join(folder, 'ca'), { trustDomain })
  const identity = ca.issue({ spiffeId: gateway })
  const documents = [...options.tenants.map(tenantOf), ...options.quotas]
  mkdirSync(join(folder, 'resources'))
  writeFileSync(
    join(folder, 'resources', 'all.yaml'),
    documents.map((each) => JSON.stringify(each)).join('\n---\n'),
  )
  writeFileSync(join(folder, 'idp.json'), setOf(signer))
  const pods: Pod[] = []
  for (let index = 0; index < (options.pods ?? 1); index++) {
    const own = join(folder, `pod-${index}`)
    mkdirSync(own)
    const [main] = (await freePorts(1)) as [number]
    const admin = `unix:${join(own, 'admin.sock')}`
    const agent = opening.use(
      await startAgent({
        folder: own,
        config: {
          identity: {
            trustDomains: [trustDomain],
            source: {
              type: 'dev',
              dir: '../ca',
              spiffeId: `spiffe://${trustDomain}/ns/models/sa/llm`,
              dnsNames: ['localhost'],
            },
          },
          issuers: [{ issuer, audience: 'models', jwks: { file: '../idp.json' }, tenantClaim: 'tenant' }],
          limits: {
            store: 'memory',
            ...(typeof options.limits === 'function' ? options.limits(index) : options.limits),
          },
          audit: { dir: 'audit' },
          resources: { dir: '../resources' },
          listen: { admin },
          envoy: {
            main: `127.0.0.1:${main}`,
            upstream: { http: `127.0.0.1:${modelPort}`, grpc: `127.0.0.1:${modelPort}` },
          },
        },
      }),
    )
    const cli = ['agent/main.ts', 'envoy', 'config', '--json', '--config', agent.configPath]
    opening.use(await startEnvoy(JSON.parse((await run(process.execPath, cli, { cwd: root })).toString())))
    pods.push({ port: main, agent, admin, auditLines: () => linesOf(join(own, 'audit', 'decisions.jsonl')) })
  }
  const tokens = new Map(options.tenants.map((tenant) => [tenant, tokenOf(tenant)]))
  const owned = opening.move()
  return {
    model,
    pods,
    ask: ({ pod, tenant, body, leave }) =>
      call({ port: pod.port, ca: ca.bundlePem, identity, token: tokens.get(tenant) as string, body, leave }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function tenantOf(name: string): object {
  return {
    apiVersion: 'sluice.dev/v1alpha1',
    kind: 'Tenant',
    metadata: { name },
    spec: { peers: [gateway], tokens: [{ issuer }], models: ['*'] },
  }
}

/** A QuotaPolicy for every tenant; change what is to be another. */
export function aQuota(spec: object, name = 'all'): object {
  return {
    apiVersion: 'sluice.dev/v1alpha1',
    kind: 'QuotaPolicy',
    metadata: { name },
    spec: { tenants: ['*'], ...spec },
  }
}

function tokenOf(tenant: string): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer, aud: 'models', sub: `robot@${tenant}`, tenant, iat: now, exp: now + 3600 }
  return signToken(signer, { alg: 'ES256', kid: 'idp-1', typ: 'JWT' }, claims)
}

function linesOf(path: string): Readonly<Record<string, unknown>>[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

function call(options: {
  readonly port: number
  readonly ca: string
  readonly identity: Identity
  readonly token: string
  readonly body: object
  readonly leave: Asked['leave']
}): Promise<Reply> {
  const { port, ca, identity, token, leave } = options
  const body = JSON.stringify(options.body)
  return new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      servername: 'localhost',
      port,
      path: '/v1/chat/completions',
      method: 'POST',
      agent: false,
      ca,
      cert: identity.certificatePem,
      key: identity.privateKeyPem,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        authorization: `Bearer ${token}`,
      },
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        if (leave?.(text) === true) sent.destroy()
      })
      response.on('error', () => {})
      response.once('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          isWhole: response.complete,
        }),
      )
    })
    sent.end(body)
  })
}
