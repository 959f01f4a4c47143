import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startWorld } from '../../demo/world.ts'
import type { Arrival, EmbeddedModelServer } from '../harness/model-server.ts'
import { buildBundle } from '../harness/opa.ts'
import { http1, http2, type RawAnswer, tlsDial } from '../harness/raw-http.ts'
import { eventually } from '../harness/temp.ts'
import { type HeaderForm, headerForms, hostForms, methodForms, pseudoForms } from './forms.ts'
import type { Outcome } from './spellings.ts'

/** Allows everything, and tells in the answer what it was shown. */
const telling = `package envoy.authz

http := input.attributes.request.http

allow := {
	"allowed": true,
	"response_headers_to_add": {
		"x-seen": concat(" ", object.keys(http.headers)),
		"x-host": http.host,
		"x-tenant-bound": input.serving.tenant.name,
	},
}
`

const body = JSON.stringify({ inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }] })
// With its version, which admission alone demands.
const path = '/v2/models/fraud/versions/1/infer'

const world = await startWorld({ modelServer: 'embedded', say: () => {}, hasIssuer: false })
t.teardown(() => world[Symbol.asyncDispose]())
const upstream = world.modelServer as EmbeddedModelServer
/** The listeners of the two APIs. */
const dials = {
  ext_proc: tlsDial(world.mainPort, world.ca, world.identities.acme),
  ext_authz: tlsDial(world.admissionPort, world.ca, world.identities.acme),
} as const
type Api = keyof typeof dials
type Headers = readonly (readonly [name: string, value: string])[]

const plain: Headers = [
  ['content-type', 'application/json'],
  ['content-length', String(body.length)],
]

writeFileSync(join(world.folder, 'policy.tar.gz'), await buildBundle({ files: { 'telling.rego': telling } }))
await eventually('the telling policy', async () => {
  const answer = await send([['host', 'warm-up']])
  return answer?.headers.has('x-seen')
})

interface Way {
  readonly api?: Api
  readonly method?: string
}

function send(
  headers: Headers,
  { api = 'ext_proc', method = 'POST' }: Way = {},
): Promise<RawAnswer | undefined> {
  const lines = [['connection', 'close'], ...plain, ...headers].map(([name, value]) => `${name}: ${value}`)
  return http1(
    dials[api],
    Buffer.from([`${method} ${path} HTTP/1.1`, ...lines, '', body].join('\r\n'), 'latin1'),
  )
}

function send2(
  headers: Headers,
  changes: Readonly<Record<string, string | undefined>> = {},
  api: Api = 'ext_proc',
): Promise<RawAnswer | undefined> {
  const pseudo = { ':method': 'POST', ':scheme': 'https', ':path': path, ':authority': 'models', ...changes }
  const fields = Object.entries<string | undefined>(pseudo).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
  const own = headers.filter(([name]) => name.startsWith(':'))
  const rest = headers.filter(([name]) => !name.startsWith(':'))
  return http2(dials[api], [...fields, ...own, ...plain, ...rest], Buffer.from(body))
}

/** Decisions that a test has looked at. */
const looked = new Set<unknown>()

/** What a request to an authority left behind, of which no other is on its way. */
async function look(t: Test, what: string, authority: string, sent: Promise<RawAnswer | undefined>) {
  const answer = await sent
  const record = world
    .auditLines()
    .find((line) => line['authority'] === authority && line['phase'] === 'request' && !looked.has(line['id']))
  if (record !== undefined) looked.add(record['id'])
  const arrival = upstream.arrivals.find(({ headers }) => headers['x-sluice-decision-id'] === record?.['id'])
  t.equal(arrival !== undefined, answer?.status === 200, `${what}: ${answer?.status} and what arrived`)
  if (arrival !== undefined) unforged(t, what, arrival, record, answer)
  return { answer, record, outcome: outcomeOf(answer, record) }
}

function outcomeOf(
  answer: RawAnswer | undefined,
  record: Readonly<Record<string, unknown>> | undefined,
): Outcome | string {
  if (answer?.status === 200 && record?.['verdict'] === 'allow') return 'served'
  if (answer === undefined) return record === undefined ? 'closed' : `closed, but ${record['verdict']}`
  if (record === undefined) return answer.status >= 400 && answer.status < 500 ? 'envoy' : `${answer.status}`
  return record['verdict'] === 'deny' && answer.status === 400 ? String(record['reason']) : `${answer.status}`
}

