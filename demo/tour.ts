import { join } from 'node:path'
import type { reasons } from '#decision/reasons.ts'
import { grpcInfer, inferRequest } from '../test/harness/grpc.ts'
import { type HttpAnswer, http, keepAliveAgent } from '../test/harness/http.ts'
import { run } from '../test/harness/run.ts'
import { eventually } from '../test/harness/temp.ts'
import type { Outcome } from './print.ts'
import { acmeTokens, initechRequests } from './scene.ts'
import type { World } from './world.ts'

export interface Step {
  readonly title: string
  play(world: World): Promise<readonly Outcome[]>
}

type Who = keyof World['identities']

const features = JSON.stringify({
  inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }],
})
const storyPath = '/v2/models/story/generate_stream'
const main = join(import.meta.dirname, '..', 'agent', 'main.ts')
const anyVersion = '/v2/models/fraud/infer'
const statusNames: Readonly<Record<number, string>> = {
  0: 'OK',
  7: 'PERMISSION_DENIED',
  8: 'RESOURCE_EXHAUSTED',
  14: 'UNAVAILABLE',
}

/** What must come back: an HTTP status, with the reason that the record gives where it is a refusal. */
interface Expected {
  readonly status: number
  readonly reason?: keyof typeof reasons
}

async function infer(
  world: World,
  who: Who,
  expected: Expected,
  more: { readonly path?: string; readonly because?: string; readonly token?: string | undefined } = {},
): Promise<Outcome> {
  const { path = anyVersion, because, token } = more
  const answer = await http({
    port: world.mainPort,
    path,
    body: features,
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    tls: { ca: world.ca, identity: world.identities[who] },
  })
  const { reason, wrong } = judge(world, answer.headers['x-sluice-decision-id'], answer.status, expected)
  return {
    who,
    what: `POST ${path}`,
    answer: String(answer.status),
    isAllowed: answer.status === 200,
    because: because ?? (answer.status === 200 ? served(answer) : `${reason}: ${titleOf(answer)}`),
    tookMs: answer.tookMs,
    wrong,
  }
}

async function inferGrpc(world: World, who: Who, expected: Expected): Promise<Outcome> {
  const tls = { ca: world.ca, identity: world.identities[who] }
  const answer = await grpcInfer({ port: world.mainPort, message: inferRequest(), tls })
  const [id] = answer.metadata.get('x-sluice-decision-id')
  const { reason, wrong } = judge(world, id?.toString(), answer.code, expected)
  return {
    who,
    what: 'gRPC ModelInfer fraud',
    answer: statusNames[answer.code] ?? `code ${answer.code}`,
    isAllowed: answer.code === 0,
    because:
      answer.code === 0
        ? `answered by version ${answer.response?.modelVersion}`
        : `${reason}: ${answer.details}`,
    tookMs: answer.tookMs,
    wrong,
  }
}

/** A stream of the model `story`, of so many tokens. */
async function tell(
  world: World,
  tokens: number,
  expected: Expected & { readonly charged?: number; readonly isEnded?: boolean },
): Promise<Outcome> {
  const settled = () => world.auditLines().filter((each) => each['phase'] === 'usage')
  const before = settled().length
  const answer = await http({
    port: world.mainPort,
    path: storyPath,
    body: JSON.stringify({ text_input: 'tell me', max_tokens: tokens }),
    headers: { 'content-type': 'application/json' },
    tls: { ca: world.ca, identity: world.identities.acme },
  })
  const id = answer.headers['x-sluice-decision-id']
  const { reason, wrong } = judge(world, id, answer.status, expected)
  const what = `POST ${storyPath} (${tokens} tokens)`
  const outcome = { who: 'acme', what, answer: String(answer.status), tookMs: answer.tookMs }
  if (answer.status !== 200) {
    const retry = answer.headers['retry-after']
    return { ...outcome, isAllowed: false, because: `${reason}: come back in ${retry} s`, wrong }
  }
  const received = answer.body.split('"text_output"').length - 1
  const line = await eventually('the call is settled', () => settled()[before])
  const charged = (line['charged'] as Record<string, number>)['acme-story/tokens']
  const isEnded = /"error"/.test(answer.body)
  if (charged !== received) wrong.push(`charged ${charged} for ${received} tokens`)
  if (charged !== expected.charged) wrong.push(`expected ${expected.charged} tokens, came ${charged}`)
  if (isEnded !== expected.isEnded) wrong.push(isEnded ? 'the stream was ended' : 'the stream was not ended')
  const how = isEnded ? `ended after ${received} tokens` : `${received} tokens`
  return { ...outcome, isAllowed: true, because: `${how}, charged ${charged} (${line['source']})`, wrong }
}

