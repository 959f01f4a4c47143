import { generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '#base/json.ts'
import { modelOf, policyFiles, tenantOf } from '../scene.ts'

/** A policy with its data, and requests that it allows. */
export interface Scene {
  readonly name: string
  readonly files: Readonly<Record<string, string>>
  readonly inputs: readonly JsonObject[]
}

const inputCount = 500

/** The RBAC policy of `bench -- authz`, and one that verifies a token. */
export function policyScenes(): Scene[] {
  return [
    {
      name: 'rbac',
      files: policyFiles,
      inputs: inputs((index) => ({
        'x-tenant': tenantOf(index),
        cookie: `session=${'0123456789abcdef'.repeat(40)}`,
      })),
    },
    tokenScene(),
  ]
}

function tokenScene(): Scene {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const token = (index: number) => {
    const claims = {
      iss: 'https://idp.example',
      aud: 'models',
      exp: 4_000_000_000,
      sub: `u${index}`,
      roles: ['scorer'],
    }
    const signed = `${encode({ alg: 'RS256', kid: 'k1' })}.${encode(claims)}`
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
  }
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'RS256' }] }
  const data = {
    jwks: JSON.stringify(jwks),
    users: Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`u${index}`, { name: `user ${index}` }]),
    ),
    grants: { scorer: Array.from({ length: 5 }, (_, index) => modelOf(index)), reader: [] },
  }
  return {
    name: 'jwt',
    files: {
      'jwt.rego': readFileSync(join(import.meta.dirname, 'jwt.rego'), 'utf8'),
      'data.json': JSON.stringify(data),
    },
    inputs: inputs((index) => ({ authorization: `Bearer ${token(index)}` })),
  }
}

/** What Envoy's requests look like to a policy: 2.4 KB, most of it headers. */
function inputs(own: (index: number) => Readonly<Record<string, string>>): JsonObject[] {
  return Array.from({ length: inputCount }, (_, index) => {
    const path = `/v2/models/${modelOf(index)}/infer`
    const id = `9f1c2d3e-0000-4000-8000-${String(index).padStart(12, '0')}`
    const socket = (port: number) => ({
      address: { socketAddress: { address: '10.244.1.17', portValue: port } },
    })
    const headers: Record<string, string> = {
      ':authority': 'models.default.svc.cluster.local',
      ':method': 'POST',
      ':path': path,
      ':scheme': 'https',
      accept: 'application/json',
      'accept-encoding': 'gzip, deflate, br',
      'content-length': '1834',
      'content-type': 'application/vnd.inference+json',
      'user-agent': 'tritonclient/2.51.0 python-requests/2.32.3',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      tracestate: 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
      'x-forwarded-client-cert': `By=spiffe://bench.sluice.dev/ns/models/sa/triton;Hash=${'ab12'.repeat(16)};URI=spiffe://bench.sluice.dev/ns/acme/sa/app`,
      'x-forwarded-for': '10.244.3.9, 10.244.1.17',
      'x-forwarded-proto': 'https',
      'x-request-id': id,
      ...own(index),
    }
    const http = {
      id,
      method: 'POST',
      headers,
      path,
      host: headers[':authority'] as string,
      scheme: 'https',
      protocol: 'HTTP/2',
      size: 1834,
    }
    return {
      attributes: {
        source: { ...socket(41_208), principal: 'spiffe://bench.sluice.dev/ns/acme/sa/app' },
        destination: { ...socket(8443), principal: 'spiffe://bench.sluice.dev/ns/models/sa/triton' },
        request: { time: { seconds: 1_790_000_000, nanos: 118_000_000 }, http },
        metadataContext: {},
        routeMetadataContext: {},
      },
      version: { ext_authz: 'v3', encoding: 'protojson' },
      parsed_path: path.slice(1).split('/'),
      parsed_query: {},
      parsed_body: null,
      truncated_body: false,
      source_principal: 'spiffe://bench.sluice.dev/ns/acme/sa/app',
      serving: { phase: 'request', protocol: 'v2-http', model: { verb: 'infer', name: modelOf(index) } },
    }
  })
}
