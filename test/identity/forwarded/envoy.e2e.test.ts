import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { JsonObject } from '#base/json.ts'
import { loadConfig } from '#config/config.ts'
import { auditEnvoyConfig, expectationsOf } from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { typed } from '#envoy/bootstrap/types.ts'
import { createDevCa, type Issued } from '#identity/dev-ca/dev-ca.ts'
import { startAgent } from '../../harness/agent.ts'
import { startEnvoy } from '../../harness/envoy.ts'
import { http } from '../../harness/http.ts'
import { freePorts } from '../../harness/ports.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { startUpstream, type Upstream } from '../../harness/upstream.ts'
import { certificatesOf } from '../x509/kit.ts'

const header = 'x-forwarded-client-cert'
const trustDomain = 'example.org'
const ca = createDevCa({ trustDomain })
const id = (path: string) => `spiffe://${trustDomain}/${path}`
const gatewayId = id('ns/gateways/sa/edge')
const client = ca.issue({ spiffeId: id('ns/acme/sa/app') })
const gateway = ca.issue({ spiffeId: gatewayId, dnsNames: ['localhost'] })
const named = (uri: string): Issued => ca.issue({ spiffeId: id('x'), wrong: { uris: [uri] } })
const hashOf = ({ certificatePem }: Issued) => certificatesOf(certificatePem)[0]?.sha256

/** A listener that takes every certificate of our CA and writes the header in one of Envoy's ways. */
function forwardingListener(options: {
  readonly port: number
  readonly mode: string
  readonly format: 'TEXT' | 'JSON'
  readonly details?: JsonObject
}): JsonObject {
  const { port, mode, format, details = { uri: true } } = options
  return {
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      {
        transport_socket: typed('envoy.transport_sockets.tls', 'downstreamTls', {
          require_client_certificate: true,
          common_tls_context: {
            tls_certificates: [
              {
                certificate_chain: { inline_string: gateway.certificatePem },
                private_key: { inline_string: gateway.privateKeyPem },
              },
            ],
            validation_context: { trusted_ca: { inline_string: ca.bundlePem } },
          },
        }),
        filters: [
          typed('hcm', 'httpConnectionManager', {
            stat_prefix: 'forwarding',
            forward_client_cert_details: mode,
            set_current_client_cert_details: { ...details, format },
            route_config: {
              virtual_hosts: [
                {
                  name: 'all',
                  domains: ['*'],
                  routes: [{ match: { prefix: '/' }, route: { cluster: 'upstream' } }],
                },
              ],
            },
            http_filters: [typed('router', 'router', {})],
          }),
        ],
      },
    ],
  }
}

async function upstreamOf(t: Test): Promise<Upstream> {
  const upstream = await startUpstream()
  t.teardown(() => upstream[Symbol.asyncDispose]())
  return upstream
}

