import { writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
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
import { eventually, temporaryFolder } from '../../harness/temp.ts'

/** What is asked of answers, the same rule as of requests: the upstream's own headers say what the policy does. */
const rego = `package envoy.authz

default allow := true

answer := input.serving.response

allow := {"allowed": false, "http_status": 422, "body": "withheld", "headers": {"x-why": "policy"}} if {
	answer.headers["x-secret"]
}

allow := {
	"allowed": true,
	"response_headers_to_add": {
		"x-seen": sprintf("%d %v %v", [answer.status, object.get(answer, "body_bytes", "-"), object.get(answer, "truncated_body", "-")]),
		"x-outputs": json.marshal(object.get(answer, "outputs", [])),
		"x-user": object.get(answer, ["body", "user"], "-"),
	},
	"response_headers_to_remove": ["x-internal"],
	"redact": pointers,
} if {
	input.serving.phase == "response"
	not answer.headers["x-secret"]
	not answer.headers["x-undefined"]
}

allow := "nonsense" if answer.headers["x-undefined"]

pointers := ["/outputs/0/data", "/user"] if answer.headers["x-redact"]

pointers := [] if not answer.headers["x-redact"]
`

const jsonText =
  '{"model_name":"fraud","user":"alice","outputs":[{"name":"score","datatype":"FP32","shape":[2,1],"data":[0.1,2]}],"id":12345678901234567890}'
const summary = [{ name: 'score', datatype: 'FP32', shape: [2, 1], elements: 2, bytes: 8 }]
const binaryHead = Buffer.from(
  '{"outputs":[{"name":"score","datatype":"FP32","shape":[2,1],"parameters":{"binary_data_size":8}}]}',
)
const binary = Buffer.concat([binaryHead, Buffer.alloc(8, 1)])
const json = { 'content-type': 'application/json', 'x-internal': 'rack 7' }
const sized = (body: Buffer | string) => ({ 'content-length': String(Buffer.byteLength(body)) })

/** What the upstream answers, by path. */
const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
  '/plain': (r) => r.writeHead(200, { ...json, ...sized(jsonText) }).end(jsonText),
  '/chunked': (r) => {
    r.writeHead(200, json)
    for (const character of jsonText) r.write(character)
    r.end()
  },
  '/secret': (r) => r.writeHead(200, { ...json, 'x-secret': '1' }).end(jsonText),
  '/nonsense': (r) => r.writeHead(200, { ...json, 'x-undefined': '1' }).end(jsonText),
  '/redact': (r) => r.writeHead(200, { ...json, 'x-redact': '1', ...sized(jsonText) }).end(jsonText),
  '/redact-chunked': (r) => r.writeHead(200, { ...json, 'x-redact': '1' }).end(jsonText),
  '/redact-text': (r) => r.writeHead(200, { 'content-type': 'text/plain', 'x-redact': '1' }).end('alice'),
  '/redact-broken': (r) => r.writeHead(200, { ...json, 'x-redact': '1' }).end('{"user":"alice"'),
  '/redact-gzip': (r) =>
    r.writeHead(200, { ...json, 'x-redact': '1', 'content-encoding': 'gzip' }).end(gzipSync(jsonText)),
  '/redact-binary': (r) =>
    r
      .writeHead(200, {
        'content-type': 'application/octet-stream',
        'inference-header-content-length': String(binaryHead.length),
        'x-redact': '1',
      })
      .end(binary),
  '/redact-huge': (r) =>
    r.writeHead(200, { ...json, 'x-redact': '1' }).end(`{"user":"alice","x":"${'y'.repeat(3 << 20)}"}`),
  '/binary': (r) =>
    r
      .writeHead(200, {
        'content-type': 'application/octet-stream',
        'inference-header-content-length': String(binaryHead.length),
      })
      .end(binary),
  '/lying': (r) =>
    r
      .writeHead(200, {
        'content-type': 'application/octet-stream',
        'inference-header-content-length': '99999',
      })
      .end(binary),
  '/huge': (r) => r.writeHead(200, json).end(`{"x":"${'y'.repeat(3 << 20)}"}`),
  '/empty': (r) => r.writeHead(204, { 'x-internal': 'rack 7' }).end(),
  '/failed': (r) => r.writeHead(500, json).end('{"error":"x"}'),
  '/trailers': (r) => {
    r.writeHead(200, { ...json, trailer: 'x-end' })
    r.write(jsonText)
    r.addTrailers({ 'x-end': '1' })
    r.end()
  },
  '/v2/models/m/generate_stream': (r) => {
    r.writeHead(200, { 'content-type': 'text/event-stream' })
    r.write('data: 1\n\n')
    // The rest only once the client has told that the first came through.
    continueStream = () => r.end('data: 2\n\n')
  },
}
let continueStream = () => {}

