import t from 'tap'
import { parseJwtBundlesResponse } from '#identity/workload-api/jwt-bundles.ts'
import { parseJwtSvid } from '#identity/workload-api/jwt-svid.ts'
import fc from '../../fast-check.ts'
import { jwtBundles } from './messages.ts'

const wanted = { audience: ['models'], nowMs: 1_700_000_000_000 }
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

t.test('neither tokens nor bundles of any kind make their readers throw', async () => {
  const json = fc.jsonValue()
  fc.assert(
    fc.property(json, json, fc.string(), (header, claims, text) => {
      parseJwtSvid(text, wanted)
      parseJwtSvid(`${part(header)}.${part(claims)}.AAAA`, wanted)
      parseJwtSvid(`${part({ alg: 'ES256' })}.${part({ sub: text, aud: claims, exp: header })}.AAAA`, wanted)
    }),
  )
  fc.assert(
    fc.property(json, fc.uint8Array(), (value, bytes) => {
      parseJwtBundlesResponse(bytes)
      parseJwtBundlesResponse(jwtBundles({ 'spiffe://example.org': value }))
      parseJwtBundlesResponse(jwtBundles({ 'spiffe://example.org': { keys: [value] } }))
    }),
  )
})
