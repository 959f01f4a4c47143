import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { auditEnvoyConfig, expectationsOf, parseDump, readConfigDump } from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { type Envoy, startEnvoy } from '../../harness/envoy.ts'
import { freePorts } from '../../harness/ports.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { agentConfig, changed, type Part, parts } from './good.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const ca = createDevCa({ trustDomain: 'example.org' })
ca.write(join(folder.path, 'tls'), ca.issue({ spiffeId: 'spiffe://example.org/envoy' }))
writeFileSync(join(folder.path, 'ca.pem'), ca.bundlePem)

const [mainPort, admissionPort] = (await freePorts(2)) as [number, number]
const config = agentConfig(folder.path, {
  main: `127.0.0.1:${mainPort}`,
  admission: `127.0.0.1:${admissionPort}`,
})
const good = envoyConfig(config)

async function findingsOf(envoy: Envoy) {
  const dump = parseDump(envoy.adminAddress, await readConfigDump(envoy.adminAddress))
  return auditEnvoyConfig(dump, expectationsOf(config))
}
const idsOf = async (envoy: Envoy) => (await findingsOf(envoy)).map(({ id }) => id).sort()

type Seed = readonly [rule: string, part: Part, way: string, value: JsonValue]
const off = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'
const lua = 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua'
const seeds: readonly Seed[] = [
  ['ext_proc_failure_mode_allow', 'extProc', 'typed_config.failure_mode_allow', true],
  ['ext_proc_mode_override', 'extProc', 'typed_config.allowed_override_modes', []],
  ['ext_authz_shadow_mode', 'extAuthz', 'typed_config.shadow_mode', true],
  ['ext_authz_raw_headers', 'extAuthz', 'typed_config.encode_raw_headers', false],
  [
    'ext_authz_route_disabled',
    'admissionRoute',
    'typed_per_filter_config',
    { 'envoy.filters.http.ext_authz': { '@type': off, disabled: true } },
  ],
  ['path_rewritten', 'admissionRoute', 'route.prefix_rewrite', '/v2'],
  ['xfcc_forwarded', 'manager', 'forward_client_cert_details', 'APPEND_FORWARD'],
  ['slashes_not_merged', 'manager', 'merge_slashes', false],
  ['connection_duration', 'manager', 'common_http_protocol_options.max_connection_duration', '7200s'],
  ['upgrades', 'manager', 'upgrade_configs', [{ upgrade_type: 'websocket' }]],
  ['tls_client_certificate_optional', 'tls', 'require_client_certificate', false],
  ['tls_stateless_resumption', 'tls', 'disable_stateless_session_resumption', false],
  [
    'tls_expired_certificates',
    'tls',
    'common_tls_context.validation_context.allow_expired_certificate',
    true,
  ],
  ['tls_old_version', 'tls', 'common_tls_context.tls_params.tls_minimum_protocol_version', 'TLSv1_0'],
  [
    'runtime_features',
    'bootstrap',
    'layered_runtime',
    {
      layers: [
        { name: 'a', static_layer: { 'envoy.reloadable_features.no_extension_lookup_by_name': false } },
      ],
    },
  ],
]
const seeded = (config: JsonObject) =>
  seeds.reduce(
    (before, [, part, way, value]) =>
      changed(before, [parts[part], way].filter((each) => each !== '').join('.'), value),
    config,
  )

t.test('the dump of a real Envoy on the generated bootstrap has no finding', async (t) => {
  await using envoy = await startEnvoy(good)
  t.same(await findingsOf(envoy), [])
})

t.test('the dump of a real Envoy that was weakened has exactly what was done to it', async (t) => {
  const withLua = changed(seeded(good), `${parts.manager}.http_filters`, (old) => {
    const filters = old as readonly JsonObject[]
    const inline = { inline_string: 'function envoy_on_request(handle) end' }
    const added = { name: 'lua', typed_config: { '@type': lua, default_source_code: inline } }
    return [...filters.slice(0, -1), added, ...filters.slice(-1)]
  })
  await using envoy = await startEnvoy(withLua)
  t.same(await idsOf(envoy), [...seeds.map(([rule]) => rule), 'filter_changes_behind'].sort())
})

