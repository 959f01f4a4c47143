import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createChallenger } from '#decision/challenger.ts'
import type { ClientKind } from '#decision/exchange.ts'
import { createPipeline } from '#decision/pipeline.ts'
import type { Refusal } from '#decision/verdict.ts'
import { denialOf } from '#envoy/denial.ts'
import { openPolicy } from '#policy/policy.ts'
import type { Switches } from '#policy/switches.ts'
import { noResources } from '#resources/resources.ts'
import { buildBundle } from '../harness/opa.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { validExchange } from './exchange.ts'

const rules = `package envoy.authz

default allow := {"allowed": false}

allow := {"allowed": true} if input.parsed_path[0] == "v2"

allow := {
  "allowed": false,
  "dynamic_metadata": {"why": "old"},
  "challenge": {"acr_values": ["phr"], "max_age": 300, "scope": "infer"},
} if input.parsed_path[0] == "payments"

allow := {"allowed": false, "challenge": {"scope": "admin infer"}} if input.parsed_path[0] == "admin"

allow := {"allowed": false, "challenge": {"acr_values": "phr"}} if input.parsed_path[0] == "wrong"
`

const kinds: readonly ClientKind[] = ['http', 'json', 'grpc', 'grpc-web']

for (const engine of ['wasm', 'compiled'] as const) {
  const opened = async (switches: Partial<Switches>, path: string) => {
    const target = engine === 'compiled' ? 'plan' : 'wasm'
    writeFileSync(path, await buildBundle({ files: { 'p.rego': rules }, revision: 'r1', target }))
    return openPolicy({
      source: { file: path },
      decision: 'envoy/authz/allow',
      engine,
      switches,
      onLoad: ({ problem }) => problem !== undefined && t.fail(problem),
    })
  }
  const asking = (stage: Awaited<ReturnType<typeof opened>>['stage']) => {
    const pipeline = createPipeline({
      stages: [stage],
      resources: () => noResources,
      deadlineMs: 10_000,
      challenger: createChallenger({ realm: 'models', resourceMetadata: 'https://models.example/meta' }),
    })
    return (path: string) => pipeline.request(pipeline.open(validExchange({ path }).request))
  }

  t.test(
    `${engine}: a policy asks for a stronger sign-in or for scopes, and the client is told how`,
    async (t) => {
      using folder = temporaryFolder()
      await using policy = await opened({}, join(folder.path, 'bundle.tar.gz'))
      const ask = asking(policy.stage)
      const rows: [path: string, http: number, grpc: number, reason: string, header: string][] = [
        [
          '/payments',
          401,
          16,
          'step_up_required',
          'Bearer realm="models", error="insufficient_user_authentication", ' +
            'error_description="A stronger or more recent authentication is required.", scope="infer", ' +
            'acr_values="phr", max_age="300", resource_metadata="https://models.example/meta"',
        ],
        [
          '/admin',
          403,
          7,
          'scope_insufficient',
          'Bearer realm="models", error="insufficient_scope", ' +
            'error_description="The access token lacks a scope that is required.", scope="admin infer", ' +
            'resource_metadata="https://models.example/meta"',
        ],
      ]
      for (const [path, http, grpc, reason, header] of rows) {
        const decision = await ask(path)
        t.match(decision, { kind: 'deny', reason })
        for (const kind of kinds) {
          const denial = denialOf(decision as Refusal, { client: kind, decisionId: 'd1' })
          const headers = Object.fromEntries(denial.headers)
          t.equal(headers['www-authenticate'], header, `${path} to ${kind}`)
          t.equal(denial.httpStatus, kind === 'grpc-web' ? 200 : http, kind)
          if (kind === 'grpc') t.equal(denial.grpcStatus, grpc)
          if (kind === 'grpc-web') t.equal(headers['grpc-status'], String(grpc))
        }
      }
      t.match(await ask('/payments'), { own: { dynamicMetadata: { why: 'old', decision_id: String } } })
    },
  )

  t.test(
    `${engine}: what asks for nothing of this is decided as ever, and a mistake in it refuses`,
    async (t) => {
      using folder = temporaryFolder()
      await using policy = await opened({}, join(folder.path, 'bundle.tar.gz'))
      const ask = asking(policy.stage)
      t.match(await ask('/v2'), { kind: 'allow' })
      const denied = await ask('/other')
      t.match(denied, { kind: 'deny', reason: 'policy_denied' })
      t.notOk('challenge' in denied)
      t.match(await ask('/wrong'), { kind: 'error', reason: 'policy_result_invalid' })
    },
  )

  t.test(`${engine}: in a dry run it lets the request go on`, async (t) => {
    using folder = temporaryFolder()
    await using policy = await opened({ dryRun: true }, join(folder.path, 'bundle.tar.gz'))
    const ask = asking(policy.stage)
    for (const path of ['/payments', '/admin', '/other']) t.match(await ask(path), { kind: 'allow' }, path)
    t.match(await ask('/wrong'), { kind: 'error' })
  })
}