/** Compares an answer, and the record under its decision id, with what should have come. */
function judge(world: World, id: string | string[] | undefined, status: number, expected: Expected) {
  const line = world.auditLines().find((each) => each['id'] === id)
  const reason = String(line?.['reason'] ?? 'no record')
  const wrong: string[] = []
  if (status !== expected.status) wrong.push(`expected ${expected.status}, came ${status}`)
  if (expected.reason !== undefined && reason !== expected.reason)
    wrong.push(`expected ${expected.reason}, the record says ${reason}`)
  return { reason, wrong }
}

function served(answer: HttpAnswer): string {
  return `answered by version ${JSON.parse(answer.body).model_version}`
}

function titleOf(answer: HttpAnswer): string {
  try {
    return JSON.parse(answer.body).title
  } catch {
    return answer.body.trim() || 'an empty body'
  }
}

/** A connection that must not come about. */
async function noHandshake(
  world: World,
  who: string,
  identity: World['identities'][Who] | undefined,
  because: string,
): Promise<Outcome> {
  const failure = await http({
    port: world.mainPort,
    path: anyVersion,
    body: features,
    tls: { ca: world.ca, ...(identity && { identity }) },
  }).then(
    (answer) => `an answer: ${answer.status}`,
    (error: Error) => error.message,
  )
  const isRefused = /alert|ECONNRESET|hang up|handshake|certificate/i.test(failure)
  return {
    who,
    what: `POST ${anyVersion}`,
    answer: 'TLS handshake',
    isAllowed: false,
    because,
    wrong: isRefused ? [] : [`expected a refused handshake, came ${failure}`],
  }
}

/** Which version each of a thousand sessions gets. */
async function thousandSessions(world: World): Promise<string[]> {
  const agent = keepAliveAgent(16)
  const versions: string[] = []
  let next = 0
  const worker = async () => {
    while (next < 1000) {
      const session = next++
      const answer = await http({
        port: world.mainPort,
        path: anyVersion,
        body: features,
        headers: { 'content-type': 'application/json', 'x-session-id': `session-${session}` },
        tls: { ca: world.ca, identity: world.identities.acme, agent },
      })
      versions[session] =
        answer.status === 200 ? JSON.parse(answer.body).model_version : `status ${answer.status}`
    }
  }
  try {
    await Promise.all(Array.from({ length: 16 }, worker))
  } finally {
    agent.destroy()
  }
  return versions
}

const countOf = (versions: readonly string[], version: string) =>
  versions.filter((each) => each === version).length

async function metric(world: World, line: string): Promise<number> {
  const { body } = await world.agent.probe('/metrics')
  const found = body.split('\n').find((each) => each.startsWith(`${line} `))
  return Number(found?.slice(line.length + 1) ?? 0)
}

/** Waits until the agent has read what the step changed on disk. */
async function afterReload(
  world: World,
  what: 'policy' | 'resources',
  result: 'loaded' | 'refused',
  change: () => void,
) {
  const line = `sluice_reloads_total{what="${what}",result="${result}"}`
  const before = await metric(world, line)
  change()
  await eventually(`${what} ${result}`, async () => (await metric(world, line)) > before)
}

const splitBefore: string[] = []

