import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '#config/config.ts'
import { temporaryFolder } from '../harness/temp.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())

function load(envoy: object, more: object = {}) {
  const path = join(folder.path, 'sluice.yaml')
  const section = {
    main: '127.0.0.1:8443',
    tls: { certificate: 'tls.pem', privateKey: 'tls.key', trustBundles: { 'example.org': 'ca.pem' } },
    upstream: { http: '127.0.0.1:8000', grpc: '127.0.0.1:8001' },
    ...envoy,
  }
  writeFileSync(path, JSON.stringify({ listen: { agent: 'unix:/run/agent.sock' }, envoy: section, ...more }))
  return loadConfig(path)
}
const production = { profile: 'production' }

t.test('Envoy is looked at every minute', async (t) => {
  t.match(load({}).envoy, { audit: { everySeconds: 60, accept: [] } })
  t.match(load({ audit: { admin: 'unix:/run/admin.sock', everySeconds: 5 } }).envoy?.audit, {
    admin: 'unix:/run/admin.sock',
    everySeconds: 5,
  })
})

t.test('production needs an address at which Envoy can be looked at', async (t) => {
  t.throws(
    () => load({}, production),
    /envoy\.audit\.admin: .*; expected Envoy's admin address, there or in envoy\.admin/,
  )
  t.doesNotThrow(() => load({ admin: 'unix:/run/admin.sock' }, production))
  t.doesNotThrow(() => load({ audit: { admin: '127.0.0.1:9901' } }, production))
})

t.test('what cannot be meant is refused', async (t) => {
  for (const [envoy, text] of [
    [{ audit: { admin: 'http://127.0.0.1' } }, /envoy\.audit\.admin/],
    [{ audit: { everySeconds: 0 } }, /envoy\.audit\.everySeconds/],
    [{ audit: { accept: ['Host Port'] } }, /envoy\.audit\.accept\.0.*expected the name of a rule/],
    [{ audit: { often: 1 } }, /envoy\.audit\.often/],
    [{ maxConnectionSeconds: 9 }, /envoy\.maxConnectionSeconds/],
    [{ maxConnectionSeconds: 100_000 }, /envoy\.maxConnectionSeconds/],
  ] as const)
    t.throws(() => load(envoy), text)
})