/** Whatever was sent: what arrives in our name is ours, policy is shown nothing of it, and no spelling of it arrives. */
function unforged(
  t: Test,
  what: string,
  { headers }: Arrival,
  record: Readonly<Record<string, unknown>> | undefined,
  answer: RawAnswer | undefined,
): void {
  const folded = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '')
  const isClaim = (name: string) => /^x?(sluice|tenant|org|scopeorgid|forwardedclientcert)/.test(folded(name))
  const claims = Object.entries(headers).filter(([name]) => isClaim(name))
  t.same(
    Object.fromEntries(claims),
    { 'x-sluice-tenant': 'acme', 'x-sluice-decision-id': record?.['id'] },
    `${what}: what arrives in our name`,
  )
  t.same((answer?.headers.get('x-seen') ?? '').split(' ').filter(isClaim), [], `${what}: what policy sees`)
  t.equal(answer?.headers.get('x-tenant-bound'), 'acme', what)
  t.notOk(
    Object.keys(headers).some((name) => name.includes('_')),
    what,
  )
}

t.test('each form of a header is judged alike by both protocols, and none speaks for Sluice', async (t) => {
  t.ok(headerForms.length >= 60)
  for (const api of ['ext_proc', 'ext_authz'] as const) {
    await inGroups(headerForms, async (form, index) => {
      const what = `${api} ${JSON.stringify(form.headers)}`
      const one = `header-${index}-${api}`.replace('_', '-')
      const sent1 = send([['host', one], ...form.headers], { api })
      const { outcome: outcome1 } = await look(t, `HTTP/1.1 ${what}`, one, sent1)
      t.equal(outcome1, api === 'ext_proc' ? form.http1 : admission(form, 'http1'), `HTTP/1.1 ${what}`)
      const two = `${one}-two`
      const sent2 = send2(form.headers, { ':authority': two }, api)
      const { outcome: outcome2 } = await look(t, `HTTP/2 ${what}`, two, sent2)
      t.equal(outcome2, api === 'ext_proc' ? form.http2 : admission(form, 'http2'), `HTTP/2 ${what}`)
    })
  }
})

/** Where only admission is asked, Envoy's answer to what its parser of HTTP/1.1 refuses gets as far as the client. */
function admission(form: HeaderForm, protocol: 'http1' | 'http2'): Outcome {
  const outcome = form.admission ?? form[protocol]
  return protocol === 'http1' && outcome === 'closed' ? 'envoy' : outcome
}

t.test('each form of a host is judged, and policy is shown one form of it', async (t) => {
  await inGroups(hostForms, async ({ authority, shown, http1: expected1, http2: expected2 }) => {
    const what = JSON.stringify(authority)
    const one = await look(t, `HTTP/1.1 ${what}`, shown, send([['host', authority]]))
    t.equal(one.outcome, expected1, `HTTP/1.1 ${what}`)
    const two = await look(t, `HTTP/2 ${what}`, shown, send2([], { ':authority': authority }))
    t.equal(two.outcome, expected2, `HTTP/2 ${what}`)
    for (const { answer, outcome } of [one, two])
      if (outcome === 'served') t.equal(answer?.headers.get('x-host'), shown.toLowerCase(), what)
  })
})

t.test('a host that is said twice is refused', async (t) => {
  const rows: [hosts: readonly string[], authority: string, outcome: Outcome][] = [
    [[], 'nobody', 'envoy'],
    [['a', 'b'], 'a,b', 'host_not_canonical'],
    [['a', 'a'], 'a,a', 'host_not_canonical'],
    // Envoy leaves an empty one out.
    [['first', ''], 'first', 'served'],
  ]
  for (const [hosts, authority, expected] of rows) {
    const sent = send(hosts.map((host) => ['host', host]))
    t.equal((await look(t, hosts.join(' and '), authority, sent)).outcome, expected, hosts.join(' and '))
  }
})

t.test('each method is judged, and pseudo headers that contradict each other', async (t) => {
  await inGroups(methodForms, async ({ method, http1: expected1, http2: expected2 }, index) => {
    const [one, two] = [`method-${index}`, `method-${index}-two`]
    const { outcome: outcome1 } = await look(t, `HTTP/1.1 ${method}`, one, send([['host', one]], { method }))
    t.equal(outcome1, expected1, `HTTP/1.1 ${method}`)
    const sent = send2([], { ':method': method, ':authority': two })
    const { outcome: outcome2 } = await look(t, `HTTP/2 ${method}`, two, sent)
    t.equal(outcome2, expected2, `HTTP/2 ${method}`)
  })
  for (const { fields, extra, http2: expected } of pseudoForms) {
    const what = JSON.stringify([fields, extra])
    const { outcome } = await look(t, what, 'models', send2(extra, fields))
    t.equal(outcome, expected, what)
  }
})

t.test('nothing arrived that was not looked at', async (t) => {
  const unseen = upstream.arrivals.filter(({ headers }) => !looked.has(headers['x-sluice-decision-id']))
  t.same(
    unseen.map(({ headers }) => headers['host']).filter((host) => host !== 'warm-up'),
    [],
  )
})

/** Several at once: Envoy keeps a connection that it refuses for a second. */
async function inGroups<T>(
  list: readonly T[],
  each: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const entries = [...list.entries()]
  while (entries.length > 0)
    await Promise.all(entries.splice(0, 12).map(([index, item]) => each(item, index)))
}
