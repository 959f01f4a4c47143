import { createHmac } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { startAgent } from '../harness/agent.ts'
import { startEnvoy } from '../harness/envoy.ts'
import { http } from '../harness/http.ts'
import { extAuthzFilter, plainListener } from '../harness/listener.ts'
import { buildBundle } from '../harness/opa.ts'
import { startOpaEnvoyPlugin } from '../harness/opa-envoy-plugin.ts'
import { freePorts } from '../harness/ports.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { startUpstream } from '../harness/upstream.ts'

/** In the manner of the tutorials people start from: a token names a role, the path and the method what is asked. */
const rego = `package envoy.authz

import input.attributes.request.http as request

default allow := {
	"allowed": false,
	"http_status": 403,
	"headers": {"x-denied-by": "policy", "content-type": "text/plain"},
	"body": "denied",
}

allow := {
	"allowed": true,
	"headers": {"x-current-user": payload.sub, "x-roles": payload.role},
	"response_headers_to_add": {"x-seen-by": "policy"},
	"request_headers_to_remove": ["x-secret"],
	"dynamic_metadata": {"role": payload.role},
} if {
	input.parsed_path[0] == "people"
	permitted
}

allow := true if {
	input.parsed_path == ["health"]
	request.method == "GET"
}

allow := {"allowed": false, "http_status": 429, "body": sprintf("%s must wait", [input.parsed_path[1]])} if {
	input.parsed_path[0] == "wait"
}

allow := {"allowed": input.parsed_query.code == ["a b"]} if input.parsed_path == ["query"]

allow := {"allowed": input.parsed_body.firstname == "Bob"} if input.parsed_path == ["body"]

permitted if {
	payload.role == "guest"
	request.method == "GET"
}

permitted if {
	payload.role == "admin"
	request.method in ["GET", "POST"]
}

payload := claims if {
	[_, encoded] := split(request.headers.authorization, " ")
	[valid, _, claims] := io.jwt.decode_verify(encoded, {"secret": "secret"})
	valid
}
`

const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const token = (claims: object, secret = 'secret') => {
  const signed = `${b64({ alg: 'HS256', typ: 'JWT' })}.${b64(claims)}`
  return `Bearer ${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
const guest = token({ sub: 'alice', role: 'guest' })
const admin = token({ sub: 'bob', role: 'admin' })

type Request = Omit<Parameters<typeof http>[0], 'port'>
const requests: [name: string, request: Request][] = [
  [
    'a guest reads',
    { path: '/people', headers: { authorization: guest, 'x-secret': '1', 'x-current-user': 'forged' } },
  ],
  ['a guest writes', { path: '/people', method: 'POST', headers: { authorization: guest } }],
  ['an admin writes', { path: '/people/bob', method: 'POST', headers: { authorization: admin } }],
  ['nobody reads', { path: '/people' }],
  [
    'a forged token',
    { path: '/people', headers: { authorization: token({ sub: 'x', role: 'admin' }, 'other') } },
  ],
  [
    'an expired token',
    { path: '/people', headers: { authorization: token({ sub: 'x', role: 'admin', exp: 1 }) } },
  ],
  ['a token that is none', { path: '/people', headers: { authorization: 'Bearer nonsense' } }],
  ['health', { path: '/health' }],
  ['health with a query', { path: '/health?verbose=1' }],
  ['health with another method', { path: '/health', method: 'DELETE' }],
  ['an escaped path', { path: '/peopl%65', headers: { authorization: guest } }],
  ['a status and body of its own', { path: '/wait/alice' }],
  ['a query', { path: '/query?code=a+b' }],
  ['another query', { path: '/query?code=a' }],
  [
    'a JSON body',
    {
      path: '/body',
      method: 'POST',
      body: '{"firstname": "Bob"}',
      headers: { 'content-type': 'application/json' },
    },
  ],
  [
    'another JSON body',
    {
      path: '/body',
      method: 'POST',
      body: '{"firstname": "Eve"}',
      headers: { 'content-type': 'application/json' },
    },
  ],
  [
    'no JSON',
    { path: '/body', method: 'POST', body: '{"firstname', headers: { 'content-type': 'application/json' } },
  ],
  ['an undefined decision', { path: '/query' }],
]

const withBody = { with_request_body: { max_request_bytes: 8192, allow_partial_message: true } }

t.test('a policy in the manner of the tutorials decides as under the real OPA Envoy plugin', async (t) => {
  using folder = temporaryFolder()
  await using upstream = await startUpstream()
  await using plugin = await startOpaEnvoyPlugin(join(folder.path, 'opa'), { 'policy.rego': rego })
  const own = join(folder.path, 'sluice')
  mkdirSync(own)
  writeFileSync(join(own, 'policy.tar.gz'), await buildBundle({ files: { 'policy.rego': rego } }))
  await using _agent = await startAgent({ folder: own, config: { policy: { bundle: 'policy.tar.gz' } } })
  const [theirPort, ourPort] = (await freePorts(2)) as [number, number]
  await using _envoy = await startEnvoy({
    static_resources: {
      listeners: [
        plainListener({ name: 'theirs', port: theirPort, filter: extAuthzFilter('theirs', withBody) }),
        plainListener({ name: 'ours', port: ourPort, filter: extAuthzFilter('ours', withBody) }),
      ],
      clusters: [
        cluster({ name: 'theirs', address: `127.0.0.1:${plugin.port}`, isHttp2: true }),
        cluster({ name: 'ours', address: `unix:${join(own, 'agent.sock')}`, isHttp2: true }),
        cluster({ name: 'upstream', address: `127.0.0.1:${upstream.port}`, isHttp2: false }),
      ],
    },
  })
  const watched = ['x-current-user', 'x-roles', 'x-secret']
  const shown = ['x-denied-by', 'x-seen-by']
  const ask = async (port: number, request: Request) => {
    upstream.arrivals.length = 0
    const answer = await http({ ...request, port })
    const isDenied = upstream.arrivals.length === 0
    return {
      status: answer.status,
      isDenied,
      answerHeaders: Object.fromEntries(shown.map((name) => [name, answer.headers[name]])),
      // Where policy did not decide, ours has the text of the reason, and the plugin's none or the error.
      body: answer.status === 400 || answer.body.includes('denied by policy') ? '' : answer.body,
      upstream: watched.map((name) => upstream.lastHeader(name)),
    }
  }
  for (const [name, request] of requests)
    t.same(await ask(ourPort, request), await ask(theirPort, request), name)
})
