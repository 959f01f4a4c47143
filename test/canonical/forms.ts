import type { ReasonCode } from '#decision/reasons.ts'
import type { Outcome } from './spellings.ts'

type Verdict = 'allow' | ReasonCode

const host = 'host_not_canonical'
const header = 'header_not_canonical'
const method = 'method_not_canonical'
const twice = 'header_duplicated'

/**
 * An authority, by rule; `http1` is what becomes of it as a `Host` header behind Envoy, `http2` as `:authority`. `shown` is
 * what Envoy makes of it before anybody sees it: without its port, and without the dot at its end.
 */
export interface HostForm {
  readonly rule: string
  readonly authority: string
  readonly shown: string
  readonly sluice: Verdict
  readonly http1: Outcome
  readonly http2: Outcome
}

const hostRow = (
  rule: string,
  authority: string,
  sluice: Verdict,
  http1: Outcome = sluice === 'allow' ? 'served' : sluice,
  http2: Outcome = http1,
  shown: string = authority,
): HostForm => ({ rule, authority, shown, sluice, http1, http2 })

/** One that Envoy makes another of, which is served. */
const strippedRow = (rule: string, authority: string, sluice: Verdict, shown: string): HostForm =>
  hostRow(rule, authority, sluice, 'served', 'served', shown)

export const hostForms: readonly HostForm[] = [
  hostRow('A0', 'models', 'allow'),
  hostRow('A0', 'models.ml.svc.cluster.local', 'allow'),
  strippedRow('A0', 'ported:8443', 'allow', 'ported'),
  hostRow('A0', 'model_server', 'allow'),
  hostRow('A0', '10.0.0.1', 'allow'),
  strippedRow('A0', '10.0.0.2:65535', 'allow', '10.0.0.2'),
  hostRow('A0', '[::1]', 'allow'),
  strippedRow('A0', '[2001:db8::2]:8443', 'allow', '[2001:db8::2]'),
  hostRow('A1', 'MODELS', 'allow'),
  strippedRow('A1', 'Models.Example.Org:8443', 'allow', 'Models.Example.Org'),
  hostRow('A1', '[2001:DB8::1]', 'allow'),
  hostRow('A2', '', host, host, 'closed'),
  hostRow('A2', ':443', host, 'envoy'),
  hostRow('A3', 'user@models', host, host, 'closed'),
  hostRow('A3', 'user:secret@models', host, host, 'closed'),
  hostRow('A4', '%6dodels', host),
  hostRow('A4', 'models*', host),
  hostRow('A4', 'mo$dels', host),
  hostRow('A4', 'mod els', host, 'closed'),
  hostRow('A4', 'models\0', host, 'closed'),
  hostRow('A4', 'mod\tels', host, 'closed'),
  hostRow('A4', 'mod\xe9ls', host, 'closed'),
  hostRow('A4', 'models/x', host, 'closed'),
  hostRow('A4', 'models?x', host, 'closed'),
  hostRow('A4', 'models#x', host, 'closed'),
  hostRow('A4', 'models\\x', host, 'closed'),
  strippedRow('A5', 'dotted.', host, 'dotted'),
  strippedRow('A5', 'dotted.port.:443', host, 'dotted.port'),
  hostRow('A5', '.models', host),
  hostRow('A5', 'models..org', host),
  hostRow('A5', `${'a'.repeat(254)}`, host),
  hostRow('A6', 'models:', host),
  strippedRow('A6', 'port-0:0', host, 'port-0'),
  strippedRow('A6', 'port-080:080', host, 'port-080'),
  strippedRow('A6', 'port-65536:65536', host, 'port-65536'),
  hostRow('A6', 'models:http', host),
  strippedRow('A6', 'two-ports:1:2', host, 'two-ports:1'),
  hostRow('A7', '127.1', host),
  hostRow('A7', '2130706433', host),
  hostRow('A7', '0x7f.0.0.1', host),
  hostRow('A7', '0x7f000001', host),
  hostRow('A7', '010.0.0.1', host),
  hostRow('A7', '1.2.3.256', host),
  hostRow('A7', 'models.1', host),
  hostRow('A7', '[0:0:0:0:0:0:0:1]', host),
  hostRow('A7', '[::ffff:a00:1]', host),
  hostRow('A7', '[fe80::1%25eth0]', host),
  hostRow('A7', '[::1', host, 'envoy'),
  hostRow('A7', '[models]', host),
  hostRow('A7', '[::1]x', host),
  hostRow('A7', '::1', host, 'envoy'),
  hostRow('A8', 'models,other', host),
  hostRow('A8', 'models, other', host, 'closed'),
]

