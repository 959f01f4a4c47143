import { join } from 'node:path'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Client, credentials } from '@grpc/grpc-js'
import { CheckRequestSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import { startLogServer } from '../../../harness/log-server.ts'
import { buildBundle } from '../../../harness/opa.ts'
import { startOpaEnvoyPlugin } from '../../../harness/opa-envoy-plugin.ts'
import { eventually, temporaryFolder } from '../../../harness/temp.ts'

export type CheckRequest = MessageInitShape<typeof CheckRequestSchema>
export type Event = Record<string, unknown>

export const authz = `package envoy.authz

import input.attributes.request.http as request

allow := true if request.path == "/plain"

allow := false if request.path == "/denied"

allow := {"allowed": true, "headers": {"x-user": "bob"}} if request.path == "/object"

allow := {"allowed": time.now_ns() > 0, "n": rand.intn("x", 1)} if request.path == "/nondeterministic"

allow := "nonsense" if request.path == "/nonsense"

allow := 1 if request.path == "/conflict"

allow := 2 if request.path == "/conflict"
`

export const mask = `package system.log

mask contains "/input/attributes/request/http/headers/x-secret"

mask contains {"op": "upsert", "path": "/result/headers/x-user", "value": "***"}

drop if input.input.attributes.request.http.path == "/dropped"
`

export const entrypoints = ['system/log/mask', 'system/log/drop']

/** What is asked, one after the other. */
export const requests: Readonly<Record<string, CheckRequest>> = {
  plain: ask('/plain'),
  denied: ask('/denied'),
  object: ask('/object', { 'x-secret': 's', 'x-other': 'o' }),
  nondeterministic: ask('/nondeterministic'),
  nonsense: ask('/nonsense'),
  conflict: ask('/conflict'),
  undefined: ask('/undefined'),
  malformed: ask('/%zz'),
  traced: ask('/plain', { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }),
}

function ask(path: string, headers: Record<string, string> = {}): CheckRequest {
  const http = { id: '1', method: 'GET', path, host: 'models', protocol: 'HTTP/1.1', headers }
  return { attributes: { request: { http } } }
}

/** Asks ext_authz at an address; what is answered does not matter here. */
export async function check(address: string, request: CheckRequest): Promise<void> {
  const client = new Client(address, credentials.createInsecure())
  const bytes = Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, request)))
  const whole = (value: Buffer) => value
  await new Promise<void>((resolve) => {
    client.makeUnaryRequest('/envoy.service.auth.v3.Authorization/Check', whole, whole, bytes, () =>
      resolve(),
    )
  })
  client.close()
}

/** The plugin's events by the name of their request; `server` is what it sent, `console` what it printed. */
export async function pluginEvents(): Promise<{
  server: Record<string, Event>
  console: Record<string, Event>
}> {
  using folder = temporaryFolder()
  const bundle = await buildBundle({
    files: { 'authz.rego': authz, 'log.rego': mask },
    moreEntrypoints: entrypoints,
    revision: 'r1',
    target: 'rego',
  })
  await using server = await startLogServer({ files: { 'bundle.tar.gz': bundle } })
  await using plugin = await startOpaEnvoyPlugin(
    join(folder.path, 'opa'),
    {},
    {
      config: {
        services: { logs: { url: server.url } },
        labels: { zone: 'AE' },
        bundles: { authz: { service: 'logs', resource: 'bundle.tar.gz' } },
        nd_builtin_cache: true,
        decision_logs: {
          service: 'logs',
          console: true,
          nd_builtin_cache: true,
          reporting: { min_delay_seconds: 1, max_delay_seconds: 1 },
        },
      },
    },
  )
  for (const request of Object.values(requests)) await check(`127.0.0.1:${plugin.port}`, request)
  const names = Object.keys(requests)
  const sent = await eventually('every event', () => {
    const events = server.events()
    return events.length >= names.length && events
  })
  const printed = plugin
    .logs()
    .split('\n')
    .filter((line) => line.includes('"Decision Log"'))
    .map((line) => JSON.parse(line) as Event)
  const byName = (events: readonly Event[]) =>
    Object.fromEntries(names.map((name, index) => [name, steady(events[index] as Event)]))
  return { server: byName(sent), console: byName(printed) }
}

/** The event without what is another one each time: ids, times and durations. */
export function steady(event: Event): Event {
  const shown = structuredClone(event)
  if ('decision_id' in shown) shown['decision_id'] = '(id)'
  if ('timestamp' in shown) shown['timestamp'] = '(time)'
  if ('time' in shown) shown['time'] = '(time)'
  const labels = shown['labels'] as Event | undefined
  if (labels) shown['labels'] = { ...labels, id: '(id)', version: '(version)' }
  if (shown['metrics']) shown['metrics'] = Object.keys(shown['metrics'] as Event).sort()
  const cache = shown['nd_builtin_cache'] as Record<string, Event> | undefined
  if (cache?.['time.now_ns']) cache['time.now_ns'] = { '[]': '(time)' }
  return shown
}
