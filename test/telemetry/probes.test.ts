import { request } from 'node:http'
import t from 'tap'
import { deny } from '#decision/verdict.ts'
import { startProbes } from '#telemetry/probes.ts'
import { createMetrics } from '#telemetry/telemetry.ts'
import { anExchange } from '../decision/an-exchange.ts'

function get(port: number, path: string, method = 'GET'): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, method, agent: false }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
      .on('error', reject)
      .end()
  })
}

t.test('readiness is every check, and verbose names what is missing', async (t) => {
  let problem: string | undefined = 'policy.tar.gz: no such file'
  let warning: string | undefined
  let remark: string | undefined
  const checks = [
    { name: 'resources', problem: () => undefined },
    { name: 'policy', problem: () => problem, warning: () => warning, remark: () => remark },
  ]
  await using probes = await startProbes({ address: '127.0.0.1:0', metrics: createMetrics(), checks })
  t.equal((await get(probes.port, '/livez')).status, 200)
  t.same(await get(probes.port, '/readyz'), {
    status: 503,
    body: '[+]resources ok\n[-]policy: policy.tar.gz: no such file\n',
  })
  problem = undefined
  t.same(await get(probes.port, '/readyz'), { status: 200, body: 'ok\n' })
  t.same(await get(probes.port, '/readyz?verbose'), { status: 200, body: '[+]resources ok\n[+]policy ok\n' })
  warning = 'the server answered 500'
  t.same(await get(probes.port, '/readyz'), { status: 200, body: 'ok\n' })
  t.same(
    await get(probes.port, '/readyz?verbose'),
    { status: 200, body: '[+]resources ok\n[+]policy ok, the last good one: the server answered 500\n' },
    'a server that is gone makes nobody unready, and is told of',
  )
  warning = undefined
  remark = '1 finding'
  t.same(await get(probes.port, '/readyz?verbose'), {
    status: 200,
    body: '[+]resources ok\n[+]policy ok, but 1 finding\n',
  })
  probes.drain()
  t.match(await get(probes.port, '/readyz'), { status: 503, body: /\[-\]drain: shutting down/ })
  t.equal((await get(probes.port, '/livez')).status, 200, 'a draining agent is alive')
  t.equal((await get(probes.port, '/other')).status, 404)
  t.equal((await get(probes.port, '/readyz', 'POST')).status, 405)
})

t.test("/health answers as OPA's does", async (t) => {
  let problem: string | undefined = 'waiting for authz'
  const checks = [{ name: 'policy', problem: () => problem }]
  await using probes = await startProbes({ address: '127.0.0.1:0', metrics: createMetrics(), checks })
  const ready = { status: 200, body: '{}\n' }
  const unready = { status: 500, body: '{"error":"waiting for authz"}\n' }
  t.same(await get(probes.port, '/health'), ready, 'alive')
  t.same(await get(probes.port, '/health?bundles=false'), ready)
  for (const query of ['bundles', 'plugins', 'bundles=true&plugins', 'x&bundle'])
    t.same(await get(probes.port, `/health?${query}`), unready, query)
  problem = undefined
  t.same(await get(probes.port, '/health?bundles&plugins'), ready)
})

t.test('decisions and reloads are counted', async (t) => {
  const metrics = createMetrics()
  metrics.observe(anExchange(), deny('rate_limited'), 120)
  metrics.reloaded('policy', false)
  const text = await metrics.render()
  t.match(text, /sluice_decisions_total\{api="ext_proc",verdict="deny",reason="rate_limited"\} 1/)
  t.match(text, /sluice_decision_duration_seconds_bucket\{le="0\.00025",api="ext_proc"\} 1/)
  t.match(text, /sluice_reloads_total\{what="policy",result="refused"\} 1/)
  t.match(text, /sluice_last_reload_successful\{what="policy"\} 0/)
})

t.test('an address that is taken is told, with its place', async (t) => {
  await using probes = await startProbes({ address: '127.0.0.1:0', metrics: createMetrics(), checks: [] })
  const again = startProbes({ address: `127.0.0.1:${probes.port}`, metrics: createMetrics(), checks: [] })
  await t.rejects(again, {
    code: 'listen_failed',
    message: /listen\.probes .*EADDRINUSE.*expected an address/,
  })
})