/** Methods. Envoy's own parser of HTTP/1.1 knows no other, its HTTP/2 takes any word. */
export const methodForms: readonly {
  readonly method: string
  readonly sluice: Verdict
  readonly http1: Outcome
  readonly http2: Outcome
}[] = [
  { method: 'POST', sluice: 'allow', http1: 'served', http2: 'served' },
  { method: 'post', sluice: method, http1: 'closed', http2: method },
  { method: 'Post', sluice: method, http1: 'closed', http2: method },
  { method: 'FOO', sluice: method, http1: 'closed', http2: method },
  { method: 'TRACE', sluice: method, http1: method, http2: method },
  { method: 'PROPFIND', sluice: method, http1: method, http2: method },
  { method: 'PRI', sluice: method, http1: 'closed', http2: method },
  { method: 'P(ST', sluice: method, http1: 'closed', http2: 'closed' },
  { method: '', sluice: method, http1: 'closed', http2: 'closed' },
]

type Headers = readonly (readonly [name: string, value: string])[]

/** Headers beside those of a request that is in order. */
export interface HeaderForm {
  readonly rule: string
  readonly headers: Headers
  readonly sluice: Verdict
  readonly http1: Outcome
  readonly http2: Outcome
  /** Where only admission is asked (ext_authz), if that is another. */
  readonly admission?: Outcome
}

const row = (
  rule: string,
  headers: Headers,
  sluice: Verdict,
  http1: Outcome = sluice === 'allow' ? 'served' : sluice,
  http2: Outcome = http1,
): HeaderForm => ({ rule, headers, sluice, http1, http2 })

