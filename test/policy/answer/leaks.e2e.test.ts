import { writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { loadConfig } from '#config/config.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { agentCluster, pipelineFilters } from '#envoy/bootstrap/filters.ts'
import { startAgent } from '../../harness/agent.ts'
import { startEnvoy } from '../../harness/envoy.ts'
import { http } from '../../harness/http.ts'
import { plainListener } from '../../harness/listener.ts'
import { buildBundle } from '../../harness/opa.ts'
import { freePorts } from '../../harness/ports.ts'
import { temporaryFolder } from '../../harness/temp.ts'

/** The careful author's policy: what is secret is taken out wherever it is seen, and one caller's answers always. */
const rego = `package envoy.authz

default allow := true

allow := {"allowed": true, "redact": ["/user"], "response_headers_to_remove": ["x-internal"]} if {
	input.serving.phase == "response"
	secret
}

secret if input.serving.response.body.user == "alice"

secret if startswith(input.parsed_path[0], "always")
`

const json = { 'content-type': 'application/json', 'x-internal': 'alice' }
const whole = '{"user":"alice","id":1}'

/** Answers in which a secret hides, by path. */
const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
  '/twice': (r) => r.writeHead(200, json).end('{"user":"alice","id":1,"user":"x"}'),
  '/twice-escaped': (r) => r.writeHead(200, json).end('{"user":"alice","us\\u0065r":"x","id":1}'),
  '/twice-deep': (r) => r.writeHead(200, json).end('{"a":[{"b":"alice","b":"x"}],"id":1}'),
  '/escaped': (r) => r.writeHead(200, json).end('{"\\u0075ser":"alic\\u0065","id":1}'),
  '/octets': (r) => r.writeHead(200, json).end(Buffer.from('{"us\xffer":"alice","id":1}', 'latin1')),
  '/always-part': (r) =>
    r.writeHead(206, { ...json, 'content-range': `bytes 8-14/${whole.length}` }).end(whole.slice(8, 15)),
  '/always-range': (r) => r.writeHead(200, { ...json, 'content-range': 'bytes 8-14/23' }).end('"alice"'),
  '/always-utf-16': (r) =>
    r
      .writeHead(200, { ...json, 'content-type': 'application/json; charset=utf-16' })
      .end(Buffer.from(whole, 'utf16le')),
  '/always-lines': (r) => r.writeHead(200, json).end(`${whole}\n${whole}`),
  '/always-mark': (r) => r.writeHead(200, json).end(`\ufeff${whole}`),
  '/always-sse': (r) => r.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: ${whole}\n\n`),
  '/always-trailers': (r) => {
    r.writeHead(200, { ...json, trailer: 'x-end' })
    r.write(whole)
    r.addTrailers({ 'x-end': '1' })
    r.end()
  },
  '/always-hints': (r) => {
    r.writeEarlyHints({ link: '</alice>; rel=preload' })
    r.writeHead(200, json).end(whole)
  },
  '/always-none': (r) => r.writeHead(204, { 'x-internal': 'alice' }).end(),
  '/always-same': (r) => r.writeHead(304, { 'x-internal': 'alice', etag: '"1"' }).end(),
  '/always-head': (r) => r.writeHead(200, { ...json, 'content-length': whole.length }).end(),
}

const upstream = createServer((request, response) => {
  request.resume().on('end', () => answers[request.url ?? '']?.(response))
})
await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
t.teardown(() => {
  upstream.closeAllConnections()
  upstream.close()
})

/** Answers with headers and trailers, and what the path says between them. */
const bodiless = createHttp2Server()
bodiless.on('stream', (stream, { ':path': path = '' }) => {
  stream.respond({ ':status': 200, ...json }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': '1' }))
  stream.end(path.endsWith('bodiless') ? undefined : whole)
})
await new Promise<void>((resolve) => bodiless.listen(0, '127.0.0.1', resolve))
t.teardown(() => bodiless.close())

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
writeFileSync(join(folder.path, 'policy.tar.gz'), await buildBundle({ files: { 'p.rego': rego } }))
const agent = await startAgent({
  folder: folder.path,
  config: { policy: { bundle: 'policy.tar.gz', response: { body: 'json' } } },
})
t.teardown(() => agent[Symbol.asyncDispose]())
const config = loadConfig(agent.configPath)
const [port] = (await freePorts(1)) as [number]
const routes: JsonObject[] = [
  { match: { safe_regex: { regex: '.*(bodiless|http2)' } }, route: { cluster: 'bodiless' } },
  { match: { prefix: '/' }, route: { cluster: 'upstream' } },
]
const local = (server: { address(): unknown }) => `127.0.0.1:${(server.address() as AddressInfo).port}`
// That of HTTP; gRPC has one of its own.
const [filter] = pipelineFilters(config, 5000) as [JsonObject, JsonObject]
const envoy = await startEnvoy({
  static_resources: {
    listeners: [
      plainListener({
        name: 'main',
        port,
        filter,
        routes,
      }),
    ],
    clusters: [
      cluster({ name: agentCluster, address: config.listen.agent, isHttp2: true }),
      cluster({ name: 'upstream', address: local(upstream), isHttp2: false }),
      cluster({ name: 'bodiless', address: local(bodiless), isHttp2: true }),
    ],
  },
})
t.teardown(() => envoy[Symbol.asyncDispose]())

const rows: [path: string, status: number, body: string | undefined, method?: string][] = [
  // What was judged is what is sent, where others might read another thing than policy did.
  ['/twice', 200, '{"user":"x","id":1}'],
  ['/twice-escaped', 200, '{"user":"x","id":1}'],
  ['/twice-deep', 200, '{"a":[{"b":"x"}],"id":1}'],
  ['/escaped', 200, '{"id":1}'],
  ['/octets', 200, '{"us\ufffder":"alice","id":1}'],
  // What cannot be redacted is not shown.
  ['/always-part', 502, undefined],
  ['/always-range', 502, undefined],
  ['/always-utf-16', 502, undefined],
  ['/always-lines', 502, undefined],
  ['/always-mark', 502, undefined],
  ['/always-sse', 502, undefined],
  // Envoy drops the trailers of HTTP/1.1.
  ['/always-trailers', 200, '{"id":1}'],
  ['/always-hints', 200, '{"id":1}'],
  // Where there is no body nothing stands in it.
  ['/always-none', 204, ''],
  ['/always-same', 304, ''],
  ['/always-head', 200, '', 'HEAD'],
  // Its headers cannot be changed any more.
  ['/always-bodiless', 502, undefined],
  ['/bodiless', 200, ''],
  // Looks like one that Envoy has cut.
  ['/always-http2', 502, undefined],
]

for (const [path, status, body, method = 'GET'] of rows) {
  t.test(`nothing secret leaves: ${path}`, async (t) => {
    const answer = await http({ port, path, method })
    t.equal(answer.status, status, JSON.stringify(answer))
    if (body !== undefined) t.equal(answer.body, body)
    if (path.startsWith('/always') || !path.includes('octets'))
      t.notOk(/alice/.test(JSON.stringify(answer.body)), 'not in the body')
    if (path.startsWith('/always'))
      t.notOk(JSON.stringify(answer.headers).includes('alice'), JSON.stringify(answer.headers))
  })
}
