import { gzipSync } from 'node:zlib'
import t from 'tap'
import { goTool } from '../../harness/go-tools.ts'
import { http } from '../../harness/http.ts'
import { freePorts } from '../../harness/ports.ts'
import { startProcess } from '../../harness/process.ts'
import { eventually } from '../../harness/temp.ts'
import { asked, said, workspace } from './kit.ts'

/** A decision that depends on all that a record must bring back: the clock, a token's end, dice. */
const rego = `package envoy.authz

default allow := {"allowed": false}

# METADATA
# entrypoint: true
allow := {"allowed": true, "body": payload.sub, "dice": rand.intn("a", 1000000), "at": time.now_ns()} if {
	token := input.attributes.request.http.headers["x-user"]
	[true, _, payload] = io.jwt.decode_verify(token, {"secret": "secret"})
}
`
const mask = `package system.log

mask contains "/input/attributes/request/http/method"
`

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
/** HS256 over {"alg":"HS256"} and {"sub":"ann","exp":…}: valid for a few seconds around the logged moment only. */
async function token(expiresAt: number): Promise<string> {
  const { createHmac } = await import('node:crypto')
  const signed = `${encoded({ alg: 'HS256' })}.${encoded({ sub: 'ann', exp: expiresAt })}`
  return `${signed}.${createHmac('sha256', 'secret').update(signed).digest('base64url')}`
}

const work = workspace({ 'policy/authz.rego': rego, 'policy/mask.rego': mask })
await work.build('policy')

/** The events of a real OPA, as its console has them. */
async function logged(): Promise<string[]> {
  const [port] = (await freePorts(1)) as [number]
  await using opa = await startProcess({
    name: 'opa',
    program: await goTool('opa'),
    args: [
      ...['run', '--server', '--addr', `127.0.0.1:${port}`, '--bundle', 'policy'],
      ...['--set', 'decision_logs.console=true', '--set', 'nd_builtin_cache=true'],
    ],
    cwd: work.path,
    isReady: async () => (await http({ port, path: '/health' })).status === 200,
  })
  const input = asked(await token(Math.floor(Date.now() / 1000) + 3600))
  const path = '/v1/data/envoy/authz/allow'
  await http({ port, path, body: JSON.stringify({ input }), headers: { 'content-type': 'application/json' } })
  await http({ port, path, body: '{"input":{}}', headers: { 'content-type': 'application/json' } })
  const events = () =>
    opa
      .logs()
      .split('\n')
      .filter((line) => line.includes('"decision_id"'))
  await eventually('both decisions are logged', () => events().length === 2)
  return opa
    .logs()
    .split('\n')
    .filter((line) => line.startsWith('{'))
}

const lines = await logged()
const events = lines.map((line) => JSON.parse(line)).filter(({ decision_id }) => decision_id !== undefined)
work.write({
  'console.log': lines.join('\n'),
  'event.json': events[0],
  'upload.gz': gzipSync(JSON.stringify(events)),
})

t.teardown(() => work[Symbol.dispose]())

