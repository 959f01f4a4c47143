import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig, loadOpaFile, missingFiles } from '#config/config.ts'
import { temporaryFolder } from '../harness/temp.ts'

function load(
  text: string,
  more: { set?: string[]; setFile?: string[]; env?: Record<string, string> } = {},
): ReturnType<typeof loadOpaFile> {
  using folder = temporaryFolder()
  const path = join(folder.path, 'config.yaml')
  writeFileSync(path, text)
  return loadOpaFile({ path, set: more.set ?? [], setFile: more.setFile ?? [], env: more.env ?? {} })
}

/** The whole of what people write for the Envoy plugin. */
const valid = `
services:
  acme:
    url: \${BASE}/v1
    headers: {x-a: b}
    response_header_timeout_seconds: 5
    tls: {ca_cert: ca.pem}
    credentials:
      client_tls: {cert: c.pem, private_key: k.pem, cert_reread_interval_seconds: 60}
  other:
    url: https://other.example
    credentials: {bearer: {token: "\${TOKEN}", scheme: Basic}}
labels: {app: "\${UNSET}"}
keys:
  global: {algorithm: ES256, key: "-----BEGIN PUBLIC KEY-----", scope: read}
bundles:
  authz:
    service: other
    resource: bundles/authz.tar.gz
    persist: true
    polling: {min_delay_seconds: 10, max_delay_seconds: 20, long_polling_timeout_seconds: 300}
    trigger: periodic
    signing: {keyid: global, scope: read, exclude_files: ["*.md"]}
    size_limit_bytes: 4096
  local: {resource: file:///var/bundle}
  plain: {}
persistence_directory: /var/opa
default_decision: /x/y
decision_logs: {console: true, service: acme}
status: {service: acme}
plugins:
  envoy_ext_authz_grpc:
    addr: :9191
    path: envoy/authz/allow
    dry-run: true
    grpc-max-recv-msg-size: 8388608
    enable-reflection: false
    skip-request-body-parse: false
    enable-performance-metrics: true
`

t.test("OPA's configuration is taken as it is written, with the environment in it", async (t) => {
  const opa = load(valid, { env: { BASE: 'http://base', TOKEN: 'secret' } })
  t.match(opa, {
    services: {
      acme: { url: 'http://base/v1', credentials: { client_tls: { cert: 'c.pem' } } },
      other: { credentials: { bearer: { token: 'secret', scheme: 'Basic' } } },
    },
    labels: { app: `\${UNSET}` },
    bundles: {
      authz: { persist: true, signing: { keyid: 'global', exclude_files: ['*.md'] }, size_limit_bytes: 4096 },
      plain: { persist: false, size_limit_bytes: 64 << 20 },
    },
    decision_logs: { console: true, service: 'acme' },
    plugins: { envoy_ext_authz_grpc: { addr: ':9191', 'dry-run': true, 'grpc-max-recv-msg-size': 8388608 } },
  })
  const listed = load(
    'services: [{name: a, url: "http://a"}, {name: b, url: "http://b"}]\nbundles: {x: {service: b}}',
  )
  t.same(listed.services, { a: { url: 'http://a' }, b: { url: 'http://b' } })
  t.match(load(''), { bundles: {}, plugins: { envoy_ext_authz_grpc: { addr: ':9191' } } })
})

t.test('what is set on the command line lies over the file', async (t) => {
  using folder = temporaryFolder()
  const token = join(folder.path, 'token')
  writeFileSync(token, 'from-file\n')
  const opa = load('services: {a: {url: "http://a", headers: {x: "1"}}}\nlabels: {l: "1"}', {
    set: [
      `services.a.url=http://\${HOST}/x,bundles.b.polling.min_delay_seconds=1`,
      'bundles.b.polling.max_delay_seconds=2',
      'bundles.b.persist=true',
      'labels.l=a\\,b',
      'bundles.b.signing.exclude_files={x,y}',
      'keys.k.key=v=w',
      'plugins.envoy_ext_authz_grpc.path=a/b',
    ],
    setFile: [`services.a.credentials.bearer.token=${token}`],
    env: { HOST: 'h' },
  })
  t.match(opa, {
    services: {
      a: { url: 'http://h/x', headers: { x: '1' }, credentials: { bearer: { token: 'from-file' } } },
    },
    labels: { l: 'a,b' },
    bundles: {
      b: {
        polling: { min_delay_seconds: 1, max_delay_seconds: 2 },
        persist: true,
        signing: { exclude_files: ['x', 'y'] },
      },
    },
    keys: { k: { key: 'v=w' } },
    plugins: { envoy_ext_authz_grpc: { path: 'a/b' } },
  })
  t.match(loadOpaFile({ path: undefined, set: ['labels.a=b'], setFile: [], env: {} }).labels, { a: 'b' })
  t.throws(() => load('', { set: ['nothing'] }), { message: /--set: nothing; expected a\.b\.c=value/ })
  t.throws(() => load('', { set: ['__proto__.x=1'] }), { message: /expected a\.b\.c=value/ })
  t.throws(() => load('', { setFile: ['a=/nowhere/x'] }), { message: /--set-file a=\/nowhere\/x: ENOENT/ })
  t.notOk('x' in {})
})

