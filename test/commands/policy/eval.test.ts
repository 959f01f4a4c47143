import t from 'tap'
import { asked, built, said } from './kit.ts'

const { attributes } = asked('ann')
const check = {
  attributes: { ...attributes, request: { ...attributes.request, time: '2026-01-01T00:00:00Z' } },
}
const work = await built({
  'ann.json': asked('ann'),
  'eve.json': asked('eve'),
  'check.json': check,
  'clock/clock.rego':
    'package clock\n\n# METADATA\n# entrypoint: true\nyear := time.date(time.now_ns())[0]\n\n# METADATA\n# entrypoint: true\nuser := input.serving.tenant.name\n',
  'echo/echo.rego': 'package echo\n\n# METADATA\n# entrypoint: true\nall := input\n',
})
t.teardown(() => work[Symbol.dispose]())

t.test('eval prints what the agent would get', async (t) => {
  const ran = await work.policy('eval', 'bundle.tar.gz', '-i', 'ann.json')
  t.equal(ran.status, 0, ran.stderr)
  t.same(JSON.parse(ran.stdout), { allowed: true, headers: { 'x-user': 'ann' } })
  const denied = await work.policy('eval', 'bundle.tar.gz', '-i', 'eve.json')
  t.same(JSON.parse(denied.stdout), { allowed: false, http_status: 403, body: 'no' })
})

t.test('--verdict prints what HTTP would see', async (t) => {
  const denied = await work.policy('eval', 'bundle.tar.gz', '-i', 'eve.json', '--verdict')
  t.match(JSON.parse(denied.stdout), { allowed: false, reason: 'policy_denied', status: 403, body: 'no' })
  const allowed = await work.policy('eval', 'bundle.tar.gz', '-i', 'ann.json', '--verdict')
  t.match(JSON.parse(allowed.stdout), { allowed: true, set_headers: { 'x-user': 'ann' } })
})

t.test('a captured CheckRequest becomes the input that the agent would build', async (t) => {
  t.equal((await work.policy('build', 'echo', '-o', 'echo.tar.gz')).status, 0)
  const ran = await work.policy('eval', 'echo.tar.gz', '-i', 'check.json')
  t.match(JSON.parse(ran.stdout), {
    attributes: { request: { time: { seconds: 1767225600 }, http: attributes.request.http } },
    parsed_path: ['v2', 'models', 'fraud', 'infer'],
    parsed_query: {},
    version: { ext_authz: 'v3' },
    serving: { protocol: 'v2-http', model: { name: 'fraud', verb: 'infer' } },
  })
  work.write({
    'worse.json': { attributes: { request: { http: { method: 'POST', path: '/x?a=%zz', size: 'many' } } } },
  })
  t.match(said(await work.policy('eval', 'echo.tar.gz', '-i', 'worse.json')), {
    status: 1,
    stdout: '',
    stderr: /^sluice: worse\.json: .*size.*; expected Envoy's CheckRequest in protojson/,
  })
  work.write({ 'bad.json': { attributes: { request: { http: { method: 'POST', path: '/x?a=%zz' } } } } })
  t.match(said(await work.policy('eval', 'echo.tar.gz', '-i', 'bad.json')), {
    status: 1,
    stderr: /a request that is refused before policy is asked: the query cannot be parsed/,
  })
})

t.test('the clock says what it is told, and of several decisions one must be named', async (t) => {
  t.equal((await work.policy('build', 'clock', '-o', 'clock.tar.gz')).status, 0)
  const year = ['eval', 'clock.tar.gz', '-e', 'clock/year']
  t.equal((await work.policy(...year, '--now', '2031-05-05T00:00:00Z')).stdout, '2031\n')
  t.match(said(await work.policy(...year, '--now', 'tomorrow')), {
    status: 1,
    stderr: /^sluice: --now: "tomorrow"; expected a moment like 2026-03-01T09:30:00Z/,
  })
  t.match(said(await work.policy('eval', 'clock.tar.gz')), {
    status: 1,
    stderr: /entrypoints clock\/user, clock\/year; expected -e PATH with one of them/,
  })
  const undefined_ = ['eval', 'clock.tar.gz', '-e', 'data.clock.user']
  t.match(said(await work.policy(...undefined_)), { status: 0, stdout: 'undefined\n' })
  t.equal((await work.policy(...undefined_, '--fail')).status, 1)
  t.match(JSON.parse((await work.policy(...undefined_, '--verdict')).stdout), { reason: 'policy_undefined' })
})

t.test('wrong inputs are told', async (t) => {
  work.write({ 'broken.json': '{"attributes":', 'bundle.json': '{}' })
  const rows: [args: string[], stderr: RegExp][] = [
    [
      ['bundle.tar.gz', '-i', 'broken.json'],
      /^sluice: broken\.json: .*JSON.*; expected the input of a policy/,
    ],
    [['bundle.tar.gz', '-i', 'nowhere.json'], /^sluice: nowhere\.json: ENOENT/],
    [['bundle.json', '-i', 'ann.json'], /^sluice: bundle\.json: .*; expected a gzip archive/],
    [['bundle.tar.gz', '-e', 'nowhere/allow'], /no entrypoint nowhere\/allow; expected -e with one of/],
  ]
  for (const [args, stderr] of rows)
    t.match(said(await work.policy('eval', ...args)), { status: 1, stdout: '', stderr }, args.join(' '))
})

t.test('bench measures', async (t) => {
  const ran = await work.policy('bench', 'bundle.tar.gz', '-i', 'ann.json', '-n', '300', '--json')
  const report = JSON.parse(ran.stdout)
  t.match(report, { decision: 'envoy/authz/allow', evaluations: 300 })
  t.ok(report.p50Us > 0 && report.p50Us <= report.p99Us && report.p99Us <= report.maxUs, ran.stdout)
  t.ok(report.memoryBytes >= 65_536)
  t.match((await work.policy('bench', 'bundle.tar.gz', '-n', '10')).stdout, /^p99 +[\d.]+ µs$/m)
  t.match(said(await work.policy('bench', 'bundle.tar.gz', '-n', '0')), { status: 1, stderr: /whole number/ })
})