export const tour: readonly Step[] = [
  {
    title: 'An allowed call',
    play: async (world) => [
      await infer(world, 'acme', { status: 200 }),
      await infer(world, 'acme', { status: 200 }, { path: '/v2/models/fraud/versions/2/infer' }),
      await inferGrpc(world, 'acme', { status: 0 }),
    ],
  },
  {
    title: 'No client certificate',
    play: async (world) => [
      await noHandshake(
        world,
        'nobody',
        undefined,
        'Envoy demands a certificate: nothing is decided, nothing passes',
      ),
    ],
  },
  {
    title: 'A certificate of another trust domain',
    play: async (world) => [
      await noHandshake(
        world,
        'elsewhere.example',
        world.identities.stranger,
        'no bundle for that trust domain',
      ),
    ],
  },
  {
    title: 'A gateway that calls for tenants: the certificate and the token must both be theirs',
    play: async (world) => {
      const call = (who: Who, expected: Expected, token?: string) => infer(world, who, expected, { token })
      const hooli = world.tokenFor('hooli')
      const piper = world.tokenFor('pied-piper')
      const forged = [...hooli.split('.').slice(0, 2), piper.split('.')[2]].join('.')
      return [
        await call('gateway', { status: 200 }, hooli),
        await call('gateway', { status: 401, reason: 'token_missing' }),
        await call('gateway', { status: 401, reason: 'token_signature_invalid' }, forged),
        await call(
          'gateway',
          { status: 403, reason: 'tenant_binding_mismatch' },
          world.tokenFor('pied-piper'),
        ),
        await call('acme', { status: 403, reason: 'tenant_binding_mismatch' }, hooli),
      ]
    },
  },
  {
    title: 'An identity that may not use this model',
    play: async (world) => [
      await infer(world, 'globex', { status: 403, reason: 'policy_denied' }),
      await inferGrpc(world, 'globex', { status: 7, reason: 'policy_denied' }),
    ],
  },
  {
    title: 'A version that the policy forbids to this tenant',
    play: async (world) => [
      await infer(
        world,
        'initech',
        { status: 403, reason: 'policy_denied' },
        { path: '/v2/models/fraud/versions/2/infer' },
      ),
    ],
  },
  {
    title: 'Another spelling of the path gains nothing',
    play: async (world) => [
      await infer(
        world,
        'globex',
        { status: 403, reason: 'policy_denied' },
        { path: '/v2/models/ocr/../fraud/infer' },
      ),
      await infer(
        world,
        'acme',
        { status: 400, reason: 'path_not_canonical' },
        { path: '/v2/models/fraud;v=2/infer' },
      ),
    ],
  },
  {
    title: 'A new policy bundle on disk takes effect without a restart',
    play: async (world) => {
      await afterReload(world, 'policy', 'loaded', () =>
        world.setPolicy({ mayGlobexUseFraud: true, revision: 'demo-2' }),
      )
      return [await infer(world, 'globex', { status: 200 })]
    },
  },
  {
    title: 'A broken bundle is refused and the last good one stays',
    play: async (world) => {
      await afterReload(world, 'policy', 'refused', () => world.breakPolicy())
      const still = await infer(world, 'globex', { status: 200 })
      const outcome = { ...still, because: `${still.because}; the log says: ${lastProblem(world)}` }
      await afterReload(world, 'policy', 'loaded', () =>
        world.setPolicy({ mayGlobexUseFraud: true, revision: 'demo-3' }),
      )
      return [outcome]
    },
  },
  {
    title: `A tenant over its rate (${initechRequests} a minute)`,
    play: async (world) => {
      const outcomes: Outcome[] = []
      for (let i = 0; i < initechRequests; i++) outcomes.push(await infer(world, 'initech', { status: 200 }))
      const wrong = outcomes.flatMap((outcome) => outcome.wrong)
      const first = { ...(outcomes[0] as Outcome), because: `${initechRequests} times, all allowed`, wrong }
      return [
        first,
        await infer(world, 'initech', { status: 429, reason: 'rate_limited' }),
        await inferGrpc(world, 'initech', { status: 8, reason: 'rate_limited' }),
      ]
    },
  },
  {
    title: `Tokens are counted as a stream passes (acme has ${acmeTokens} a day in Asia/Dubai)`,
    play: async (world) => [await tell(world, 40, { status: 200, charged: 40, isEnded: false })],
  },
  {
    title: 'A quota that runs out ends the stream, and the next call is told when to come back',
    play: async (world) => [
      await tell(world, 100, { status: 200, charged: acmeTokens - 40, isEnded: true }),
      await tell(world, 1, { status: 429, reason: 'quota_exceeded' }),
    ],
  },
  {
    title: 'An operator gives some tokens back (sluice quota grant)',
    play: async (world) => {
      const args = [
        'quota',
        'grant',
        '-c',
        world.agentConfig,
        '-t',
        'acme',
        '-l',
        'acme-story/tokens',
        '-u',
        '5',
      ]
      const said = (await run(process.execPath, [main, ...args, '--json'])).toString()
      const { remaining } = JSON.parse(said) as { readonly remaining: number }
      return [
        {
          who: 'operator',
          what: 'sluice quota grant -t acme -l acme-story/tokens -u 5',
          answer: '',
          isAllowed: true,
          because: `${remaining} of ${acmeTokens} tokens are left`,
          wrong: remaining === 5 ? [] : [`expected 5 left, came ${remaining}`],
        },
        await tell(world, 5, { status: 200, charged: 5, isEnded: false }),
      ]
    },
  },
  {
    title: 'A tenant whose data may not be processed in this zone',
    play: async (world) => [
      await infer(world, 'umbrella', { status: 403, reason: 'residency_denied' }),
      await inferGrpc(world, 'umbrella', { status: 7, reason: 'residency_denied' }),
    ],
  },
  {
    title: '1,000 sessions, 10% to version 2',
    play: async (world) => {
      const began = performance.now()
      splitBefore.splice(0, splitBefore.length, ...(await thousandSessions(world)))
      return [shares(splitBefore, 10, performance.now() - began, [])]
    },
  },
  {
    title: 'The same 1,000 sessions, 50% to version 2: nobody is moved back',
    play: async (world) => {
      await afterReload(world, 'resources', 'loaded', () => world.setCandidateShare(50))
      const began = performance.now()
      const after = await thousandSessions(world)
      const back = splitBefore.filter((version, session) => version === '2' && after[session] !== '2').length
      return [
        shares(
          after,
          50,
          performance.now() - began,
          back === 0 ? [] : [`${back} sessions were moved back to version 1`],
        ),
      ]
    },
  },
  {
    title: 'The audit line of a refusal',
    play: async (world) => {
      const line = world.auditLines().findLast((each) => each['reason'] === 'residency_denied')
      const missing = ['seq', 'time', 'id', 'peer', 'tenant', 'model', 'zones', 'detail'].filter(
        (key) => line?.[key] === undefined,
      )
      return [
        {
          who: 'umbrella',
          what: 'audit/decisions.jsonl',
          answer: '',
          isAllowed: false,
          because: JSON.stringify(line),
          wrong: missing.length === 0 ? [] : [`the record lacks ${missing.join(', ')}`],
        },
      ]
    },
  },
  {
    title: 'The agent killed: Envoy refuses everything, and recovers when it is back',
    play: async (world) => {
      world.agent.kill('SIGKILL')
      const dead = await infer(
        world,
        'acme',
        { status: 503 },
        { because: 'nobody to decide: Envoy fails closed' },
      )
      const deadGrpc = await inferGrpc(world, 'acme', { status: 14 })
      await world.agent.restart()
      await eventually(
        'Envoy reaches the agent again',
        async () => (await infer(world, 'acme', { status: 200 })).isAllowed,
      )
      return [
        dead,
        { ...deadGrpc, because: 'the same over gRPC' },
        await infer(world, 'acme', { status: 200 }),
      ]
    },
  },
]

function shares(
  versions: readonly string[],
  percent: number,
  tookMs: number,
  wrong: readonly string[],
): Outcome {
  const [one, two] = [countOf(versions, '1'), countOf(versions, '2')]
  const expected = percent * 10
  // Five standard deviations; with these names of sessions the counts are always the same ones.
  const tolerance = 5 * Math.sqrt(1000 * (percent / 100) * (1 - percent / 100))
  const off = Math.abs(two - expected) > tolerance ? [`expected about ${expected} on version 2`] : []
  const lost = one + two === 1000 ? [] : [`${1000 - one - two} sessions got no answer`]
  return {
    who: 'acme',
    what: `1,000 × POST ${anyVersion}`,
    answer: '200',
    isAllowed: true,
    because: `version 1: ${one}, version 2: ${two}`,
    tookMs,
    wrong: [...wrong, ...off, ...lost],
  }
}

function lastProblem(world: World): string {
  const lines = world.agent.logs().trim().split('\n')
  const line = lines.findLast((each) => each.includes('policy refused'))
  return line === undefined ? 'nothing' : JSON.parse(line).problem
}
