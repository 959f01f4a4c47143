import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { type Envoy, startEnvoy } from '../../../harness/envoy.ts'
import { http } from '../../../harness/http.ts'
import { freePorts } from '../../../harness/ports.ts'
import { ratelimitSource } from '../../../harness/ratelimit.ts'
import { temporaryFolder } from '../../../harness/temp.ts'
import { startUpstream } from '../../../harness/upstream.ts'
import { startOwnServer } from './own-server.ts'

const source = await ratelimitSource()

type Headers = Readonly<Record<string, string>>
/** A request and whether it passes. */
type Step = readonly [path: string, headers: Headers, isAllowed: boolean]

const repeated = (count: number, path: string, headers: Headers, isAllowed: boolean): readonly Step[] =>
  Array.from({ length: count }, () => [path, headers, isAllowed])
const of = (source: string, destination: string) => ({
  source_cluster: source,
  destination_cluster: destination,
})

/** What the peer's own scripts ask of it, and what they expect. */
const scripts: readonly { readonly name: string; readonly steps: readonly Step[] }[] = [
  { name: 'simple-get', steps: [['/twoheader', { foo: 'test', baz: 'shady' }, true]] },
  {
    name: 'trigger-ratelimit',
    steps: [
      ...repeated(3, '/twoheader', { foo: 'pelle', baz: 'not-so-shady' }, true),
      ...repeated(2, '/twoheader', { foo: 'pelle', baz: 'not-so-shady' }, false),
    ],
  },
  { name: 'trigger-shadow-mode-key', steps: repeated(6, '/twoheader', { foo: 'pelle', baz: 'shady' }, true) },
  {
    name: 'value-included-in-stats-key-when-unspecified',
    steps: [
      ...repeated(2, '/unspec', { unspec: 'unspecified_value' }, true),
      ['/unspec', { unspec: 'unspecified_value' }, false],
    ],
  },
  {
    name: 'replaces: a larger limit',
    steps: [
      ['/twoheader', { foo: 'bkthomps', bar: 'banned' }, false],
      ['/fourheader', { foo: 'bkthomps', bar: 'banned', ...of('proxy', 'mock') }, false],
      ...repeated(2, '/fourheader', { foo: 'bkthomps', bar: 'banned', ...of('proxy', 'override') }, true),
      ['/fourheader', { foo: 'bkthomps', bar: 'banned', ...of('proxy', 'override') }, false],
    ],
  },
  {
    name: 'replaces: what is replaced is not counted',
    steps: [
      ...repeated(2, '/fourheader', { foo: 'my_foo', bar: 'bkthomps', ...of('proxy', 'bkthomps') }, true),
      ['/fourheader', { foo: 'my_foo', bar: 'bkthomps', ...of('proxy', 'bkthomps') }, false],
      ['/fourheader', { foo: 'my_foo', bar: 'bkthomps', ...of('proxy', 'not_bkthomps') }, true],
      ['/fourheader', { foo: 'my_foo', bar: 'bkthomps', ...of('proxy', 'not_bkthomps') }, false],
      ['/fourheader', { foo: 'my_foo', bar: 'bkthomps', ...of('proxy', 'bkthomps') }, false],
    ],
  },
  {
    name: 'replaces: several limits',
    steps: [
      ...repeated(
        4,
        '/fiveheader',
        { foo: 'my_foo', bar: 'bkthomps', ...of('proxy', 'fake'), category: 'account' },
        true,
      ),
      ['/fiveheader', { foo: 'my_foo', bar: 'bkthomps', ...of('proxy', 'fake'), category: 'account' }, false],
      ['/twoheader', { foo: 'foo_2', bar: 'bkthomps' }, true],
      ['/twoheader', { foo: 'foo_2', bar: 'bkthomps' }, false],
      ...repeated(2, '/fourheader', { foo: 'foo_3', bar: 'bar_3', ...of('proxy', 'fake') }, true),
      ['/fourheader', { foo: 'foo_3', bar: 'bar_3', ...of('proxy', 'fake') }, false],
      ['/fiveheader', { foo: 'my_foo', bar: 'bkthomps', ...of('proxy', 'fake'), category: 'account' }, false],
    ],
  },
]

/** Its own example for Envoy, with our addresses in it; a call may take longer than 20 ms on a busy machine. */
function proxyConfig(port: number, upstreamPort: number, address: string): object {
  const config = parse(readFileSync(join(source, 'examples', 'envoy', 'proxy.yaml'), 'utf8'))
  const [listener] = config.static_resources.listeners
  listener.address.socket_address = { address: '127.0.0.1', port_value: port }
  const [filter] = listener.filter_chains[0].filters[0].typed_config.http_filters
  Object.assign(filter.typed_config, { timeout: '20s', failure_mode_deny: true })
  filter.typed_config.rate_limit_service.grpc_service.timeout = '20s'
  config.static_resources.clusters = [
    cluster({ name: 'ratelimit', address, isHttp2: true }),
    cluster({ name: 'mock', address: `127.0.0.1:${upstreamPort}`, isHttp2: false }),
  ]
  return config
}

for (const compat of ['fixed', 'strict'] as const) {
  t.test(`${compat}: the peer's own scripts pass, with its own files, behind Envoy`, async (t) => {
    using folder = temporaryFolder()
    const listen = `unix:${join(folder.path, 'own.sock')}`
    // A clock that stands: no window ends between two steps.
    const clock = { nowMs: () => 1_800_000_000_000, monotonicUs: () => 0 }
    await using _server = await startOwnServer({
      listen,
      paths: [join(source, 'examples', 'ratelimit', 'config')],
      rules: { compat, mergeDomains: false },
      clock,
    })
    await using upstream = await startUpstream()
    const [port] = (await freePorts(1)) as [number]
    await using envoy: Envoy = await startEnvoy(proxyConfig(port, upstream.port, listen))
    let remaining: string | undefined
    for (const { name, steps } of scripts) {
      for (const [index, [path, headers, isAllowed]] of steps.entries()) {
        const answer = await http({ port, path, headers })
        if (name === 'trigger-shadow-mode-key') remaining = String(answer.headers['x-ratelimit-remaining'])
        t.equal(answer.status, isAllowed ? 200 : 429, `${name}, step ${index}`)
      }
    }
    t.equal(remaining, '0', 'a shadow that is used up says so')
    const stats = await envoy.stats()
    t.equal(stats.get('cluster.mock.ratelimit.error') ?? 0, 0, 'each was answered')
  })
}