t.test('what each mode of Envoy makes of the header', async (t) => {
  const upstream = await upstreamOf(t)
  const modes = ['SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY'] as const
  const listeners = modes.flatMap((mode) => (['TEXT', 'JSON'] as const).map((format) => ({ mode, format })))
  const ports = await freePorts(listeners.length)
  await using _envoy = await startEnvoy({
    static_resources: {
      listeners: listeners.map((each, i) => forwardingListener({ ...each, port: ports[i] as number })),
      clusters: [cluster({ name: 'upstream', address: `127.0.0.1:${upstream.port}`, isHttp2: false })],
    },
  })
  const arrives = async (
    [mode, format]: readonly [(typeof modes)[number], 'TEXT' | 'JSON'],
    identity: Issued,
    sent?: string | readonly string[],
  ) => {
    const port = ports[listeners.findIndex((each) => each.mode === mode && each.format === format)] as number
    const tls = { ca: ca.bundlePem, identity }
    await http({ port, path: '/', tls, ...(sent !== undefined && { headers: { [header]: sent } }) })
    return upstream.lastHeader(header)
  }
  const text = 'Hash=1;URI=spiffe://x/y'
  const json = '[{"uri":["spiffe://x/y"]}]'
  const own = `By=${gatewayId};Hash=${hashOf(client)};URI=${id('ns/acme/sa/app')}`
  const ownJson = `{"by":["${gatewayId}"],"hash":"${hashOf(client)}","uri":["${id('ns/acme/sa/app')}"]}`

  for (const format of ['TEXT', 'JSON'] as const) {
    const written = format === 'TEXT' ? own : `[${ownJson}]`
    t.same(await arrives(['SANITIZE', format], client, text), [], 'SANITIZE removes')
    t.same(await arrives(['SANITIZE_SET', format], client, text), [written], 'SANITIZE_SET replaces')
    t.same(await arrives(['APPEND_FORWARD', format], client), [written], 'APPEND_FORWARD writes')
    t.same(
      await arrives(['APPEND_FORWARD', format], client, text),
      [`${text},${own}`],
      'as text where text came',
    )
    t.same(
      await arrives(['APPEND_FORWARD', format], client, json),
      [`${json.slice(0, -1)},${ownJson}]`],
      'as JSON where JSON came, whatever is configured',
    )
    for (const mode of ['FORWARD_ONLY', 'ALWAYS_FORWARD_ONLY'] as const) {
      t.same(await arrives([mode, format], client, text), [text], `${mode} believes everybody`)
      t.same(await arrives([mode, format], client), [], `${mode} writes nothing`)
    }
  }
  t.same(
    await arrives(['FORWARD_ONLY', 'TEXT'], client, ['URI=a', 'URI=b']),
    ['URI=a,URI=b'],
    'two headers are joined: no later reader can tell',
  )
  t.same(
    await arrives(['APPEND_FORWARD', 'TEXT'], client, 'garbage"'),
    [`garbage",${own}`],
    'nothing that came is looked at',
  )
  const san = `${id('a')};URI=${id('admin')},By=x;Hash="q\\"`
  const hostile = named(san)
  t.same(
    await arrives(['SANITIZE_SET', 'TEXT'], hostile),
    [`By=${gatewayId};Hash=${hashOf(hostile)};URI=${san}`],
    'a URI is not quoted, whatever is in it',
  )
  t.same(
    await arrives(['SANITIZE_SET', 'JSON'], hostile),
    [JSON.stringify([{ by: [gatewayId], hash: hashOf(hostile), uri: [san] }])],
    'in JSON it is',
  )
})