t.test("a decision's path may have dots below its first part, and a query brackets", (t) => {
  const plugin = (text: string) =>
    load(`plugins: {envoy_ext_authz_grpc: ${text}}`).plugins.envoy_ext_authz_grpc
  const path = 'policy/com.example.envoy.ingress/main/outcome'
  t.equal(plugin(`{path: /${path}}`).path, path)
  const query = 'data.policy["com.example.envoy.ingress"].main.outcome'
  t.equal(plugin(JSON.stringify({ query })).query, query)
  for (const wrong of ['envoy.authz.allow', 'a//b', 'a/b/', ''])
    t.throws(
      () => plugin(`{path: ${JSON.stringify(wrong)}}`),
      { message: /a path such as envoy.authz.allow/ },
      wrong,
    )
  for (const wrong of ['data', 'data["a"].b', 'data.a["b', 'data.a[b]', 'data.a["b/c"]'])
    t.throws(() => plugin(JSON.stringify({ query: wrong })), { message: /a reference such as/ }, wrong)
  t.end()
})

t.test('a URL of another kind is told what it should be', (t) => {
  for (const url of ['ftp://s', 's:80', 'localhost'])
    t.throws(() => load(`services: {s: {url: "${url}"}}`), {
      message: /services.s.url: .*; expected an http or https URL/,
    })
  t.end()
})

const services = 'services: {s: {url: "http://s"}}\n'
const wrong: [text: string, says: RegExp][] = [
  [
    'discovery: {resource: x}',
    /config\.yaml:1:12: discovery: \{"resource":"x"\}; expected what discovery would fetch/,
  ],
  ['bundle: {name: x}', /bundle: .*expected bundles, a map/],
  ['caching: {}', /caching: .*expected no such key: nothing that it would bound is cached/],
  ['server: {}', /expected no such key: there is no API of OPA's/],
  ['storage: {disk: {}}', /expected no such key: data is held in memory/],
  ['distributed_tracing: {type: grpc}', /no traces are sent yet/],
  ['polizy: 1', /polizy: a key that is not known/],
  ['plugins: {other: {}}', /plugins\.other: a key that is not known; expected .*envoy_ext_authz_grpc/],
  [
    'plugins: {envoy_ext_authz_grpc: {enable-reflection: true}}',
    /enable-reflection: true; expected false: there is no reflection/,
  ],
  ['plugins: {envoy_ext_authz_grpc: {path: a/b, query: data.a.b}}', /expected one of path and query/],
  [
    'plugins: {envoy_ext_authz_grpc: {addr: "unix://@abstract"}}',
    /expected host:port, :port or unix:\/\/\/path/,
  ],
  ['plugins: {envoy_ext_authz_grpc: {query: "data.a[x]"}}', /expected a reference such as/],
  ['services: {s: {url: "ftp://s"}}', /services\.s\.url: "ftp:\/\/s"/],
  ['services: {s: {url: "http://user:pw@s"}}', /no user in the URL/],
  [
    'services: {s: {url: "http://s", credentials: {oauth2: {token_url: x}}}}',
    /oauth2: .*expected a bearer token in a file/,
  ],
  [
    'services: {s: {url: "http://s", credentials: {s3_signing: {}}}}',
    /s3_signing: .*expected a server that takes a bearer token/,
  ],
  [
    'services: {s: {url: "http://s", credentials: {basic: {}}}}',
    /credentials\.basic: a key that is not known/,
  ],
  ['services: {s: {url: "http://s", credentials: {bearer: {}}}}', /expected one of token and token_path/],
  [
    'services: {s: {url: "http://s", credentials: {bearer: {token: x}, client_tls: {cert: c, private_key: k}}}}',
    /one kind of credentials/,
  ],
  ['services: {s: {url: "http://s", type: oci}}', /OCI registries are not asked/],
  ['services: [{url: "http://s"}]', /services: .*expected a map/],
  ['bundles: {a: {}}', /bundles\.a: .*expected services, of which it is fetched/],
  [
    `${services}bundles: {a: {service: t}}`,
    /config\.yaml:2:24: bundles\.a\.service: "t"; expected one of services: s/,
  ],
  [`${services}bundles: {a: {signing: {}}}`, /bundles\.a\.signing: .*expected keys to verify with/],
  [`${services}keys: {k: {key: x}}\nbundles: {a: {signing: {keyid: l}}}`, /expected one of keys: k/],
  [`${services}keys: {k: {private_key: x}}`, /keys\.k\.key: nothing; expected text/],
  [
    `${services}bundles: {a: {polling: {min_delay_seconds: 1}}}`,
    /min_delay_seconds and max_delay_seconds together/,
  ],
  [
    `${services}bundles: {a: {polling: {min_delay_seconds: 2, max_delay_seconds: 1}}}`,
    /a max_delay_seconds of at least/,
  ],
  [`${services}bundles: {a: {trigger: manual}}`, /trigger: "manual"; expected periodic: nobody/],
  [`${services}bundles: {a: {resource: "file://a"}}`, /expected file:\/\/\/absolute\/path/],
  [`${services}bundles: {"../a": {}}`, /bundles/],
  ['a: 1\n---\nb: 2', /2 documents; expected one YAML document/],
]
for (const [text, says] of wrong) {
  t.test(`an error says what is wrong with: ${text.replaceAll('\n', ' ')}`, async (t) => {
    t.throws(() => load(text), { name: 'SluiceError', message: says })
  })
}

const own = (policy: object, profile = 'standard') => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'sluice.yaml')
  writeFileSync(path, JSON.stringify({ profile, policy, listen: { agent: 'unix:/x' } }))
  return { folder: folder.path, config: loadConfig(path) }
}

