import { create } from '@bufbuild/protobuf'
import { anyPack, StringValueSchema } from '@bufbuild/protobuf/wkt'
import { type Attributes, bytesOf } from '../check.ts'
import type { Difference } from '../differences.ts'
import { type Case, caseOf, form, json, octets } from './case.ts'

const address = {
  socketAddress: { address: '10.0.0.7', portSpecifier: { case: 'portValue', value: 8443 } },
} as const
const attributes: readonly (readonly [name: string, attributes: Attributes, differs?: Difference])[] = [
  [
    'everything',
    {
      source: {
        address: { address: { case: 'socketAddress', value: address.socketAddress } },
        service: 'caller',
        labels: { app: 'x' },
        principal: '',
        certificate: '-----BEGIN%20CERTIFICATE-----%0A',
      },
      destination: {
        address: { address: { case: 'pipe', value: { path: '/run/x.sock', mode: 511 } } },
        principal: 'spiffe://x/b',
      },
      request: {
        time: { seconds: 1_790_000_000n, nanos: 123_000_000 },
        http: {
          id: '17',
          method: 'POST',
          path: '/a?b=c',
          host: 'models',
          scheme: 'https',
          query: 'b=c',
          fragment: 'f',
          size: 12n,
          protocol: 'HTTP/2',
          body: 'text',
          headers: { ':path': '/a?b=c', 'x-a': '1', constructor: '2' },
        },
      },
      contextExtensions: { virtual_host: 'v' },
      metadataContext: {
        filterMetadata: {
          'envoy.filters.x': { a: [1, 0.5, null, true, 'x', { b: {} }], big: 1e21, none: [] },
        },
      },
      routeMetadataContext: { filterMetadata: { r: {} } },
      tlsSession: { sni: 'models.example' },
    },
  ],
  ['nothing but a request', { request: { http: {} } }],
  [
    'empty messages',
    {
      source: {},
      destination: {},
      request: { http: {}, time: {} },
      metadataContext: {},
      routeMetadataContext: {},
      tlsSession: {},
    },
  ],
  ['an empty address', { source: { address: {} }, request: { http: {} } }],
  [
    'port 0',
    {
      source: {
        address: {
          address: {
            case: 'socketAddress',
            value: { address: 'h', portSpecifier: { case: 'portValue', value: 0 } },
          },
        },
      },
      request: { http: {} },
    },
  ],
  [
    'a named port',
    {
      source: {
        address: {
          address: {
            case: 'socketAddress',
            value: {
              protocol: 1,
              resolverName: 'r',
              ipv4Compat: true,
              portSpecifier: { case: 'namedPort', value: 'http' },
            },
          },
        },
      },
      request: { http: {} },
    },
  ],
  ['an empty pipe', { source: { address: { address: { case: 'pipe', value: {} } } }, request: { http: {} } }],
  [
    'an internal address',
    {
      source: {
        address: {
          address: {
            case: 'envoyInternalAddress',
            value: { endpointId: 'e', addressNameSpecifier: { case: 'serverListenerName', value: 'l' } },
          },
        },
      },
      request: { http: {} },
    },
  ],
  [
    'an empty internal address',
    {
      source: {
        address: {
          address: {
            case: 'envoyInternalAddress',
            value: { addressNameSpecifier: { case: 'serverListenerName', value: '' } },
          },
        },
      },
      request: { http: {} },
    },
  ],
  ['a principal', { source: { principal: 'spiffe://x/a' }, request: { http: {} } }, 'source-principal'],
  [
    'raw headers',
    {
      request: {
        http: {
          path: '/a',
          headerMap: {
            headers: [
              { key: 'x-a', rawValue: octets(0x61) },
              { key: 'x-a', rawValue: octets(0xff) },
              { key: 'x-b', value: 'v' },
            ],
          },
        },
      },
    },
    'header-map',
  ],
  [
    'raw headers and headers',
    {
      request: {
        http: {
          path: '/a',
          headers: { 'x-c': '1' },
          headerMap: { headers: [{ key: 'x-a', rawValue: octets(0x61) }] },
        },
      },
    },
  ],
  ['no raw header', { request: { http: { headerMap: {} } } }],
  [
    'a body in both forms',
    {
      request: {
        http: { headers: { 'content-type': json }, body: '{"a":1}', rawBody: Buffer.from('{"a":2}') },
      },
    },
  ],
  ['a body as text', { request: { http: { headers: { 'content-type': json }, body: '{"a":"é"}' } } }],
  ['a form as text', { request: { http: { headers: { 'content-type': form }, body: 'a=é' } } }],
  ['a size of -1', { request: { http: { size: -1n } } }],
  ['a negative time', { request: { time: { seconds: -5n, nanos: 1 }, http: {} } }],
  [
    'typed metadata',
    {
      request: { http: {} },
      metadataContext: {
        typedFilterMetadata: {
          t: anyPack(StringValueSchema, create(StringValueSchema, { value: 'x' })),
          empty: { typeUrl: 'type.googleapis.com/google.protobuf.Empty' },
          none: {},
        },
      },
    },
  ],
  [
    'headers with no content type',
    { request: { http: { headers: { 'Content-Type': json }, rawBody: Buffer.from('{"a":1}') } } },
    'header-case',
  ],
  [
    'headers of more than ASCII',
    { request: { http: { headers: { 'x-a': 'é😀\u0000\u2028', '': 'empty' } } } },
  ],
]

export const attributeCases: readonly Case[] = attributes.map(([name, fields, differs]) =>
  caseOf(`attributes: ${name}`, bytesOf(fields), differs),
)