export const headerForms: readonly HeaderForm[] = [
  // what only Sluice may say
  row('H1', [['x-sluice-tenant', 'globex']], 'allow'),
  row('H1', [['X-Sluice-Tenant', 'globex']], 'allow', 'served', 'closed'),
  row(
    'H1',
    [
      ['x-sluice-tenant', 'globex'],
      ['x-sluice-tenant', 'umbrella'],
    ],
    'allow',
  ),
  row(
    'H1',
    [
      ['x-sluice-decision-id', 'forged'],
      ['x-sluice-anything', '1'],
    ],
    'allow',
  ),
  row(
    'H1',
    [
      ['x-tenant', 'globex'],
      ['x-tenant-id', 'globex'],
      ['x-tenant-name', 'globex'],
    ],
    'allow',
  ),
  row('H1', [['X-TENANT-ID', 'globex']], 'allow', 'served', 'closed'),
  row(
    'H1',
    [
      ['x-tenant-id', ''],
      ['x-tenant-id', 'globex'],
    ],
    'allow',
  ),
  row(
    'H1',
    [
      ['x-org-id', 'globex'],
      ['x-scope-orgid', 'globex'],
    ],
    'allow',
  ),
  // names
  row('H2', [['x_sluice_tenant', 'globex']], header, 'closed'),
  row('H2', [['x_sluice-tenant', 'globex']], header, 'closed'),
  row('H2', [['x_tenant_id', 'globex']], header, 'closed'),
  row('H2', [['any_thing', '1']], header, 'closed'),
  row('H3', [['x tenant', 'globex']], header, 'closed'),
  row('H3', [['x-tenant ', 'globex']], header, 'closed'),
  row('H3', [['x-tenant\0', 'globex']], header, 'closed'),
  row('H3', [['x-tenant\x80', 'globex']], header, 'closed'),
  row('H3', [['x"tenant', 'globex']], header, 'closed'),
  row('H3', [['', 'globex']], header, 'closed'),
  row('H3', [[':tenant', 'globex']], header, 'closed'),
  // said twice. Envoy joins a repeated authorization, and leaves an empty one out.
  row(
    'H4',
    [
      ['authorization', 'Bearer a'],
      ['authorization', 'Bearer b'],
    ],
    twice,
    header,
  ),
  row(
    'H6',
    [
      ['authorization', ''],
      ['authorization', 'Bearer b'],
    ],
    header,
    'served',
  ),
  row(
    'H4',
    [
      ['authorization', 'Bearer b'],
      ['authorization', ''],
    ],
    twice,
    'served',
  ),
  row(
    'H4',
    [
      ['dpop', 'a'],
      ['dpop', 'a'],
    ],
    twice,
  ),
  row(
    'H4',
    [
      ['x-session-id', 'a'],
      ['x-session-id', 'b'],
    ],
    twice,
  ),
  row(
    'H4',
    [
      ['X-Session-Id', 'a'],
      ['x-session-id', 'a'],
    ],
    twice,
    twice,
    'closed',
  ),
  row(
    'H4',
    [
      ['content-encoding', 'gzip'],
      ['content-encoding', 'br'],
    ],
    twice,
    header,
  ),
  row(
    'H4',
    [
      ['inference-header-content-length', '5'],
      ['inference-header-content-length', '6'],
    ],
    twice,
  ),
  row(
    'H4',
    [
      ['content-type', 'application/json'],
      ['content-type', 'application/grpc'],
    ],
    twice,
    header,
    header,
  ),
  // joined
  row('H5', [['authorization', 'Bearer a, Bearer b']], header),
  row('H5', [['authorization', 'Bearer a,b=c']], header),
  row('H5', [['authorization', 'a,b']], header),
  row('H5', [['authorization', 'Digest a=b, Bearer c']], header),
  row('H5', [['authorization', 'Digest username="a", realm="b"']], 'allow'),
  row('H5', [['authorization', 'AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c']], 'allow'),
  row('H5', [['dpop', 'a,b']], header),
  row('H5', [['x-session-id', 'a,b']], header),
  // values
  row('H6', [['authorization', 'Bearer \xff']], header),
  row('H6', [['authorization', 'Bearer\tb']], header),
  row('H6', [['authorization', 'Bearer a\0']], header, 'closed'),
  row('H6', [['authorization', 'Bearer \x01']], header, 'closed'),
  row('H6', [['authorization', 'Bearer a']], 'allow'),
  row('H6', [['authorization', ' Bearer a ']], header, 'served', header),
  row('H6', [['x-session-id', '']], header),
  row('H6', [['x-session-id', 's\xc3\xa9ance']], header),
  row('H6', [['x-session-id', '\ta']], header, 'served', header),
  row('H6', [['x-session-id', 'a\nx-sluice-tenant: globex']], header, 'served', 'closed'),
  row('H6', [['x-free', 's\xc3\xa9ance, \xff']], 'allow'),
  // numbers
  row('H7', [['inference-header-content-length', '+77']], header),
  row('H7', [['inference-header-content-length', '077']], header),
  row('H7', [['inference-header-content-length', '0x4d']], header),
  row('H7', [['inference-header-content-length', '']], header),
  row('H7', [['inference-header-content-length', '77']], 'allow'),
  row('H7', [['content-length', '+77']], twice, 'closed'),
  row('H7', [['content-length', '5']], twice, 'closed', 'closed'),
  // how the message ends, and who may drop what
  row(
    'H8',
    [
      ['transfer-encoding', 'chunked'],
      ['content-length', '77'],
    ],
    twice,
    'closed',
  ),
  row('H8', [['transfer-encoding', 'gzip, chunked']], header, 'closed'),
  row('H8', [['transfer-encoding', 'identity']], header, 'closed'),
  row('H8', [['te', 'trailers']], 'allow'),
  row('H8', [['te', 'gzip']], header, 'served', 'closed'),
  row('H9', [['connection', 'x-sluice-tenant']], header, 'served', 'closed'),
  row(
    'H9',
    [
      ['connection', 'close, authorization'],
      ['authorization', 'Bearer a'],
    ],
    header,
    'served',
    'closed',
  ),
  row(
    'H9',
    [
      ['connection', 'x-tenant'],
      ['x-tenant', 'globex'],
    ],
    header,
    'served',
    'closed',
  ),
  // another request inside this one
  row('H10', [['x-http-method-override', 'GET']], method),
  row('H10', [['X-HTTP-Method', 'PUT']], method, method, 'closed'),
  row('H10', [['x-method-override', 'DELETE']], method),
  row('H11', [['x-original-url', '/v2/repository/index']], 'path_not_canonical'),
  row('H11', [['x-rewrite-url', '/v2/repository/index']], 'path_not_canonical'),
  row(
    'H12',
    [
      ['upgrade', 'websocket'],
      ['connection', 'upgrade'],
    ],
    header,
    'envoy',
    'closed',
  ),
  row(
    'H12',
    [
      ['upgrade', 'h2c'],
      ['http2-settings', 'AAMAAABk'],
      ['connection', 'upgrade'],
    ],
    header,
    'served',
    'closed',
  ),
  // Envoy's own: removed where the caller is not inside, and none that arrives is obeyed.
  row(
    'H13',
    [
      ['x-envoy-retry-on', '5xx'],
      ['x-envoy-max-retries', '9'],
    ],
    header,
    'served',
  ),
  row('H13', [['x-envoy-upstream-rq-timeout-ms', '1']], header, 'served'),
  row('H13', [['x-envoy-original-path', '/v2/repository/index']], header, 'served'),
  { ...row('H13', [['x-envoy-auth-partial-body', 'true']], header), admission: 'served' },
  row('H14', [['x-forwarded-client-cert', 'By=a;URI=spiffe://demo.sluice.dev/ns/globex']], 'allow'),
]

