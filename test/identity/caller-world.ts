import { hash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '#base/clock.ts'
import { openDevAuthority } from '#identity/dev-ca/authority.ts'
import { type AgentProcess, startAgent } from '../harness/agent.ts'
import { type Envoy, startEnvoy } from '../harness/envoy.ts'
import { inferRequest } from '../harness/grpc.ts'
import type { Identity } from '../harness/http.ts'
import { type Arrival, type EmbeddedModelServer, startEmbeddedModelServer } from '../harness/model-server.ts'
import { buildBundle } from '../harness/opa.ts'
import { freePorts } from '../harness/ports.ts'
import { http1, http2, type RawAnswer, tlsDial } from '../harness/raw-http.ts'
import { run } from '../harness/run.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { createSigner, setOf, signToken } from './token/kit.ts'

export const trustDomain = 'test.example'
export const idp = 'https://idp.example'
export const externalUrl = 'https://models.example'
export const signer = createSigner('P-256', 'idp-1')

/** Workloads that call. Two gateways of one tenant pair, and workloads whose tenants ask for a token or for none. */
const workloads = {
  plain: 'ns/plain/sa/a',
  gateway: 'ns/edge/sa/gateway',
  other: 'ns/other/sa/a',
  robot: 'ns/robots/sa/a',
} as const
export type Workload = keyof typeof workloads
export const spiffeIdOf = (name: Workload) => `spiffe://${trustDomain}/${workloads[name]}`

const tenant = (name: string, who: Workload, tokens?: object) => ({
  apiVersion: 'sluice.dev/v1alpha1',
  kind: 'Tenant',
  metadata: { name },
  spec: { peers: [spiffeIdOf(who)], models: ['fraud'], ...(tokens && { tokens: [tokens] }) },
})

export const tenants = [
  tenant('plain', 'plain'),
  tenant('acme', 'gateway', { issuer: idp }),
  tenant('globex', 'gateway', { issuer: idp }),
  tenant('other', 'other', { issuer: idp }),
  tenant('robots', 'robot', {
    issuer: `spiffe://${trustDomain}`,
    subjects: [`spiffe://${trustDomain}/ns/robots/**`],
  }),
]

/** Allows everything, and tells in the answer what it was shown. */
const telling = `package envoy.authz

http := input.attributes.request.http

default token := "none"

token := json.marshal(input.serving.token)

default authorization := "none"

authorization := http.headers.authorization

default forwarded := "none"

forwarded := http.headers["x-forwarded-client-cert"]

allow := {
	"allowed": true,
	"response_headers_to_add": {
		"x-tenant-bound": input.serving.tenant.name,
		"x-token": token,
		"x-authorization": authorization,
		"x-serving": crypto.sha256(json.marshal(input.serving)),
		"x-forwarded-seen": forwarded,
	},
}
`

export type Api = 'ext_proc' | 'ext_authz'
export const apis: readonly Api[] = ['ext_proc', 'ext_authz']
/** HTTP/1.1, HTTP/2, and HTTP/2 as a gRPC call. */
export type Client = 'http1' | 'http2' | 'grpc'
export type Fields = readonly (readonly [name: string, value: string])[]

export interface Sent {
  readonly api?: Api
  readonly client?: Client
  readonly as?: Workload
  readonly identity?: Identity
  readonly query?: string
  readonly headers?: Fields
}

/** What became of a request: what the client read, what stands in the record, and what arrived at the model server. */
export interface Outcome {
  /** Of HTTP, or of gRPC where the client speaks that. */
  readonly status: number | undefined
  readonly answer: RawAnswer | undefined
  readonly record: Readonly<Record<string, unknown>> | undefined
  /** `served`, or the reason in the record. */
  readonly result: string
  readonly arrived: Arrival['headers'] | undefined
}

export interface CallerWorld extends AsyncDisposable {
  readonly folder: string
  readonly agent: AgentProcess
  readonly envoy: Envoy
  readonly ca: string
  readonly identities: Readonly<Record<Workload, Identity>>
  readonly models: EmbeddedModelServer
  port(api: Api): number
  send(sent: Sent): Promise<Outcome>
  /** A new certificate of a workload. */
  issue(who: Workload): Identity
  /** A JWT-SVID by the key of the development CA. */
  svid(spiffeId: string, audience?: string): string
  auditLines(): readonly Readonly<Record<string, unknown>>[]
}

export const inferPath = '/v2/models/fraud/versions/1/infer'
/** Admission alone sees no message of a gRPC call, and so no model: it is asked about the server. */
export const grpcPath = (api: Api) =>
  `/inference.GRPCInferenceService/${api === 'ext_proc' ? 'ModelInfer' : 'ServerReady'}`
const body = Buffer.from(
  JSON.stringify({ inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }] }),
)

export const nowSeconds = () => Math.floor(Date.now() / 1000)

/** Whole claims of a token for `acme`; change one thing, `undefined` takes it away. */
export const claimsOf = (more: object = {}) => ({
  iss: idp,
  sub: 'user-1',
  aud: 'models',
  tenant: 'acme',
  iat: nowSeconds(),
  exp: nowSeconds() + 300,
  ...more,
})

export const tokenOf = (claims: object = {}, header: object = {}, by = signer) =>
  signToken(by, { alg: 'ES256', kid: 'idp-1', typ: 'JWT', ...header }, claimsOf(claims))

export const bearer = (token: string): Fields => [['authorization', `Bearer ${token}`]]

/** The hash under which a JWT stands in the record. */
export const hashOf = (token: string) => hash('sha256', token.slice(0, token.lastIndexOf('.')), 'base64url')

/**
 * An agent as a user would start it, behind an Envoy of its own configuration, in front of an embedded model server.
 *
 * @param change over the configuration that there is; a function is told the folder of the agent
 */