/** Envoy on listeners, clusters and routes that it reads from files, as a control plane would deliver them. */
async function startDynamic(): Promise<
  AsyncDisposable & { readonly envoy: Envoy; deliver(config: JsonObject): void }
> {
  const path = join(folder.path, `xds-${Math.random()}`)
  mkdirSync(path)
  const file = (name: string) => ({
    resource_api_version: 'V3',
    path_config_source: { path: join(path, `${name}.json`) },
  })
  const write = (name: string, type: string, resources: readonly JsonObject[]) => {
    const text = JSON.stringify({
      resources: resources.map((each) => ({ '@type': `type.googleapis.com/envoy.config.${type}`, ...each })),
    })
    // Moved into place: that is what Envoy watches for.
    writeFileSync(join(path, 'new'), text)
    renameSync(join(path, 'new'), join(path, `${name}.json`))
  }
  const deliver = (config: JsonObject) => {
    const { listeners, clusters } = config['static_resources'] as Record<string, JsonObject[]>
    const routes: JsonObject[] = []
    const delivered = (listeners ?? []).map((_, index) => {
      const manager = `static_resources.listeners.${index}.filter_chains.0.filters.0.typed_config`
      const apart = changed(config, manager, (old) => {
        const { route_config: inline, ...rest } = old as Record<string, JsonObject>
        routes.push(inline as JsonObject)
        const name = (inline as JsonObject)['name'] as string
        return { ...rest, rds: { route_config_name: name, config_source: file(`routes-${name}`) } }
      })
      return (apart['static_resources'] as { listeners: JsonObject[] }).listeners[index] as JsonObject
    })
    for (const each of routes)
      write(`routes-${each['name'] as string}`, 'route.v3.RouteConfiguration', [each])
    write('clusters', 'cluster.v3.Cluster', clusters ?? [])
    write('listeners', 'listener.v3.Listener', delivered)
  }
  deliver(good)
  const envoy = await startEnvoy({
    node: { id: 'a', cluster: 'a' },
    dynamic_resources: { lds_config: file('listeners'), cds_config: file('clusters') },
  })
  return { envoy, deliver, [Symbol.asyncDispose]: () => envoy[Symbol.asyncDispose]() }
}

t.test(
  'listeners, routes and clusters that are delivered are judged as static ones, while they change',
  async (t) => {
    await using dynamic = await startDynamic()
    const { envoy, deliver } = dynamic
    const isDelivered = async () => (await envoy.stats()).get('listener_manager.total_listeners_active') === 2
    await eventually('both listeners are active', isDelivered)
    t.same(await findingsOf(envoy), [])

    deliver(seeded(good))
    // The bootstrap is not delivered, so what was done to it is not there. Old listeners count until they have gone.
    const wanted = seeds.flatMap(([rule, part]) => (part === 'bootstrap' ? [] : [rule])).sort()
    await eventually(
      'the weakened one is in force',
      async () => (await idsOf(envoy)).join() === wanted.join(),
    )
    const [finding] = (await findingsOf(envoy)).filter(({ id }) => id === 'path_rewritten')
    t.match(
      finding?.place,
      /^configs\[\d\]\.dynamic_route_configs\[\d admission\]\.route_config\.virtual_hosts\[0 model_server\]\.routes\[1 http\]\.route$/,
    )

    deliver(good)
    await eventually('the good one is in force again', async () => (await findingsOf(envoy)).length === 0)
  },
)

t.test('an Envoy that refused what was delivered is judged by what is in force', async (t) => {
  await using dynamic = await startDynamic()
  const { envoy, deliver } = dynamic
  await eventually(
    'a listener is active',
    async () => (await envoy.stats()).get('listener_manager.total_listeners_active') === 2,
  )
  const broken = changed(
    changed(good, `${parts.manager}.forward_client_cert_details`, 'APPEND_FORWARD'),
    `${parts.tls}.common_tls_context.tls_certificates.0.certificate_chain.filename`,
    '/nowhere/tls.pem',
  )
  deliver(broken)
  const isRefused = async () => (await envoy.admin('/config_dump')).includes('"failed_configuration"')
  await eventually('it is refused', isRefused)
  t.same(await findingsOf(envoy), [])
})
