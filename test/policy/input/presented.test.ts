import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { policyInput } from '#policy/input/input.ts'
import { presented } from '#policy/input/presented.ts'
import { defaultSwitches } from '#policy/switches.ts'
import { validExchange } from '../exchange.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')
const attributes = {
  source: { principal: 'spiffe://example.org/a' },
  request: {
    http: {
      host: 'Models:443',
      path: '/',
      headers: { ':authority': 'Models:443', 'x-tenant-id': 'globex', accept: '*/*' },
      headerMap: {
        headers: [
          { key: ':authority', rawValue: base64('Models:443') },
          { key: 'X-Tenant-Id', rawValue: base64('globex') },
          { key: 'accept', value: '*/*' },
          { key: 'host', value: 'Models:443' },
        ],
      },
    },
  },
}

t.test('policy sees one form of the host, and no header in which a client says its tenant', async (t) => {
  const canonical = { path: '/', authority: 'models:443', withheld: ['x-tenant-id'] }
  const before = structuredClone(attributes)
  const seen = policyInput(validExchange({ attributes, canonical }), defaultSwitches) as JsonObject
  t.same(seen['attributes'], {
    source: { principal: 'spiffe://example.org/a' },
    request: {
      http: {
        host: 'models:443',
        path: '/',
        headers: { ':authority': 'models:443', accept: '*/*' },
        headerMap: {
          headers: [
            { key: ':authority', rawValue: base64('models:443') },
            { key: 'accept', value: '*/*' },
            { key: 'host', value: 'models:443' },
          ],
        },
      },
    },
  })
  t.same(attributes, before, 'the facts stay as they are')
})

t.test('where there is nothing to change nothing is copied', async (t) => {
  const canonical = { path: '/', authority: 'Models:443', withheld: [] }
  t.equal(presented(attributes, canonical), attributes)
  t.equal(presented(attributes, { ...canonical, withheld: undefined }), attributes)
  t.same(presented({}, { ...canonical, withheld: ['a'] }), {})
})

t.test('that a body was cut is Envoy’s word where Envoy can say it', async (t) => {
  const headers = [
    ['content-type', 'application/json'],
    ['x-envoy-auth-partial-body', 'true'],
  ] as const
  const x = validExchange({ headers, body: '{"a":1}' })
  const seen = (api: 'ext_authz' | 'ext_proc') =>
    policyInput({ ...x, request: { ...x.request, api } }, defaultSwitches) as JsonObject
  t.match(seen('ext_authz'), { truncated_body: true, parsed_body: null })
  t.match(seen('ext_proc'), { truncated_body: false, parsed_body: { a: 1 } }, 'a client cannot hide it')
})

t.test('policy sees no header that nobody vouches for', async (t) => {
  const forged = {
    request: {
      http: {
        host: 'models',
        headers: { 'x-forwarded-client-cert': 'URI=spiffe://example.org/admin', accept: '*/*' },
        headerMap: {
          headers: [
            { key: 'X-Forwarded-Client-Cert', value: 'a' },
            { key: 'accept', value: '*/*' },
          ],
        },
      },
    },
  }
  for (const withheld of [undefined, [], ['x-tenant-id']]) {
    const canonical = { path: '/', authority: 'models', withheld }
    const x = validExchange({ attributes: forged, canonical })
    x.unvouched = ['x-forwarded-client-cert']
    const seen = policyInput(x, defaultSwitches) as JsonObject
    t.match(seen['attributes'], {
      request: { http: { headers: { accept: '*/*' }, headerMap: { headers: [{ key: 'accept' }] } } },
    })
    t.notOk(JSON.stringify(seen).toLowerCase().includes('x-forwarded-client-cert'))
  }
})