export async function startCallerWorld(
  change: (files: { readonly folder: string }) => {
    readonly issuer?: object
    readonly issuers?: readonly object[]
    readonly tokens?: object
    readonly identity?: object
  } = () => ({}),
): Promise<CallerWorld> {
  await using opening = new AsyncDisposableStack()
  const { path: folder } = opening.use(temporaryFolder())
  const [mainPort, admissionPort] = (await freePorts(2)) as [number, number]
  const { ca, jwt } = openDevAuthority(join(folder, 'ca'), { trustDomain, clock: systemClock })
  const issue = (who: Workload): Identity => ca.issue({ spiffeId: spiffeIdOf(who) })
  const identities = Object.fromEntries(
    Object.keys(workloads).map((name) => [name, issue(name as Workload)]),
  ) as CallerWorld['identities']
  mkdirSync(join(folder, 'resources'))
  writeFileSync(
    join(folder, 'resources', 'tenants.yaml'),
    tenants.map((each) => JSON.stringify(each)).join('\n---\n'),
  )
  writeFileSync(join(folder, 'idp.json'), setOf(signer))
  writeFileSync(join(folder, 'policy.tar.gz'), await buildBundle({ files: { 'telling.rego': telling } }))
  const models = opening.use(await startEmbeddedModelServer())
  const { issuer, issuers, tokens, identity } = change({ folder })
  const agent = opening.use(
    await startAgent({
      folder,
      config: {
        role: 'model',
        identity: {
          trustDomains: [trustDomain],
          source: {
            type: 'dev',
            dir: 'ca',
            spiffeId: `spiffe://${trustDomain}/ns/models/sa/triton`,
            dnsNames: ['localhost'],
          },
          ...identity,
        },
        issuers: issuers ?? [
          { issuer: idp, audience: 'models', jwks: { file: 'idp.json' }, tenantClaim: 'tenant', ...issuer },
          { issuer: `spiffe://${trustDomain}`, audience: 'models', profile: 'jwt-svid' },
        ],
        tokens: { required: false, realm: 'models', ...tokens },
        policy: { bundle: 'policy.tar.gz', decision: 'envoy/authz/allow' },
        audit: { dir: 'audit' },
        resources: { dir: 'resources' },
        envoy: {
          main: `127.0.0.1:${mainPort}`,
          admission: `127.0.0.1:${admissionPort}`,
          upstream: { http: `127.0.0.1:${models.httpPort}`, grpc: `127.0.0.1:${models.grpcPort}` },
        },
      },
    }),
  )
  const cli = ['agent/main.ts', 'envoy', 'config', '--json', '--config', agent.configPath]
  const root = join(import.meta.dirname, '..', '..')
  const envoy = opening.use(
    await startEnvoy(JSON.parse((await run(process.execPath, cli, { cwd: root })).toString())),
  )
  const port = (api: Api) => (api === 'ext_proc' ? mainPort : admissionPort)
  const auditLines = () =>
    readFileSync(join(folder, 'audit', 'decisions.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))

  let counter = 0
  const send = async (sent: Sent): Promise<Outcome> => {
    const { client = 'http1', api = 'ext_proc', as = 'gateway', query = '', headers = [] } = sent
    const authority = `request-${++counter}`
    const dial = tlsDial(port(api), ca.bundlePem, sent.identity ?? identities[as])
    const answer = await ask(dial, { client, api, authority, query, headers })
    const record = auditLines().find((line) => line['authority'] === authority && line['phase'] === 'request')
    const arrived = models.arrivals.find(
      ({ headers: each }) => each['x-sluice-decision-id'] === record?.['id'],
    )
    const grpcStatus = answer?.headers.get('grpc-status')
    const isServed = answer?.status === 200 && arrived !== undefined
    return {
      status: client === 'grpc' && grpcStatus !== undefined ? Number(grpcStatus) : answer?.status,
      answer,
      record,
      result: isServed ? 'served' : String(record?.['reason'] ?? 'no record'),
      arrived: arrived?.headers,
    }
  }

  const owned = opening.move()
  return {
    folder,
    agent,
    envoy,
    ca: ca.bundlePem,
    identities,
    models,
    port,
    send,
    issue,
    svid: (spiffeId, audience = 'models') =>
      jwt.issue({ spiffeId, audience: [audience], ttlSeconds: 300, nowMs: Date.now() }),
    auditLines,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function ask(
  dial: ReturnType<typeof tlsDial>,
  {
    client,
    api,
    authority,
    query,
    headers,
  }: Required<Pick<Sent, 'client' | 'api' | 'query' | 'headers'>> & { readonly authority: string },
): Promise<RawAnswer | undefined> {
  if (client === 'http1') {
    const own: Fields = [
      ['host', authority],
      ['connection', 'close'],
      ['content-type', 'application/json'],
      ['content-length', String(body.length)],
    ]
    const lines = [...own, ...headers].map(([name, value]) => `${name}: ${value}`)
    const head = [`POST ${inferPath}${query} HTTP/1.1`, ...lines, '', ''].join('\r\n')
    return http1(dial, Buffer.concat([Buffer.from(head, 'latin1'), body]))
  }
  const isGrpc = client === 'grpc'
  const fields: Fields = [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', `${isGrpc ? grpcPath(api) : inferPath}${query}`],
    [':authority', authority],
    ...(isGrpc
      ? ([
          ['te', 'trailers'],
          ['content-type', 'application/grpc'],
        ] as const)
      : ([['content-type', 'application/json']] as const)),
    ...headers,
  ]
  return http2(
    dial,
    fields,
    isGrpc ? framed(api === 'ext_proc' ? inferRequest({ modelVersion: '1' }) : Buffer.alloc(0)) : body,
  )
}

function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}