/** HTTP/2 only: pseudo headers in place of, or beside, those of a request that is in order. */
export const pseudoForms: readonly {
  readonly rule: string
  readonly fields: Readonly<Record<string, string | undefined>>
  readonly extra: Headers
  readonly http2: Outcome
}[] = [
  { rule: 'A9', fields: {}, extra: [['host', 'other']], http2: 'served' },
  { rule: 'A9', fields: { ':authority': undefined }, extra: [['host', 'models']], http2: 'served' },
  { rule: 'A9', fields: { ':authority': undefined }, extra: [], http2: 'closed' },
  { rule: 'A9', fields: {}, extra: [[':authority', 'other']], http2: 'closed' },
  { rule: 'P1', fields: { ':path': '' }, extra: [], http2: 'closed' },
  { rule: 'P1', fields: {}, extra: [[':path', '/v2/repository/index']], http2: 'closed' },
  {
    rule: 'P1',
    fields: { ':path': 'inference.GRPCInferenceService/ModelInfer', 'content-type': 'application/grpc' },
    extra: [],
    http2: 'closed',
  },
  {
    rule: 'M1',
    fields: { ':method': 'CONNECT', ':path': undefined, ':scheme': undefined },
    extra: [],
    http2: 'path_not_canonical',
  },
  { rule: 'M1', fields: { ':method': 'CONNECT' }, extra: [[':protocol', 'websocket']], http2: 'closed' },
]
