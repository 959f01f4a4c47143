import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { auditEnvoyConfig, expectationsOf } from '#envoy/audit/audit.ts'
import fc from '../../fast-check.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { agentConfig, changed, dumpOf, goodBootstrap, parts } from './good.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const good = goodBootstrap(folder.path)
const expected = expectationsOf(agentConfig(folder.path))
const prefix = 'type.googleapis.com/envoy.'

const ids = (document: unknown, more: object = {}) =>
  auditEnvoyConfig(document, { ...expected, ...more }).map(({ id }) => id)
const placesOf = (document: unknown, id: string) =>
  auditEnvoyConfig(document, expected)
    .filter((finding) => finding.id === id)
    .map(({ place }) => place)

/** The dump with what a function makes of one of its parts; `undefined` removes it. */
function withPart(
  name: string,
  make: (part: JsonObject) => JsonObject | undefined,
  bootstrap = good,
): JsonObject {
  const configs = dumpOf(bootstrap).configs.flatMap((part) => {
    if (part['@type'] !== `${prefix}admin.v3.${name}`) return [part]
    const made = make(part)
    return made === undefined ? [] : [made]
  })
  return { configs }
}
const at = (value: unknown, way: string): JsonObject => {
  let found = value
  for (const key of way.split('.')) found = (found as Record<string, unknown>)[key]
  return found as JsonObject
}
const typed = (type: string, object: JsonObject): JsonObject => ({ '@type': `${prefix}${type}`, ...object })
const asListener = (object: JsonObject) => typed('config.listener.v3.Listener', object)

t.test('what is no configuration of Envoy is a finding, never silence', async (t) => {
  const part = dumpOf(good).configs[0] as JsonObject
  for (const [name, document] of [
    ['nothing', undefined],
    ['null', null],
    ['text', 'x'],
    ['a list', []],
    ['an empty object', {}],
    ['another document', { kind: 'Pod' }],
    ['a dump that is no list', { configs: {} }],
    ['an empty dump', { configs: [] }],
    ['one part', { configs: [part] }],
    ['parts that are no objects', { configs: [null, 1, 'x', ...dumpOf(good).configs] }],
    [
      'a part of which nothing is known',
      { configs: [...dumpOf(good).configs, typed('admin.v3.NewDump', {})] },
    ],
    [
      'parts of another version',
      { configs: [...dumpOf(good).configs, typed('admin.v2.ListenersConfigDump', {})] },
    ],
    ['another spelling', { staticResources: good['static_resources'] as JsonObject }],
  ] as const)
    t.ok(ids(document).includes('unreadable_configuration'), name)
  for (const name of ['BootstrapConfigDump', 'ListenersConfigDump', 'ClustersConfigDump', 'RoutesConfigDump'])
    t.same(
      placesOf(
        withPart(name, () => undefined),
        'unreadable_configuration',
      ),
      [`configs: no ${name}`],
      `a dump without its ${name}`,
    )
})

t.test('any JSON is judged without an exception, and none passes that is not known', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), (document) => {
      t.ok(auditEnvoyConfig(document, expected).length > 0)
    }),
    { numRuns: 200 },
  )
  const someKeys = [
    'static_resources',
    'listeners',
    'filter_chains',
    'filters',
    'typed_config',
    'http_filters',
    'name',
  ]
  const values = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 6 },
      fc.constantFrom(null, 1, true, 'x', `${prefix}config.listener.v3.Listener`),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...someKeys, '@type', '__proto__', 'constructor'), tie('any')),
    ),
  }))
  fc.assert(
    fc.property(values.any, values.any, (any, more) => {
      auditEnvoyConfig({ static_resources: any }, expected)
      auditEnvoyConfig({
        configs: [any, typed('admin.v3.ListenersConfigDump', { static_listeners: more as never })],
      })
    }),
    { numRuns: 500 },
  )
})

t.test('elements of a dump that cannot be read are findings', async (t) => {
  const withListeners = (more: JsonObject) =>
    withPart('ListenersConfigDump', (part) => ({ ...part, ...more }))
  const listener = asListener(at(good, parts.listener))
  for (const [name, more] of [
    ['no list', { dynamic_listeners: {} }],
    ['no object', { dynamic_listeners: [1] }],
    ['nothing in force, and no word why', { dynamic_listeners: [{ name: 'a' }] }],
    [
      'another type',
      { static_listeners: [{ listener: { ...listener, '@type': `${prefix}x.v3.Listener` } }] },
    ],
    ['no type', { dynamic_listeners: [{ active_state: { listener: { name: 'a' } } }] }],
    [
      'the second of two',
      { dynamic_listeners: [{ active_state: { listener }, warming_state: { listener: {} } }] },
    ],
  ] as const)
    t.same(ids(withListeners(more)).filter((id) => id === 'unreadable_configuration').length, 1, name)
  const refused = { name: 'a', error_state: { failed_configuration: { ...listener, api_listener: {} } } }
  t.same(ids(withListeners({ dynamic_listeners: [refused] })), [], 'what was refused is not in force')
})

