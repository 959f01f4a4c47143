import t, { type Test } from 'tap'
import { startWorld } from '../../demo/world.ts'
import { hasTriton } from '../harness/components.ts'
import { type Dial, http1, http2, plainDial, type RawAnswer, tlsDial } from '../harness/raw-http.ts'
import { type Outcome, spellings } from './spellings.ts'

const body = JSON.stringify({ inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }] })

const world = await startWorld({ modelServer: 'triton', say: () => {} })
t.teardown(() => world[Symbol.asyncDispose]())
const triton = plainDial(world.modelServer.httpPort)
const envoy = tlsDial(world.mainPort, world.ca, world.identities.acme)

function post(dial: Dial, target: string, host: string, content = body): Promise<RawAnswer | undefined> {
  const lines = [
    `POST ${target.replace('HOST', host)} HTTP/1.1`,
    `host: ${host}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(content, 'latin1')}`,
    '',
    content,
  ]
  return http1(dial, Buffer.from(lines.join('\r\n'), 'latin1'))
}

function post2(target: string, host: string): Promise<RawAnswer | undefined> {
  const fields = [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':authority', host],
    [':path', target.replace('HOST', host)],
    ['content-type', 'application/json'],
  ] as const
  return http2(envoy, fields, Buffer.from(body))
}

/** The version of `fraud` that an answer comes from. */
function servedBy(answer: RawAnswer | undefined): string | undefined {
  if (answer?.status !== 200) return undefined
  const { model_name: model, model_version: version } = JSON.parse(answer.body)
  return model === 'fraud' ? version : `${model} ${version}`
}

/** What was written down of the request to a host; each request of this test has a host of its own. */
function recordOf(host: string): Record<string, unknown> | undefined {
  const own = world.auditLines().filter((line) => line['authority'] === host && line['phase'] === 'request')
  if (own.length > 1) throw new Error(`${own.length} records for ${host}`)
  return own[0]
}

/** What became of a request, after the law has been looked at. */
function outcome(t: Test, what: string, host: string, answer: RawAnswer | undefined): Outcome | string {
  const record = recordOf(host)
  if (answer?.status === 200) {
    t.equal(record?.['verdict'], 'allow', `${what}: nothing is served that was not decided`)
    t.equal(servedBy(answer), record?.['version'], `${what}: what was decided on is what Triton served`)
    t.match(record, { model: 'fraud', verb: 'infer' }, what)
    return 'served'
  }
  t.not(record?.['verdict'], 'allow', `${what}: what was decided on is served`)
  if (answer === undefined) {
    t.equal(record, undefined, `${what}: not decided`)
    return 'closed'
  }
  t.ok(answer.status >= 400 && answer.status < 500, `${what}: refused with ${answer.status}`)
  return record === undefined ? 'envoy' : String(record['reason'])
}

t.equal(hasTriton() ? world.modelServer.name : 'Triton 2.51', 'Triton 2.51')

t.test('whatever the spelling, Triton serves what was decided on, or nothing', async (t) => {
  t.ok(spellings.length >= 60, `${spellings.length} spellings`)
  // Several at once: Envoy keeps a connection that it refuses for a second.
  await inGroups(spellings, 12, async ({ target, http1: expected1, http2: expected2 }, index) => {
    const what = JSON.stringify(target)
    const [one, two] = [`one-${index}`, `two-${index}`]
    const [answer1, answer2] = await Promise.all([post(envoy, target, one), post2(target, two)])
    t.equal(outcome(t, `HTTP/1.1 ${what}`, one, answer1), expected1, `HTTP/1.1 ${what}`)
    t.equal(outcome(t, `HTTP/2 ${what}`, two, answer2), expected2, `HTTP/2 ${what}`)
  })
})

t.test('what Triton makes of each spelling by itself is why they are refused', async (t) => {
  for (const { target, triton: expected } of spellings) {
    const answer = await post(triton, target, 'direct')
    const found = answer === undefined ? 'closed' : (servedBy(answer) ?? answer.status)
    t.equal(found, expected, JSON.stringify(target))
  }
})

t.test(
  'of a member that stands twice Triton takes the first, and it passes over a byte order mark',
  async (t) => {
    const input = (data: string) => `{"name":"features","datatype":"FP32","shape":[3],"data":[${data}]}`
    const rows: [name: string, content: string, score: number][] = [
      ['inputs twice', `{"inputs":[${input('2,2,2')}],"inputs":[${input('20,20,20')}]}`, 2],
      ['data twice', `{"inputs":[${input('2,2,2],"data":[20,20,20')}]}`, 2],
      ['another case', `{"Inputs":[${input('20,20,20')}],"inputs":[${input('2,2,2')}]}`, 2],
      ['an escaped name', `{"inp\\u0075ts":[${input('2,2,2')}]}`, 2],
      ['a byte order mark', `\xef\xbb\xbf{"inputs":[${input('2,2,2')}]}`, 2],
    ]
    for (const [name, content, score] of rows) {
      const answer = await post(triton, '/v2/models/fraud/versions/1/infer', 'direct', content)
      t.equal(JSON.parse(answer?.body ?? '{}').outputs?.[0].data[0], score, name)
    }
  },
)

async function inGroups<T>(
  list: readonly T[],
  size: number,
  each: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const entries = [...list.entries()]
  while (entries.length > 0)
    await Promise.all(entries.splice(0, size).map(([index, item]) => each(item, index)))
}
