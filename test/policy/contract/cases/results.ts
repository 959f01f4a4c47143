import { checkBytes, resultCheck } from '../check.ts'
import type { Difference } from '../differences.ts'
import { type Case, caseOf } from './case.ts'

const results: readonly (readonly [result: unknown, differs?: Difference])[] = [
  [true],
  [false],
  [{ allowed: true }],
  [{ allowed: false }],
  [{ allowed: true, code: 'x', outcome: { a: 1 }, unknown: null, status_code: 401 }],
  [{ allowed: true, headers: { 'X-A': '1', 'x-b': ['2', '3'], 'x-c': [], 'x-d': '' } }],
  [{ allowed: true, headers: [{ 'x-a': '1' }, { 'x-a': '2', 'x-b': ['3'] }] }],
  [{ allowed: true, headers: {} }],
  [{ allowed: true, headers: [] }],
  [{ allowed: true, response_headers_to_add: { 'set-cookie': ['a=1', 'b=2'], 'x-a': 'é' } }],
  [{ allowed: true, response_headers_to_add: [{ 'x-a': '1' }, { 'x-a': '2' }] }],
  [{ allowed: true, request_headers_to_remove: ['X-A', 'x-b', 'x-b'] }],
  [{ allowed: true, request_headers_to_remove: [] }],
  [{ allowed: true, headers: { 'x-a': '1', 'x-b': '2' }, request_headers_to_remove: ['X-A'] }],
  [{ allowed: true, query_parameters_to_set: { a: 'z', q: ['1', '2'] } }],
  [{ allowed: true, query_parameters_to_set: {}, query_parameters_to_remove: [] }],
  [{ allowed: true, query_parameters_to_remove: ['a', 'b', 'c', 'nothing'] }],
  [{ allowed: true, query_parameters_to_set: { a: 'z', d: 'x' }, query_parameters_to_remove: ['a', 'b'] }],
  [{ allowed: true, dynamic_metadata: { a: 1, b: [true, null, 'x', { c: 0.5 }], decision_id: 'forged' } }],
  [{ allowed: true, dynamic_metadata: {} }],
  [{ allowed: false, dynamic_metadata: { a: 'x' } }],
  [{ allowed: false, body: 'no' }],
  [{ allowed: false, body: '' }],
  [{ allowed: false, body: 'é\u0000', headers: { 'content-type': 'text/html' } }],
  [{ allowed: false, headers: { 'set-cookie': ['1', '2'], location: '/login' }, http_status: 302 }],
  [{ allowed: false, headers: [{ 'x-a': '1' }, { 'x-a': '2' }] }],
  ...[
    100, 200, 204, 207, 226, 301, 302, 307, 308, 400, 401, 402, 403, 404, 418, 421, 425, 426, 429, 431, 451,
  ].map((http_status) => [{ allowed: false, http_status }] as const),
  ...[500, 502, 503, 507, 510, 511, 0, 1, 99, 299, 600, 999, -1, 403.5, '403', null, true, 1e10].map(
    (http_status) => [{ allowed: false, http_status }] as const,
  ),
  // What the other outcome has is not looked at.
  [{ allowed: true, http_status: 999, body: 1 }],
  [{ allowed: false, request_headers_to_remove: 1, query_parameters_to_set: 2, response_headers_to_add: 3 }],
  [{ allowed: false, query_parameters_to_remove: 'x' }],
  // Wrong types.
  ...[
    null,
    1,
    'true',
    [],
    [true],
    {},
    { allowed: 'true' },
    { allowed: 1 },
    { allowed: null },
    { Allowed: true },
  ].map((result) => [result] as const),
  ...[
    'x',
    1,
    null,
    true,
    ['x'],
    [[]],
    { a: 1 },
    { a: null },
    { a: [1] },
    { a: { b: 'c' } },
    [{ a: 1 }],
  ].flatMap(
    (wrong) =>
      [
        [{ allowed: true, headers: wrong }],
        [{ allowed: false, headers: wrong }],
        [{ allowed: true, response_headers_to_add: wrong }],
      ] as const,
  ),
  ...['x', 1, null, {}, [1], [null]].flatMap(
    (wrong) =>
      [
        [{ allowed: true, request_headers_to_remove: wrong }],
        [{ allowed: true, query_parameters_to_remove: wrong }],
      ] as const,
  ),
  ...['x', 1, null, [], [{ a: 'b' }], { a: 1 }, { a: [1] }, { a: null }, { a: { b: 'c' } }].map(
    (wrong) => [{ allowed: true, query_parameters_to_set: wrong }] as const,
  ),
  ...['x', 1, null, [], true].flatMap(
    (wrong) =>
      [
        [{ allowed: true, dynamic_metadata: wrong }],
        [{ allowed: false, dynamic_metadata: wrong }],
        [{ allowed: false, body: wrong === 'x' ? {} : wrong }],
      ] as const,
  ),
  // What a policy may not say.
  ...[':path', 'host', 'content-length', 'x-envoy-x', 'x-sluice-tenant', 'a b', '', 'é'].flatMap(
    (name) =>
      [
        [{ allowed: true, headers: { [name]: 'x' } }, 'forbidden-header'],
        [{ allowed: true, response_headers_to_add: { [name]: 'x' } }, 'forbidden-header'],
      ] as const,
  ),
  ...[':path', 'host', 'x-sluice-tenant'].map(
    (name) => [{ allowed: true, request_headers_to_remove: [name] }, 'forbidden-header'] as const,
  ),
  [{ allowed: true, headers: { 'x-a': 'a\r\nx-b: c' } }, 'forbidden-header'],
  [{ allowed: false, headers: { 'x-a': 'a\u0000' } }, 'forbidden-header'],
  [{ allowed: true, query_parameters_to_set: { 'a b': 'c&d' } }, 'escaped-query'],
]

