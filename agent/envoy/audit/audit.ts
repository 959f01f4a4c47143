import { isJsonObject, type JsonObject } from '#base/json.ts'
import { requestAttributes } from '../bootstrap/filters.ts'
import { typeUrls } from '../bootstrap/types.ts'

/** A setting of Envoy that lets requests pass undecided or identities be forged. */
export interface Finding {
  readonly setting: string
  /** Where in the configuration, as a path. */
  readonly place: string
  readonly why: string
  readonly fix: string
}

/** Looks at one object of the configuration, of the given type URL. */
interface Rule {
  readonly type: string
  readonly setting: string
  isBroken(object: JsonObject): boolean
  readonly why: string
  readonly fix: string
}

const at = (object: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>((value, key) => (isJsonObject(value) ? value[key] : undefined), object)

const forwardingRule = (...modes: readonly string[]): Rule => ({
  type: typeUrls.httpConnectionManager,
  setting: 'forward_client_cert_details',
  isBroken: (manager) => {
    const mode = manager['forward_client_cert_details']
    return mode !== undefined && !modes.includes(mode as string)
  },
  why: 'a client can claim a certificate in a header.',
  fix: `set it to ${modes.join(' or ')}.`,
})
const sanitizingRule = forwardingRule('SANITIZE', 'SANITIZE_SET')
/** Where the agent reads the header of trusted gateways, and takes it from everybody else. */
const appendingRule = forwardingRule('SANITIZE', 'SANITIZE_SET', 'APPEND_FORWARD')

const rules: readonly Rule[] = [
  ...[typeUrls.extProc, typeUrls.extAuthz].map((type) => ({
    type,
    setting: 'failure_mode_allow',
    isBroken: (filter: JsonObject) => filter['failure_mode_allow'] === true,
    why: 'requests pass undecided when the agent fails.',
    fix: 'leave it out or set it to false.',
  })),
  {
    type: typeUrls.extProcPerRoute,
    setting: 'failure_mode_allow',
    isBroken: (route) => at(route, 'overrides', 'failure_mode_allow') === true,
    why: 'requests of this route pass undecided when the agent fails.',
    fix: 'remove the override.',
  },
  {
    type: typeUrls.extProcPerRoute,
    setting: 'disabled',
    isBroken: (route) => route['disabled'] === true,
    why: 'requests of this route are never decided.',
    fix: 'remove it.',
  },
  {
    type: typeUrls.extProc,
    setting: 'observability_mode',
    isBroken: (filter) => filter['observability_mode'] === true,
    why: 'Envoy does not wait for the decision.',
    fix: 'remove it.',
  },
  {
    type: typeUrls.extProc,
    setting: 'processing_mode.request_header_mode',
    isBroken: (filter) => at(filter, 'processing_mode', 'request_header_mode') === 'SKIP',
    why: 'the agent never sees the request.',
    fix: 'set it to SEND.',
  },
  {
    type: typeUrls.extProc,
    setting: 'disable_immediate_response',
    isBroken: (filter) => filter['disable_immediate_response'] === true,
    why: 'the agent cannot refuse.',
    fix: 'remove it.',
  },
  {
    type: typeUrls.extProc,
    setting: 'request_attributes',
    isBroken: (filter) => {
      const asked = filter['request_attributes']
      return !Array.isArray(asked) || requestAttributes.slice(0, 2).some((name) => !asked.includes(name))
    },
    why: 'the agent cannot see the client certificate, or whether it was validated.',
    fix: `ask for ${requestAttributes.join(', ')}.`,
  },
  {
    type: typeUrls.extAuthz,
    setting: 'shadow_mode',
    isBroken: (filter) => filter['shadow_mode'] === true,
    why: 'a denial is only noted.',
    fix: 'remove it.',
  },
  {
    type: typeUrls.extAuthz,
    setting: 'filter_enabled',
    isBroken: (filter) => filter['filter_enabled'] !== undefined,
    why: 'a share of the requests may pass undecided.',
    fix: 'remove it.',
  },
  {
    type: typeUrls.extAuthz,
    setting: 'include_peer_certificate',
    isBroken: (filter) => filter['include_peer_certificate'] !== true,
    why: 'the agent cannot see the client certificate.',
    fix: 'set it to true.',
  },
  {
    type: typeUrls.extAuthz,
    setting: 'encode_raw_headers',
    isBroken: (filter) => filter['encode_raw_headers'] !== true,
    why: 'repeated headers arrive joined, so that a second value cannot be told from the first.',
    fix: 'set it to true.',
  },
  {
    type: typeUrls.downstreamTls,
    setting: 'require_client_certificate',
    isBroken: (tls) => tls['require_client_certificate'] !== true,
    why: 'clients may come without a certificate.',
    fix: 'set it to true.',
  },
  {
    type: typeUrls.downstreamTls,
    setting: 'disable_stateless_session_resumption',
    isBroken: (tls) => tls['disable_stateless_session_resumption'] !== true,
    why: 'a resumed session outlives a change of the trust bundle.',
    fix: 'set it to true.',
  },
  {
    type: typeUrls.downstreamTls,
    setting: 'trust_chain_verification',
    isBroken: (tls) =>
      at(tls, 'common_tls_context', 'validation_context', 'trust_chain_verification') === 'ACCEPT_UNTRUSTED',
    why: 'certificates of any issuer are let in.',
    fix: 'remove it.',
  },
  {
    type: typeUrls.downstreamTls,
    setting: 'allow_expired_certificate',
    isBroken: (tls) =>
      at(tls, 'common_tls_context', 'validation_context', 'allow_expired_certificate') === true,
    why: 'expired certificates are let in.',
    fix: 'remove it.',
  },
  sanitizingRule,
  {
    type: typeUrls.httpConnectionManager,
    setting: 'normalize_path',
    isBroken: (manager) => manager['normalize_path'] !== true || manager['merge_slashes'] !== true,
    why: 'the path that is decided on may not be the one the model server reads.',
    fix: 'set normalize_path and merge_slashes to true.',
  },
  {
    type: typeUrls.httpConnectionManager,
    setting: 'path_with_escaped_slashes_action',
    isBroken: (manager) => manager['path_with_escaped_slashes_action'] !== 'REJECT_REQUEST',
    why: 'an escaped slash can hide a segment of the path.',
    fix: 'set it to REJECT_REQUEST.',
  },
  {
    type: typeUrls.httpConnectionManager,
    setting: 'http_filters',
    isBroken: (manager) => !hasDecidingFilter(manager['http_filters']),
    why: 'nobody decides on this listener.',
    fix: 'put ext_proc or ext_authz in front of the router.',
  },
]

/** What lets answers pass unjudged, where policy is to judge them. */
const answerRules: readonly Rule[] = [
  ...[
    { type: typeUrls.extProc, under: [] },
    { type: typeUrls.extProcPerRoute, under: ['overrides'] },
  ].flatMap(({ type, under }): Rule[] => [
    {
      type,
      setting: 'processing_mode.response_header_mode',
      isBroken: (filter) => at(filter, ...under, 'processing_mode', 'response_header_mode') === 'SKIP',
      why: 'the agent never sees the answer, which policy is to judge.',
      fix: 'set it to SEND.',
    },
    {
      type,
      setting: 'processing_mode.response_trailer_mode',
      isBroken: (filter) =>
        String(at(filter, ...under, 'processing_mode', 'response_body_mode')).startsWith('BUFFERED') &&
        at(filter, ...under, 'processing_mode', 'response_trailer_mode') !== 'SEND',
      why: 'answers with trailers and no body are never judged.',
      fix: 'set it to SEND.',
    },
  ]),
]

/** What policy was promised to be shown of answers. */
const answerBodyRule: Rule = {
  type: typeUrls.extProc,
  setting: 'processing_mode.response_body_mode',
  isBroken: (filter) => !String(at(filter, 'processing_mode', 'response_body_mode')).startsWith('BUFFERED'),
  why: 'policy does not see the body of the answer, which policy.response.body asks for.',
  fix: 'set it to BUFFERED_PARTIAL.',
}

/** What policy judges of answers: nothing, their headers, or their bodies too. */
export type JudgedAnswer = 'none' | 'headers' | 'body'

const rulesFor: Readonly<Record<JudgedAnswer, readonly Rule[]>> = {
  none: rules,
  headers: [...rules, ...answerRules],
  body: [...rules, ...answerRules, answerBodyRule],
}

function hasDecidingFilter(filters: unknown): boolean {
  const types = Array.isArray(filters) ? filters.map((filter) => at(filter, 'typed_config', '@type')) : []
  const deciding = types.findIndex((type) => type === typeUrls.extProc || type === typeUrls.extAuthz)
  const routing = types.indexOf(typeUrls.router)
  return deciding !== -1 && (routing === -1 || deciding < routing)
}

/**
 * Reads a bootstrap or a `/config_dump` and lists what would let a request pass undecided. It looks at every object that
 * carries a type, wherever it stands, so both forms are read alike.
 */
export function auditEnvoyConfig(
  config: unknown,
  judged: JudgedAnswer = 'none',
  options: { readonly hasTrustedForwarders?: boolean } = {},
): Finding[] {
  const findings: Finding[] = []
  const applied = options.hasTrustedForwarders
    ? rulesFor[judged].map((rule) => (rule === sanitizingRule ? appendingRule : rule))
    : rulesFor[judged]
  const visit = (value: unknown, place: string): void => {
    if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) visit(item, `${place}[${index}]`)
      return
    }
    if (!isJsonObject(value)) return
    const type = value['@type']
    for (const rule of applied) {
      if (rule.type !== type || !rule.isBroken(value)) continue
      findings.push({ setting: rule.setting, place, why: rule.why, fix: rule.fix })
    }
    if (Array.isArray(value['filter_chains'])) findings.push(...plainChains(value, place))
    for (const [key, item] of Object.entries(value)) visit(item, place === '' ? key : `${place}.${key}`)
  }
  visit(config, '')
  findings.push(...openAdmin(config))
  return findings
}

function plainChains(listener: JsonObject, place: string): Finding[] {
  return (listener['filter_chains'] as JsonObject[]).flatMap((chain, index) =>
    at(chain, 'transport_socket') !== undefined
      ? []
      : [
          {
            setting: 'transport_socket',
            place: `${place}.filter_chains[${index}]`,
            why: 'plain text: nobody is proven to be anybody.',
            fix: 'use TLS with require_client_certificate.',
          },
        ],
  )
}

function openAdmin(config: unknown): Finding[] {
  const host = at(config, 'admin', 'address', 'socket_address', 'address')
  if (typeof host !== 'string' || host.startsWith('127.') || host === '::1') return []
  const why = 'anybody who reaches it can change or stop this Envoy.'
  return [{ setting: 'admin.address', place: 'admin', why, fix: 'bind it to a Unix socket or to 127.0.0.1.' }]
}