t.test('the same stands in sluice.yaml, with its paths read from there', async (t) => {
  const opa = {
    services: {
      s: {
        url: 'https://s',
        tls: { ca_cert: 'ca.pem' },
        credentials: { client_tls: { cert: 'c.pem', private_key: '/k.pem' } },
      },
      t: { url: 'https://t', credentials: { bearer: { token_path: 'token' } } },
    },
    bundles: { a: { service: 't' } },
  }
  const { folder, config } = own({ opa })
  t.match(config.policy?.opa, {
    persistence_directory: join(folder, '.opa'),
    services: {
      s: {
        tls: { ca_cert: join(folder, 'ca.pem') },
        credentials: { client_tls: { cert: join(folder, 'c.pem'), private_key: '/k.pem' } },
      },
      t: { credentials: { bearer: { token_path: join(folder, 'token') } } },
    },
  })
  t.same(
    missingFiles(config).map(({ place }) => place.split(': ')[0]),
    [
      'policy.opa.services.s.tls.ca_cert',
      'policy.opa.services.s.credentials.client_tls.cert',
      'policy.opa.services.s.credentials.client_tls.private_key',
      'policy.opa.services.t.credentials.bearer.token_path',
    ],
  )
})

t.test('the production profile takes nothing that is fit for trying out only', async (t) => {
  const keys = { k: { key: 'x' } }
  const services = { s: { url: 'https://s' } }
  t.doesNotThrow(() => own({ opa: { services, keys, bundles: { a: { signing: {} } } } }, 'production'))
  const bad: [policy: object, says: RegExp][] = [
    [{ bundle: 'b.tar.gz' }, /policy\.verification: nothing; expected keys: the profile is production/],
    [{ opa: { services, keys, bundles: { a: {} } } }, /policy\.opa\.bundles: .*signing in each bundle/],
    [
      { opa: { services, keys, bundles: { a: { signing: { allow_unsigned_delta_bundles: true } } } } },
      /without allow_unsigned_delta_bundles/,
    ],
    [
      {
        opa: {
          services: { s: { url: 'https://s', allow_insecure_tls: true } },
          keys,
          bundles: { a: { signing: {} } },
        },
      },
      /no allow_insecure_tls/,
    ],
  ]
  for (const [policy, says] of bad) t.throws(() => own(policy, 'production'), { message: says })
  t.throws(() => own({ opa: {} }), { message: /one of bundle and opa.bundles/ })
  t.throws(() => own({ bundle: 'b', opa: { services, bundles: { a: {} } } }), {
    message: /one of bundle and opa/,
  })
  t.throws(() => own({}), { message: /one of bundle and opa/ })
  t.throws(
    () => own({ opa: { services, bundles: { a: {} } }, verification: { keys: { k: { file: 'x' } } } }),
    {
      message: /keys and signing in policy\.opa/,
    },
  )
})