t.test('what nests too deeply is a finding', async (t) => {
  let deep: JsonObject = {}
  for (let depth = 0; depth < 500; depth++) deep = { deep }
  t.same(ids(changed(good, `${parts.listener}.metadata`, deep)), ['unreadable_configuration'])
})

t.test('a listener counts in every state in which it serves', async (t) => {
  const bad = asListener(at(changed(good, `${parts.manager}.merge_slashes`, false), parts.listener))
  for (const state of ['active_state', 'warming_state', 'draining_state']) {
    const dump = withPart('ListenersConfigDump', (part) => ({
      ...part,
      dynamic_listeners: [{ name: 'main', [state]: { version_info: '1', listener: bad } }],
    }))
    t.same(placesOf(dump, 'slashes_not_merged'), [
      `configs[2].dynamic_listeners[0 main].${state}.listener.filter_chains[0].filters[0 envoy.filters.network.http_connection_manager].typed_config`,
    ])
  }
})

/** The main listener with its routes delivered on their own. */
function withRds(makeRoutes: (routes: JsonObject) => readonly JsonObject[]): JsonObject {
  const routes = at(good, `${parts.manager}.route_config`)
  const rds = { route_config_name: 'main', config_source: { ads: {} } }
  const bootstrap = changed(
    changed(good, `${parts.manager}.route_config`, undefined),
    `${parts.manager}.rds`,
    rds,
  )
  return withPart(
    'RoutesConfigDump',
    (part) => ({
      ...part,
      dynamic_route_configs: makeRoutes(routes).map((each) => ({
        version_info: '1',
        route_config: typed('config.route.v3.RouteConfiguration', each),
      })),
    }),
    bootstrap,
  )
}

t.test('routes that are delivered are judged as those that are written inline', async (t) => {
  t.same(ids(withRds((routes) => [routes])), [])
  const bad = (routes: JsonObject) => changed(routes, 'virtual_hosts.0.routes.1.route.prefix_rewrite', '/x')
  t.same(
    placesOf(
      withRds((routes) => [bad(routes)]),
      'path_rewritten',
    ),
    [
      'configs[4].dynamic_route_configs[0 main].route_config.virtual_hosts[0 model_server].routes[1 http].route',
    ],
  )
})

t.test('a filter that is delivered on its own counts as it is', async (t) => {
  const { typed_config: config, name } = at(good, parts.extProc) as Record<string, JsonObject>
  const bootstrap = changed(good, parts.extProc, {
    name: name as never,
    config_discovery: { type_urls: ['x'] },
  })
  const delivered = (typed_config: JsonObject): JsonObject => ({
    configs: [
      ...dumpOf(bootstrap).configs,
      typed('admin.v3.EcdsConfigDump', {
        ecds_filters: [
          {
            ecds_filter: typed('config.core.v3.TypedExtensionConfig', { name: name as never, typed_config }),
          },
        ],
      }),
    ],
  })
  t.same(ids(delivered(config as JsonObject)), [])
  t.same(ids(delivered({ ...config, failure_mode_allow: true })), ['ext_proc_failure_mode_allow'])
  t.same(ids(dumpOf(bootstrap)).sort(), ['ext_proc_route_disabled', 'filter_unknown'], 'not delivered')
})

t.test('trust that comes over SDS is judged where it was delivered', async (t) => {
  const context = at(good, `${parts.tls}.common_tls_context.validation_context`)
  const common = `${parts.tls}.common_tls_context`
  const bootstrap = changed(changed(good, `${common}.validation_context`, undefined), common, (old) => ({
    ...(old as JsonObject),
    validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: { ads: {} } },
  }))
  const delivered = (validation_context: JsonObject, base = bootstrap) =>
    withPart(
      'SecretsConfigDump',
      (part) => ({
        ...part,
        dynamic_active_secrets: [
          {
            name: 'ROOTCA',
            secret: typed('extensions.transport_sockets.tls.v3.Secret', {
              name: 'ROOTCA',
              validation_context,
            }),
          },
        ],
      }),
      base,
    )
  t.same(ids(bootstrap), [], 'a file cannot say what will be delivered')
  t.same(ids(dumpOf(bootstrap)), ['tls_validation_unseen'], 'a running Envoy has to have it')
  t.same(ids(delivered(context)), [])
  t.same(ids(delivered({ trusted_ca: { filename: 'ca.pem' } })), ['tls_no_identity'])
  t.same(ids(delivered({})), ['tls_no_validation'], 'Envoy takes that for leave to let everybody in')
  t.same(ids(delivered({ ...context, allow_expired_certificate: true })), ['tls_expired_certificates'])

  const combined = changed(changed(good, `${common}.validation_context`, undefined), common, (old) => ({
    ...(old as JsonObject),
    combined_validation_context: {
      default_validation_context: { match_typed_subject_alt_names: [{ san_type: 'URI' }] },
      validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: { ads: {} } },
    },
  }))
  t.same(
    ids(delivered({ trusted_ca: { filename: 'ca.pem' } }, combined)),
    [],
    'the two are laid over each other',
  )
  t.same(ids(dumpOf(combined)), ['tls_validation_unseen'])
})