const upstream = createServer((request, response) => {
  const path = (request.url ?? '').split('?')[0] ?? ''
  request.resume().on('end', () => answers[path]?.(response))
})
await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
t.teardown(() => {
  upstream.closeAllConnections()
  upstream.close()
})

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
writeFileSync(
  join(folder.path, 'policy.tar.gz'),
  await buildBundle({ files: { 'policy.rego': rego }, revision: 'r1' }),
)
const agent = await startAgent({
  folder: folder.path,
  config: { policy: { bundle: 'policy.tar.gz', response: { body: 'json' } }, audit: { dir: 'audit' } },
})
t.teardown(() => agent[Symbol.asyncDispose]())
const config = loadConfig(agent.configPath)
const [port] = (await freePorts(1)) as [number]
// That of HTTP; gRPC has one of its own.
const [filter] = pipelineFilters(config, 5000) as [JsonObject, JsonObject]
const envoy = await startEnvoy({
  static_resources: {
    listeners: [
      plainListener({
        name: 'main',
        port,
        filter,
        listener: { per_connection_buffer_limit_bytes: 1 << 20 },
      }),
    ],
    clusters: [
      cluster({ name: agentCluster, address: config.listen.agent, isHttp2: true }),
      cluster({
        name: 'upstream',
        address: `127.0.0.1:${(upstream.address() as AddressInfo).port}`,
        isHttp2: false,
      }),
    ],
  },
})
t.teardown(() => envoy[Symbol.asyncDispose]())

const ask = (path: string) => http({ port, path })

t.test('policy sees an answer, adds to its headers and takes from them', async (t) => {
  const rows: [path: string, status: number, seen: string, user: string, outputs: object, body: string][] = [
    ['/plain', 200, `200 ${jsonText.length} false`, 'alice', summary, jsonText],
    ['/chunked', 200, `200 ${jsonText.length} false`, 'alice', summary, jsonText],
    ['/binary', 200, `200 ${binary.length} false`, '-', summary, binary.toString()],
    ['/lying', 200, `200 ${binary.length} false`, '-', [], binary.toString()],
    ['/failed', 500, '500 13 false', '-', [], '{"error":"x"}'],
    ['/empty', 204, '204 - -', '-', [], ''],
  ]
  for (const [path, status, seen, user, outputs, body] of rows) {
    const answer = await ask(path)
    t.equal(answer.status, status, path)
    t.equal(answer.headers['x-seen'], seen, path)
    t.equal(answer.headers['x-user'], user, path)
    t.same(JSON.parse(String(answer.headers['x-outputs'])), outputs, path)
    t.equal(answer.headers['x-internal'], undefined, path)
    t.equal(answer.body, body, path)
  }
})

t.test('a body larger than Envoy keeps is shown as cut, and passes whole', async (t) => {
  const answer = await ask('/huge')
  t.equal(answer.status, 200)
  t.match(answer.headers['x-seen'], /^200 \d+ true$/)
  t.equal(answer.body.length, (3 << 20) + 8)
})

t.test('an answer that policy denies never reaches the client', async (t) => {
  const answer = await ask('/secret')
  t.equal(answer.status, 422)
  t.equal(answer.body, 'withheld')
  t.equal(answer.headers['x-why'], 'policy')
  t.notOk(JSON.stringify(answer).includes('alice'))
  const nonsense = await ask('/nonsense')
  t.equal(nonsense.status, 503)
  t.notOk(JSON.stringify(nonsense).includes('alice'))
})

t.test('what is redacted is gone, and every other digit is as it was', async (t) => {
  const kept =
    '{"model_name":"fraud","outputs":[{"name":"score","datatype":"FP32","shape":[2,1]}],"id":12345678901234567890}'
  for (const path of ['/redact', '/redact-chunked']) {
    const answer = await ask(path)
    t.equal(answer.status, 200, path)
    t.equal(answer.body, kept, path)
    t.equal(answer.headers['content-length'] ?? String(kept.length), String(kept.length), path)
  }
})

t.test('what cannot be redacted is not shown', async (t) => {
  for (const path of ['/redact-text', '/redact-broken', '/redact-gzip', '/redact-binary', '/redact-huge']) {
    const answer = await ask(path)
    t.equal(answer.status, 502, path)
    t.notOk(answer.body.includes('alice'), path)
    t.match(answer.headers['x-sluice-decision-id'], /^[0-9a-f-]{36}$/, path)
  }
  const { body } = await agent.probe('/metrics')
  t.match(body, /sluice_decisions_total\{api="ext_proc",verdict="deny",reason="redaction_impossible"\} 5/)
})

t.test('a stream of answers is judged at its headers and not held back', async (t) => {
  let first = ''
  const answer = new Promise<{ body: string; seen: string | undefined }>((resolve, reject) => {
    fetch(`http://127.0.0.1:${port}/v2/models/m/generate_stream`)
      .then(async (response) => {
        for await (const chunk of response.body ?? []) {
          first += Buffer.from(chunk).toString()
          if (first === 'data: 1\n\n') continueStream()
        }
        resolve({ body: first, seen: response.headers.get('x-seen') ?? undefined })
      })
      .catch(reject)
  })
  t.same(await answer, { body: 'data: 1\n\ndata: 2\n\n', seen: '200 - -' })
})

t.test('an answer with trailers is judged too', async (t) => {
  const answer = await ask('/trailers')
  t.equal(answer.status, 200)
  t.equal(answer.body, jsonText)
  t.match(answer.headers['x-seen'], /^200/)
})

t.test('both decisions of an exchange are in the record', async (t) => {
  const answer = await ask('/plain')
  t.equal(answer.status, 200)
  await eventually('nothing is left open', async () => {
    const { body } = await agent.probe('/metrics')
    return /sluice_grpc_open_streams 0/.test(body)
  })
})