/** Texts that stand for themselves: what JSON.stringify would not write. */
const resultTexts: readonly (readonly [text: string, differs?: Difference])[] = [
  ['{"allowed":false,"http_status":401.0}', 'status-with-point'],
  ['{"allowed":false,"http_status":4.01e2}', 'status-with-point'],
  ['{"allowed":true,"allowed":false}'],
  ['{"allowed":true,"headers":{"__proto__":"x"}}'],
  ['{"allowed":true,"dynamic_metadata":{"__proto__":{"a":1},"constructor":2}}'],
  ['{"allowed":true,"query_parameters_to_set":{"__proto__":"x"}}'],
  ['{"allowed":true,"dynamic_metadata":{"n":123456789012345678901234567890,"f":1.10}}'],
  ['nonsense'],
]

/** What a policy says to clients that speak gRPC. */
const toGrpc = (result: object, type: string) =>
  checkBytes({ method: 'POST', headers: { 'content-type': type, 'x-result': JSON.stringify(result) } })
const grpcResults: readonly (readonly [result: object, type: string, differs?: Difference])[] = [
  [{ allowed: true, headers: { 'x-a': '1' } }, 'application/grpc'],
  [{ allowed: false }, 'application/grpc'],
  [{ allowed: false, body: 'no', http_status: 401, headers: { 'x-a': '1' } }, 'application/grpc+proto'],
  [{ allowed: false, headers: { 'content-type': 'text/plain' } }, 'application/grpc', 'grpc-content-type'],
  [{ allowed: false }, 'application/grpc-web', 'grpc-web'],
]

export const resultCases: readonly Case[] = [
  ...results.map(([result, differs]) =>
    caseOf(`result ${JSON.stringify(result)}`, resultCheck(result), differs),
  ),
  ...grpcResults.map(([result, type, differs]) =>
    caseOf(`result ${JSON.stringify(result)} to ${type}`, toGrpc(result, type), differs),
  ),
  ...resultTexts.map(([text, differs]) => caseOf(`result ${text}`, resultCheck(undefined, text), differs)),
]
