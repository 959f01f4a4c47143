import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { patched, readPatch } from '#policy/bundle/patch.ts'
import { startBundleServer } from '../../harness/bundle-server.ts'
import { goTool } from '../../harness/go-tools.ts'
import { http } from '../../harness/http.ts'
import { freePorts } from '../../harness/ports.ts'
import { startProcess } from '../../harness/process.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { archive } from './archive.ts'

const data: JsonObject = {
  users: { ann: { roles: ['a', 'b'], 'x/y~z': 1 }, bob: { roles: [] } },
  list: [1, { two: [2] }, 3],
  text: 'x',
}

type Operation = readonly [op: string, path: string, value?: unknown]
/** Each is asked of the real OPA too: what comes of it, or that it does not fit. */
const cases: readonly (readonly Operation[])[] = [
  [['upsert', '/users/eve', { roles: ['c'] }]],
  [['upsert', 'users/ann/roles', ['z']]],
  [['upsert', '/users/ann/roles/0', 'first']],
  [['upsert', '/users/ann/roles/-', 'last']],
  [['upsert', '/new/deep/er', null]],
  [['upsert', '/users/ann/x~1y~0z', 2]],
  [['upsert', '/list/1/two/0', 0]],
  [['upsert', '/text', { now: 'an object' }]],
  [['upsert', '/users/bob/', 1]],
  [['replace', '/users/bob/roles', [1]]],
  [['replace', '/list/0', 'one']],
  [['remove', '/users/ann']],
  [['remove', '/list/1']],
  [
    ['upsert', '/users/eve', {}],
    ['upsert', '/users/eve/roles', []],
    ['upsert', '/users/eve/roles/-', 'a'],
    ['remove', '/users/bob'],
  ],
  [
    ['remove', '/users/ann'],
    ['remove', '/users/ann'],
  ],
  [['remove', '/users/eve']],
  [['remove', '/list/3']],
  [['remove', '/list/-']],
  [['replace', '/users/eve', 1]],
  [['replace', '/list/3', 1]],
  [['upsert', '/list/9', 1]],
  [['upsert', '/list/x', 1]],
  [['upsert', '/text/below', 1]],
  [['replace', '/nothing/there', 1]],
  [['append', '/users/eve', 1]],
]
const patchOf = (operations: readonly Operation[], root: string) => ({
  data: operations.map(([op, path, value]) => ({ op, path: `/${root}/${path.replace(/^\//, '')}`, value })),
})

/** The data after a patch, or the data before it where it does not fit. */
function ours(operations: readonly Operation[]): unknown {
  const before = structuredClone(data)
  try {
    const patch = readPatch(Buffer.from(JSON.stringify(patchOf(operations, 'r'))), 'p', ['r'])
    return patched({ r: data }, patch, 'p')['r']
  } catch (thrown) {
    t.match(thrown, { code: 'bundle_refused' })
    return before
  } finally {
    t.same(data, before, 'the data before it is as it was')
  }
}

t.test('a patch changes data as under the real OPA, and does not fit where it does not there', async (t) => {
  await using server = await startBundleServer()
  using folder = temporaryFolder()
  const [port] = (await freePorts(1)) as [number]
  const names = cases.map((_, index) => `b${index}`)
  for (const name of names)
    server.put(`/bundles/${name}`, archive({ 'data.json': { [name]: data }, '.manifest': { roots: [name] } }))
  const polling = { min_delay_seconds: 1, max_delay_seconds: 1 }
  const bundles = Object.fromEntries(names.map((name) => [name, { polling }]))
  const config = join(folder.path, 'config.json')
  writeFileSync(config, JSON.stringify({ services: { s: { url: server.url } }, bundles }))
  await using _opa = await startProcess({
    name: 'opa',
    program: await goTool('opa'),
    args: ['run', '--server', '--addr', `127.0.0.1:${port}`, '-c', config, '--log-level', 'error'],
    isReady: async () => (await http({ port, path: '/health?bundles' })).status === 200,
  })
  const seen = (name: string) => server.requests.filter(({ url }) => url === `/bundles/${name}`).length
  const before = new Map(names.map((name) => [name, seen(name)]))
  for (const [index, operations] of cases.entries()) {
    const name = `b${index}`
    const patch = patchOf(operations, name)
    server.put(`/bundles/${name}`, archive({ 'patch.json': patch, '.manifest': { roots: [name] } }))
  }
  // A third request comes after the answer to the second, which had the patch, was dealt with.
  await eventually('OPA has dealt with every patch', () =>
    names.every((name) => seen(name) >= (before.get(name) ?? 0) + 3),
  )
  for (const [index, operations] of cases.entries()) {
    const { body } = await http({ port, path: `/v1/data/b${index}` })
    t.same(ours(operations), JSON.parse(body).result, JSON.stringify(operations))
  }
})

t.test('an index with a zero before it is none (RFC 6901), although OPA reads it', async (t) => {
  t.same(ours([['upsert', '/list/01', 1]]), data)
})

t.test('what is no patch, or leaves the roots, is refused', async (t) => {
  const bad: [name: string, patch: unknown, says: RegExp][] = [
    ['no list', {}, /expected data with upsert/],
    ['no operation, which OPA takes for a snapshot of nothing', { data: [] }, /expected data with upsert/],
    ['a key more', { data: [{ op: 'remove', path: '/r/a', from: '/r/b' }] }, /expected data with upsert/],
    ['no path', { data: [{ op: 'remove' }] }, /expected data with upsert/],
    ['the whole document', { data: [{ op: 'replace', path: '/', value: {} }] }, /the path \/;/],
    ['outside', { data: [{ op: 'upsert', path: '/s/a', value: 1 }] }, /one under the roots r/],
    ['above', { data: [{ op: 'upsert', path: '/rr', value: 1 }] }, /one under the roots r/],
    ['the prototype', { data: [{ op: 'upsert', path: '/r/__proto__/x', value: 1 }] }, /__proto__/],
    ['an escaped way out', { data: [{ op: 'upsert', path: '/r~1a', value: 1 }] }, /the path \/r~1a/],
  ]
  for (const [name, patch, says] of bad)
    t.throws(() => readPatch(Buffer.from(JSON.stringify(patch)), 'p', ['r']), { message: says }, name)
  t.throws(() => readPatch(Buffer.from('{'), 'p', ['r']), { message: /expected JSON/ })
  t.notOk('x' in {}, 'no patch changes what every object has')
})
