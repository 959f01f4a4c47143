import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import t from 'tap'
import { goTool } from '../harness/go-tools.ts'
import { http } from '../harness/http.ts'
import { startOpaEnvoyPlugin } from '../harness/opa-envoy-plugin.ts'
import { freePorts } from '../harness/ports.ts'
import { startProcess } from '../harness/process.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { type Attributes, checkBytes } from './contract/check.ts'
import { type Side, sideAt } from './contract/pair.ts'

/** As libraries for Envoy are laid out that a control plane delivers: packages whose names have dots. */
const files = {
  'main.rego': `package policy["com.example.envoy.ingress"].main

import data.policy["com.example.envoy.ingress"].rules

default outcome := {"allowed": false, "http_status": 401}

outcome := {"allowed": true, "headers": {"x-user": rules.user}} if count(rules.reasons) == 0

outcome := {"allowed": false, "http_status": 403, "body": concat(", ", rules.reasons)} if count(rules.reasons) > 0
`,
  'rules.rego': `package policy["com.example.envoy.ingress"].rules

import input.attributes.request.http as request

user := object.get(request.headers, "x-user", "nobody")

reasons contains "writes are not allowed" if request.method != "GET"

reasons contains "Bob is blocked" if user == "bob"

reasons contains sprintf("%s is too deep", [request.path]) if count(input.parsed_path) > 2

reasons contains "network" if net.cidr_contains("10.0.0.0/8", input.attributes.source.address.socketAddress.address)
`,
}
const path = 'policy/com.example.envoy.ingress/main/outcome'
const query = 'data.policy["com.example.envoy.ingress"].main.outcome'

const from = (address: string): Attributes => ({
  source: { address: { address: { case: 'socketAddress', value: { address } } } },
})
const plain = {
  allowed: checkBytes({ headers: { 'x-user': 'ann' } }, from('192.0.2.1')),
  network: checkBytes({}, from('10.1.2.3')),
}
/** Where a module walks a set in another order, or reads an address in another way, than OPA. */
const ownOrder = {
  reasons: checkBytes({ method: 'POST', path: '/a/b/c', headers: { 'x-user': 'bob' } }, from('10.1.2.3')),
  mapped: checkBytes({ headers: { 'x-user': 'ann' } }, from('::ffff:10.1.2.3')),
}

t.test("a library's dotted packages are asked as under the plugin, with both engines", async (t) => {
  using folder = temporaryFolder()
  await using plugin = await startOpaEnvoyPlugin(join(folder.path, 'opa'), files, {
    settings: [`path=${path}`],
  })
  using theirs = sideAt(`127.0.0.1:${plugin.port}`)
  await using wasm = await startAgent(folder.path, 'wasm', [`path=${path}`])
  await using compiled = await startAgent(folder.path, 'compiled', [`query=${query}`])
  const answers = async (side: Side, requests: Readonly<Record<string, Buffer>>) => {
    const all: Record<string, unknown> = {}
    for (const [name, bytes] of Object.entries(requests)) {
      const answer = await side.ask(bytes)
      all[name] =
        'headers' in answer
          ? { ...answer, headers: answer.headers.filter(([header]) => !header.startsWith('x-sluice-')) }
          : answer
    }
    return all
  }
  const expected = await answers(theirs, plain)
  t.match(
    expected,
    { allowed: { kind: 'ok' }, network: { kind: 'denied', body: 'network' } },
    'the plugin itself',
  )
  t.same(await answers(wasm.side, plain), expected)
  t.same(await answers(compiled.side, plain), expected)

  const sorted = await answers(theirs, ownOrder)
  t.match(
    sorted,
    {
      reasons: { body: '/a/b/c is too deep, Bob is blocked, network, writes are not allowed' },
      mapped: { kind: 'denied', body: 'network' },
    },
    'the plugin itself',
  )
  t.same(
    await answers(compiled.side, ownOrder),
    sorted,
    'the compiled engine walks sets and reads addresses as OPA',
  )
  const module = await answers(wasm.side, ownOrder)
  t.match(
    module,
    { reasons: { kind: 'denied', httpStatus: 403 }, mapped: { kind: 'ok' } },
    'documented: what a module does otherwise',
  )
})

async function startAgent(folder: string, engine: 'wasm' | 'compiled', settings: readonly string[]) {
  const own = join(folder, engine)
  mkdirSync(own)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(own, name), text)
  const [port, probes] = (await freePorts(2)) as [number, number]
  const set = [`addr=127.0.0.1:${port}`, ...settings].map((each) => `plugins.envoy_ext_authz_grpc.${each}`)
  const agent = await startProcess({
    name: `the agent, ${engine}`,
    program: process.execPath,
    args: [
      ...[join(import.meta.dirname, '..', '..', 'agent', 'main.ts'), 'agent', '--policy-engine', engine],
      ...set.flatMap((each) => ['--set', each]),
      ...['--diagnostic-addr', `127.0.0.1:${probes}`, own],
    ],
    env: { PATH: [dirname(await goTool('opa')), process.env['PATH']].join(delimiter) },
    isReady: async () => (await http({ port: probes, path: '/health?plugins' })).status === 200,
  })
  const side = sideAt(`127.0.0.1:${port}`)
  return {
    side,
    [Symbol.asyncDispose]: async () => {
      side[Symbol.dispose]()
      await agent[Symbol.asyncDispose]()
    },
  }
}
