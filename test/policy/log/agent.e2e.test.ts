import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { startAgent } from '../../harness/agent.ts'
import { startLogServer } from '../../harness/log-server.ts'
import { buildBundle } from '../../harness/opa.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { authz, check, entrypoints, mask, requests } from './golden/plugin-events.ts'

t.test('an agent logs its decisions and reports its state to servers and console', async (t) => {
  using folder = temporaryFolder()
  await using server = await startLogServer()
  const bundle = await buildBundle({
    files: { 'authz.rego': authz, 'log.rego': mask },
    moreEntrypoints: entrypoints,
    revision: 'r1',
  })
  writeFileSync(join(folder.path, 'policy.tar.gz'), bundle)
  await using agent = await startAgent({
    folder: folder.path,
    config: {
      policy: {
        bundle: 'policy.tar.gz',
        opa: {
          services: { logs: { url: server.url } },
          labels: { zone: 'AE' },
          decision_logs: {
            service: 'logs',
            console: true,
            nd_builtin_cache: true,
            reporting: { min_delay_seconds: 0, max_delay_seconds: 0 },
          },
          status: { service: 'logs', prometheus: true },
        },
      },
    },
  })
  const address = `unix:${join(folder.path, 'agent.sock')}`
  for (const request of Object.values(requests)) await check(address, request)
  const names = Object.keys(requests)
  await eventually('every event', () => server.events().length >= names.length)
  const events = Object.fromEntries(server.events().map((event, index) => [names[index], event]))
  t.match(events['object'], {
    labels: { zone: 'AE' },
    bundles: { policy: { revision: 'r1' } },
    path: 'envoy/authz/allow',
    erased: ['/input/attributes/request/http/headers/x-secret'],
    masked: ['/result/headers/x-user'],
    result: { allowed: true, headers: { 'x-user': '***' } },
  })
  t.match(events['undefined'], { error: { message: 'undefined decision' } })
  t.match(events['traced'], {
    trace_id: '0af7651916cd43dd8448eb211c80319c',
    span_id: 'b7ad6b7169203331',
    nd_builtin_cache: {},
  })
  t.match(events['nondeterministic'], { nd_builtin_cache: { 'rand.intn': { '["x",1]': 0 } } })
  const printed = await eventually('the console', () => {
    const lines = agent
      .logs()
      .split('\n')
      .filter((line) => line.includes('"Decision Log"'))
    return lines.length >= names.length && lines.map((line) => JSON.parse(line) as JsonObject)
  })
  t.same(
    printed.map((line) => line['decision_id']),
    server.events().map((event) => event['decision_id']),
  )
  const reports = () => server.taken.filter(({ path }) => path === '/status').map(({ body }) => body)
  await eventually('a report of the first upload', () =>
    JSON.stringify(reports().at(-1)).includes('decision_logs_chunks_uploaded_total'),
  )
  t.match(reports().at(-1), {
    bundles: { policy: { active_revision: 'r1', type: 'snapshot' } },
    plugins: { bundle: { state: 'OK' }, decision_logs: { state: 'OK' }, status: { state: 'OK' } },
    decision_logs: {},
  })
  t.match((await agent.probe('/metrics')).body, /^decision_logs_chunks_uploaded_total [1-9]/m)

  // A bundle that is none is reported, and the last good one stays.
  writeFileSync(join(folder.path, 'policy.tar.gz'), 'junk')
  await eventually('a report of the broken bundle', () =>
    JSON.stringify(reports().at(-1)).includes('bundle_error'),
  )
  t.match(reports().at(-1), { bundles: { policy: { code: 'bundle_error', active_revision: 'r1' } } })
})

t.test('what waits when the agent ends is sent before it is gone', async (t) => {
  using folder = temporaryFolder()
  await using server = await startLogServer()
  writeFileSync(join(folder.path, 'policy.tar.gz'), await buildBundle({ files: { 'authz.rego': authz } }))
  await using agent = await startAgent({
    folder: folder.path,
    config: {
      policy: {
        bundle: 'policy.tar.gz',
        opa: { services: { logs: { url: server.url } }, decision_logs: {} },
      },
    },
  })
  for (const request of Object.values(requests))
    await check(`unix:${join(folder.path, 'agent.sock')}`, request)
  t.same(server.events(), [], 'nothing is due for minutes')
  agent.kill('SIGTERM')
  await eventually('every event', () => server.events().length === Object.keys(requests).length)
})