/** The good configuration with a plain listener for everybody, whose requests go where `route` says. */
function withOpenListener(route: JsonObject, clusters: readonly JsonObject[] = []): JsonObject {
  const manager = typed('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'open',
    route_config: { name: 'open', virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
    http_filters: [{ name: 'router', typed_config: typed('extensions.filters.http.router.v3.Router', {}) }],
  })
  const listener = {
    name: 'open',
    address: { socket_address: { address: '0.0.0.0', port_value: 9090 } },
    filter_chains: [{ filters: [{ name: 'hcm', typed_config: manager }] }],
  }
  const more = (field: string, added: readonly JsonObject[]) => (config: JsonObject) =>
    changed(config, `static_resources.${field}`, (old) => [...(old as JsonObject[]), ...added])
  return more('clusters', clusters)(more('listeners', [listener])(good))
}
const cluster = (name: string, port: number, more: JsonObject = {}): JsonObject => ({
  name,
  type: 'STATIC',
  load_assignment: {
    cluster_name: name,
    endpoints: [
      {
        lb_endpoints: [
          { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } },
        ],
      },
    ],
  },
  ...more,
})
const to = (action: JsonObject): JsonObject => ({ match: { prefix: '/' }, route: action })

t.test('a listener that leads elsewhere is of no concern, one that may lead to the model is', async (t) => {
  const elsewhere = cluster('metrics', 9100)
  for (const [name, config] of [
    ['another server', withOpenListener(to({ cluster: 'metrics' }), [elsewhere])],
    ['no server', withOpenListener({ match: { prefix: '/' }, direct_response: { status: 200 } })],
    ['a redirect', withOpenListener({ match: { prefix: '/' }, redirect: { https_redirect: true } })],
  ] as const) {
    t.same(ids(config), [], name)
    t.same(ids(dumpOf(config)), [], name)
  }
  for (const [name, config] of [
    ['the same cluster', withOpenListener(to({ cluster: 'model_server_http' }))],
    ['the same server by another name', withOpenListener(to({ cluster: 'alias' }), [cluster('alias', 8000)])],
    [
      'some of the requests',
      withOpenListener(
        to({ weighted_clusters: { clusters: [{ name: 'metrics' }, { name: 'model_server_grpc' }] } }),
        [elsewhere],
      ),
    ],
    ['a cluster that is not there', withOpenListener(to({ cluster: 'later' }))],
    [
      'wherever the caller meant to go',
      withOpenListener(to({ cluster: 'any' }), [{ name: 'any', type: 'ORIGINAL_DST' }]),
    ],
    [
      'a cluster of its own kind',
      withOpenListener(to({ cluster: 'any' }), [{ name: 'any', cluster_type: { name: 'x' } }]),
    ],
    [
      'a cluster whose endpoints are not seen',
      withOpenListener(to({ cluster: 'eds' }), [{ name: 'eds', type: 'EDS' }]),
    ],
    ['where a header says', withOpenListener(to({ cluster_header: 'x-sluice-cluster' }), [])],
  ] as const)
    for (const document of [config, dumpOf(config)]) {
      const found = ids(document)
      t.ok(found.includes('unguarded_listener'), name)
      t.ok(found.includes('plain_text_listener'), `${name}, in plain text`)
    }
})

t.test('endpoints that are delivered tell where a cluster leads', async (t) => {
  const config = withOpenListener(to({ cluster: 'eds' }), [{ name: 'eds', type: 'EDS' }])
  const dump = (port: number): JsonObject => ({
    configs: [
      ...dumpOf(config).configs,
      typed('admin.v3.EndpointsConfigDump', {
        dynamic_endpoint_configs: [
          {
            endpoint_config: typed(
              'config.endpoint.v3.ClusterLoadAssignment',
              cluster('eds', port)['load_assignment'] as JsonObject,
            ),
          },
        ],
      }),
    ],
  })
  t.same(ids(dump(9100)), [])
  t.ok(ids(dump(8001)).includes('unguarded_listener'))
})