t.test('a gateway is believed of its client, and of nobody that its client makes up', async (t) => {
  const upstream = await upstreamOf(t)
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const at = (name: string) => join(folder.path, name)
  ca.write(at('server'), ca.issue({ spiffeId: id('ns/models/sa/server'), dnsNames: ['localhost'] }))
  writeFileSync(at('ca.pem'), ca.bundlePem)
  const [mainPort, admissionPort, textPort, jsonPort, namesPort, certPort] = (await freePorts(6)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const files = {
    certificate: at('server.pem'),
    privateKey: at('server.key'),
    trustBundles: { [trustDomain]: at('ca.pem') },
  }
  const agent = await startAgent({
    folder: folder.path,
    config: {
      identity: {
        trustDomains: [trustDomain],
        source: { type: 'files', ...files },
        trustedForwarders: [id('ns/gateways/**')],
      },
      audit: { dir: 'audit' },
      envoy: {
        main: `127.0.0.1:${mainPort}`,
        admission: `127.0.0.1:${admissionPort}`,
        tls: files,
        upstream: { http: `127.0.0.1:${upstream.port}`, grpc: `127.0.0.1:${upstream.port}` },
      },
    },
  })
  t.teardown(() => agent[Symbol.asyncDispose]())
  const config = loadConfig(agent.configPath)
  const generated = envoyConfig(config)
  const expected = expectationsOf(config)
  t.same(auditEnvoyConfig(generated, expected), [])
  t.match(auditEnvoyConfig(generated, { ...expected, hasTrustedForwarders: false }), [
    { setting: 'forward_client_cert_details' },
    { setting: 'forward_client_cert_details' },
  ])
  await using _model = await startEnvoy(generated)
  await using _gateway = await startEnvoy({
    static_resources: {
      listeners: [
        forwardingListener({ port: textPort, mode: 'SANITIZE_SET', format: 'TEXT' }),
        forwardingListener({ port: jsonPort, mode: 'SANITIZE_SET', format: 'JSON' }),
        forwardingListener({
          port: namesPort,
          mode: 'SANITIZE_SET',
          format: 'TEXT',
          details: { uri: true, dns: true },
        }),
        forwardingListener({
          port: certPort,
          mode: 'SANITIZE_SET',
          format: 'TEXT',
          details: { uri: true, dns: true, subject: true, cert: true },
        }),
      ],
      clusters: [
        {
          ...cluster({ name: 'upstream', address: `127.0.0.1:${mainPort}`, isHttp2: false }),
          transport_socket: {
            name: 'envoy.transport_sockets.tls',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
              common_tls_context: {
                tls_certificates: [
                  {
                    certificate_chain: { inline_string: gateway.certificatePem },
                    private_key: { inline_string: gateway.privateKeyPem },
                  },
                ],
                validation_context: { trusted_ca: { inline_string: ca.bundlePem } },
              },
            },
          },
        },
      ],
    },
  })

  const path = '/v2/health/ready'
  const ask = async (port: number, identity: Issued, sent?: string) => {
    const before = upstream.arrivals.length
    const tls = { ca: ca.bundlePem, identity }
    const { status } = await http({
      port,
      path,
      tls,
      ...(sent !== undefined && { headers: { [header]: sent } }),
    })
    const lines = readFileSync(at('audit/decisions.jsonl'), 'utf8').trim().split('\n')
    const record = JSON.parse(lines.findLast((line) => line.includes('"phase":"request"')) ?? '{}')
    const hasArrived = upstream.arrivals.length > before
    return { status, record, hasArrived, header: hasArrived ? upstream.lastHeader(header) : [] }
  }

  for (const [name, port] of Object.entries({ textPort, jsonPort, certPort })) {
    const found = await ask(port, client, 'URI=spiffe://example.org/admin')
    t.match(found, { status: 200, record: { peer: gatewayId, forwarded: id('ns/acme/sa/app') } }, name)
  }
  const claims: [name: string, uri: string][] = [
    ['another URI', `${id('a')};URI=${id('admin')}`],
    ['a name', `${id('admin')};DNS=x`],
    ['an element', `${id('a')},By=x;Hash=${'ab'.repeat(32)};URI=${id('admin')}`],
    ['a quote', `${id('admin')}"`],
    ['two dots', id('ns/../admin')],
  ]
  for (const [name, uri] of claims) {
    for (const [at, port] of Object.entries({ textPort, jsonPort, namesPort, certPort })) {
      const found = await ask(port, named(uri))
      t.match(
        found,
        { status: 400, hasArrived: false, record: { reason: 'forwarded_identity_invalid', peer: gatewayId } },
        `${name}, ${at}`,
      )
      t.equal(found.record.forwarded, undefined)
    }
  }

  for (const port of [mainPort, admissionPort]) {
    const forged = await ask(port, client, `Hash=1;URI=${id('admin')}`)
    t.match(
      forged,
      { status: 200, header: [], record: { peer: id('ns/acme/sa/app') } },
      'a client that is no gateway',
    )
    t.equal(forged.record.forwarded, undefined)
    const direct = await ask(port, gateway)
    t.match(direct, { status: 200, record: { peer: gatewayId } }, 'a gateway that speaks for itself')
    t.equal(direct.record.forwarded, undefined)
    const claimed = await ask(port, gateway, `Hash=${hashOf(client)};URI=${id('b')}`)
    t.match(
      claimed,
      { status: 200, record: { peer: gatewayId, forwarded: id('b') } },
      'ext_proc and ext_authz alike',
    )
  }
})