t.test("a real OPA's event is decided as it was, clock, token and dice included", async (t) => {
  const ran = await work.policy('replay', 'bundle.tar.gz', 'console.log', '--json')
  t.equal(ran.status, 0, ran.stderr)
  const [first, second] = JSON.parse(ran.stdout)
  t.equal(first.difference, undefined, ran.stdout)
  t.match(first.result, { allowed: true, body: 'ann' })
  t.same(first.result, events[0].result)
  t.same(first.doubts, [
    '/input/attributes/request/http/method was erased before it was logged: the policy may have seen another value',
  ])
  t.same(second.result, { allowed: false })
  t.same(second.doubts, [])
  const text = await work.policy('replay', 'bundle.tar.gz', 'event.json', 'upload.gz')
  t.match(text.stdout, /^logged +\{"allowed":true/m)
  t.match(text.stdout, /3 replayed, 0 changed, 2 unsure\n$/)
})

t.test('another bundle shows what it would have decided', async (t) => {
  work.write({
    'next/authz.rego': rego
      .replace('"body": payload.sub', '"body": upper(payload.sub)')
      .replace('1000000', '6'),
  })
  t.equal((await work.policy('build', 'next', '-o', 'next.tar.gz')).status, 0)
  const ran = await work.policy('replay', 'next.tar.gz', 'event.json', '--fail')
  t.match(said(ran), { status: 1, stdout: /^differs +at \/body: "ann" → "ANN"$/m })
  t.match(ran.stdout, /^unsure +rand\.intn was not recorded with these operands/m)
  t.match(ran.stdout, /1 replayed, 1 changed, 1 unsure/)

  const diff = await work.policy('diff', 'bundle.tar.gz', 'next.tar.gz', '--events', 'upload.gz', '--json')
  t.match(JSON.parse(diff.stdout), {
    asked: 2,
    changed: 1,
    groups: [
      { difference: { path: '/body', left: 'ann', right: 'ANN' }, count: 1, names: [events[0].decision_id] },
    ],
  })
})

t.test('--explain shows how opa comes to the same', async (t) => {
  const args = ['replay', 'bundle.tar.gz', 'event.json', '--explain', 'policy']
  const ran = await work.policy(...args)
  t.equal(ran.status, 0, ran.stderr)
  t.match(ran.stdout, /opa eval --explain=full:\nquery:1 +Enter data\.envoy\.authz\.allow/)
  t.match(ran.stdout, new RegExp(`"at": ${events[0].result.at}\\b`), 'with the recorded clock')
  t.match(said(await work.policyWithoutOpa(...args)), { status: 1, stderr: /opa: no such program; expected/ })
})

t.test('--decision-id picks one of many', async (t) => {
  const ran = await work.policy(
    'replay',
    'bundle.tar.gz',
    'upload.gz',
    '--decision-id',
    events[1].decision_id,
  )
  t.match(ran.stdout, /1 replayed, 0 changed, 0 unsure/)
})

t.test('a recorded request is decided without anything to compare with', async (t) => {
  work.write({ 'request.json': { attributes: asked('nobody').attributes } })
  const ran = await work.policy('replay', 'bundle.tar.gz', 'request.json')
  t.match(ran.stdout, /^logged +\(a request, not decided yet\)\nnow +\{"allowed":false\}$/m)
})

t.test('an event of another decision says which there are', async (t) => {
  work.write({ 'other.json': { ...events[0], path: 'other/allow' } })
  const ran = await work.policy('replay', 'bundle.tar.gz', 'other.json')
  t.match(
    ran.stdout,
    /^now +failed: bundle\.tar\.gz has no entrypoint other\/allow; it has envoy\/authz\/allow/m,
  )
  t.match(
    (await work.policy('replay', 'bundle.tar.gz', 'other.json', '-e', 'envoy/authz/allow')).stdout,
    /, 0 changed/,
  )
})

t.test('what is no event is told with its place', async (t) => {
  work.write({
    'text.log': `${lines.join('\n')}\nnot JSON\n`,
    'number.json': '[1]',
    'empty.json': '{}',
    'time.json': { ...events[0], timestamp: 'noon' },
    'broken.gz': Buffer.from([0x1f, 0x8b, 0, 0]),
  })
  const rows: [file: string, stderr: RegExp][] = [
    ['text.log', new RegExp(`^sluice: text\\.log:${lines.length + 1}: .*; expected a decision-log event`)],
    ['number.json', /^sluice: number\.json\[0\]: .*; expected a decision-log event/],
    ['empty.json', /^sluice: empty\.json: .*decision_id; expected a decision-log event/],
    ['time.json', /timestamp: "noon"; expected a moment/],
    ['broken.gz', /^sluice: broken\.gz: .*; expected a decision-log event/],
    ['nowhere.json', /^sluice: nowhere\.json: ENOENT/],
  ]
  for (const [file, stderr] of rows)
    t.match(said(await work.policy('replay', 'bundle.tar.gz', file)), { status: 1, stdout: '', stderr }, file)
})