t.test('the agent is known by its address or by the name that Sluice gives it', async (t) => {
  const renamed = JSON.parse(JSON.stringify(good).replaceAll('sluice_agent', 'decider')) as JsonObject
  t.same(ids(renamed), [], 'by its address')
  t.same(ids(good, { agent: 'unix:/mounted/elsewhere.sock' }), [], 'by its name')
  t.same(
    new Set(ids(renamed, { agent: 'unix:/mounted/elsewhere.sock' })),
    new Set(['unguarded_listener']),
    'somebody else is asked',
  )
  t.same(
    auditEnvoyConfig(renamed),
    [],
    'where nothing is known of the agent, whoever is asked is taken for it',
  )
})

t.test('filters that ask somebody else are not measured as if they asked the agent', async (t) => {
  const other = {
    name: 'oauth',
    typed_config: typed('extensions.filters.http.ext_authz.v3.ExtAuthz', {
      grpc_service: { envoy_grpc: { cluster_name: 'oauth' } },
      failure_mode_allow: true,
    }),
  }
  const config = changed(good, `${parts.manager}.http_filters`, (old) => [other, ...(old as JsonObject[])])
  t.same(ids(config), ['filter_changes_before'])
  const off = { oauth: typed('extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute', { disabled: true }) }
  const route = `${parts.manager}.route_config.virtual_hosts.0.typed_per_filter_config`
  t.same(ids(changed(config, route, off)), ['filter_changes_before'], 'nor are their overrides')
})

t.test('a good jwt_authn and a bounded session have no finding', async (t) => {
  const jwt = {
    name: 'jwt',
    typed_config: typed('extensions.filters.http.jwt_authn.v3.JwtAuthentication', {
      providers: { p: { issuer: 'i', audiences: ['a'], require_expiration: true } },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'p' } }],
    }),
  }
  t.same(ids(changed(good, `${parts.manager}.http_filters`, (old) => [jwt, ...(old as JsonObject[])])), [])
  const bounded = (old: unknown) => {
    const {
      disable_stateless_session_resumption: _,
      disable_stateful_session_resumption: __,
      ...rest
    } = old as JsonObject
    return { ...rest, session_timeout: '900s' }
  }
  t.same(ids(changed(good, parts.tls, bounded)), [])
})

t.test('a key that was redacted is no key in clear', async (t) => {
  const key = `${parts.tls}.common_tls_context.tls_certificates.0.private_key`
  const redacted = Buffer.from('[redacted]').toString('base64')
  for (const source of [
    { inline_string: '[redacted]' },
    { inline_bytes: redacted },
    { filename: '/tls.key' },
  ])
    t.same(ids(changed(good, key, source)), [])
})

t.test('a filter that is switched off guards nothing', async (t) => {
  t.same(ids(changed(good, `${parts.extProc}.disabled`, true)).sort(), [
    'ext_proc_route_disabled',
    'filter_disabled',
  ])
})

t.test('plain text is for this machine alone', async (t) => {
  const plain = changed(good, `${parts.chain}.transport_socket`, undefined)
  const address = (host: string) => ({ socket_address: { address: host, port_value: 8443 } })
  const rows: [address: JsonObject, found: string[]][] = [
    [address('127.0.0.1'), []],
    [address('127.9.9.9'), []],
    [address('::1'), []],
    [{ pipe: { path: '/run/a.sock' } }, []],
    [{ envoy_internal_address: { server_listener_name: 'a' } }, []],
    [address('10.0.0.1'), ['plain_text_listener']],
    [address('::'), ['plain_text_listener']],
    [address('127.0.0.1.example'), ['plain_text_listener']],
    [{}, ['plain_text_listener']],
  ]
  for (const [each, found] of rows)
    t.same(ids(changed(plain, `${parts.listener}.address`, each)), found, JSON.stringify(each))
  const local = changed(plain, `${parts.listener}.address`, address('127.0.0.1'))
  t.same(ids(changed(local, `${parts.listener}.additional_addresses`, [{ address: address('10.0.0.1') }])), [
    'plain_text_listener',
  ])
})

t.test('names in a place cannot pass for other parts of it', async (t) => {
  const name = 'a].filters[0 b\n\u001b[31m'.padEnd(500, 'x')
  const bad = changed(changed(good, `${parts.manager}.merge_slashes`, false), `${parts.listener}.name`, name)
  const [place] = placesOf(bad, 'slashes_not_merged')
  t.match(place, /^static_resources\.listeners\[0 a\?\.filters\?0\?b\?\?\?31mx+…\]\.filter_chains\[0\]/)
})

t.test('what agents expect of answers is asked for only where policy judges them', async (t) => {
  const skipped = changed(good, `${parts.extProc}.typed_config.processing_mode.response_header_mode`, 'SKIP')
  const judged = (each: string) => ids(skipped, { judged: each })
  t.same(
    [judged('none'), judged('headers'), judged('body')],
    [[], ['ext_proc_response_headers_skipped'], ['ext_proc_response_headers_skipped']],
  )
})
