import { either, isNot, isNotOn, isOn, isOther, isSet, type Rule, secondsAt } from '../rule.ts'
import { at, objectsAt, textAt } from '../tree.ts'
import { isUpgradeOn } from './routes.ts'

const loopback = ['127.0.0.0', '127.0.0.1', '::1']

/** What is done with a request before any filter sees it: its path, its host, where it says it comes from. */
export const connectionManagerRules: readonly Rule[] = [
  {
    id: 'xfcc_forwarded',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'forward_client_cert_details',
    // Where the agent reads the header of trusted gateways, it takes it from everybody else.
    isBroken: (manager, _, { expected }) =>
      isOther(
        'forward_client_cert_details',
        ...['SANITIZE', 'SANITIZE_SET', ...(expected.hasTrustedForwarders ? ['APPEND_FORWARD'] : [])],
      )(manager),
    why: 'a client can claim a certificate in a header.',
    fix: 'set it to SANITIZE.',
  },
  {
    id: 'xfcc_by_request',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'forward_client_cert_matcher',
    isBroken: isSet('forward_client_cert_matcher'),
    why: 'the request itself says whether its claims of a certificate are believed.',
    fix: 'remove it.',
  },
  {
    id: 'path_not_normalized',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'normalize_path',
    isBroken: isNotOn('normalize_path'),
    why: 'the path that is decided on may not be the one the model server reads.',
    fix: 'set it to true.',
  },
  {
    id: 'slashes_not_merged',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'merge_slashes',
    isBroken: isNotOn('merge_slashes'),
    why: 'a second slash can hide a path from policy.',
    fix: 'set it to true.',
  },
  {
    id: 'escaped_slashes',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'path_with_escaped_slashes_action',
    isBroken: isNot('path_with_escaped_slashes_action', 'REJECT_REQUEST'),
    why: 'an escaped slash can hide a segment of the path.',
    fix: 'set it to REJECT_REQUEST.',
  },
  {
    id: 'underscores_in_headers',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'common_http_protocol_options.headers_with_underscores_action',
    isBroken: isNot(
      'common_http_protocol_options.headers_with_underscores_action',
      'REJECT_REQUEST',
      'DROP_HEADER',
    ),
    why: 'a header with an underscore is another one to Envoy, and the same one to many servers.',
    fix: 'set it to REJECT_REQUEST.',
  },
  {
    id: 'host_trailing_dot',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'strip_trailing_host_dot',
    isBroken: isNotOn('strip_trailing_host_dot'),
    why: 'a host has two spellings, of which policy may know one.',
    fix: 'set it to true.',
  },
  {
    id: 'host_port',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'strip_any_host_port, strip_matching_host_port',
    isBroken: (manager) =>
      isNotOn('strip_any_host_port')(manager) && isNotOn('strip_matching_host_port')(manager),
    why: 'a host has a spelling with its port, and policy may know the one without.',
    fix: 'set strip_any_host_port to true.',
  },
  {
    id: 'remote_address',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'use_remote_address',
    isBroken: isNotOn('use_remote_address'),
    why: "the caller's address, and Envoy's internal headers, are what the caller says.",
    fix: 'set it to true.',
  },
  {
    id: 'trusted_hops',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'xff_num_trusted_hops, original_ip_detection_extensions',
    isBroken: (manager) =>
      isSet('original_ip_detection_extensions')(manager) ||
      (isOn('xff_num_trusted_hops')(manager) && at(manager, 'xff_num_trusted_hops') !== 0),
    why: "the caller's address is read from a header.",
    fix: 'remove it, or put nothing in reach of this listener but the proxies that set the header.',
  },
  {
    id: 'internal_addresses',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'internal_address_config',
    isBroken: (manager) =>
      objectsAt(manager, 'internal_address_config.cidr_ranges').some(
        (range) => !loopback.includes(textAt(range, 'address_prefix')),
      ),
    why: "callers at these addresses may send Envoy's internal headers, which steer timeouts and retries.",
    fix: 'remove it.',
  },
  {
    id: 'early_header_mutation',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'early_header_mutation_extensions',
    isBroken: isSet('early_header_mutation_extensions'),
    why: 'an extension changes the request before anybody sees it.',
    fix: 'remove it.',
  },
  {
    id: 'connection_duration',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'common_http_protocol_options.max_connection_duration',
    isBroken: (manager, _, { maxConnectionSeconds }) => {
      const seconds = secondsAt(manager, 'common_http_protocol_options.max_connection_duration') ?? 0
      return !(seconds > 0 && seconds <= maxConnectionSeconds)
    },
    why: 'a connection outlives half the life of the certificate it was opened with, and every change of the trust bundle.',
    fix: 'set it to at most envoy.maxConnectionSeconds.',
  },
  {
    id: 'upgrades',
    severity: 'opens',
    kinds: ['httpConnectionManager'],
    setting:
      'upgrade_configs, http2_protocol_options.allow_connect, http3_protocol_options.allow_extended_connect',
    isBroken: either(
      (manager) => objectsAt(manager, 'upgrade_configs').some(isUpgradeOn),
      isOn('http2_protocol_options.allow_connect'),
      isOn('http3_protocol_options.allow_extended_connect'),
    ),
    why: 'after CONNECT or an upgrade nobody decides on what goes through.',
    fix: 'remove it.',
  },
  {
    id: 'local_reply_hides_refusals',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'local_reply_config.mappers',
    isBroken: (manager) =>
      objectsAt(manager, 'local_reply_config.mappers').some(
        ({ status_code: status }) => status !== undefined && !(typeof status === 'number' && status >= 400),
      ),
    why: 'a refusal goes out as if the request had been served.',
    fix: 'remove status_code, or set it to 400 or more.',
  },
  {
    id: 'http_10',
    severity: 'weakens',
    kinds: ['http1Options'],
    setting: 'http_protocol_options.accept_http_10',
    isBroken: isOn('accept_http_10'),
    why: 'a request needs no host, and its end is told in another way.',
    fix: 'remove it.',
  },
  {
    id: 'chunked_with_length',
    severity: 'opens',
    kinds: ['http1Options'],
    setting: 'http_protocol_options.allow_chunked_length',
    isBroken: isOn('allow_chunked_length'),
    why: 'a request with two lengths can carry a second one, on which nobody decides.',
    fix: 'remove it.',
  },
  {
    id: 'custom_methods',
    severity: 'weakens',
    kinds: ['http1Options'],
    setting: 'http_protocol_options.allow_custom_methods',
    isBroken: isOn('allow_custom_methods'),
    why: 'a method can be any word, which policy may not know and the model server may take for another.',
    fix: 'remove it.',
  },
  {
    id: 'invalid_messages',
    severity: 'weakens',
    kinds: ['httpConnectionManager'],
    setting: 'stream_error_on_invalid_http_message, override_stream_error_on_invalid_http_message',
    isBroken: either(
      isOn('stream_error_on_invalid_http_message'),
      isOn('http_protocol_options.override_stream_error_on_invalid_http_message'),
      isOn('http2_protocol_options.override_stream_error_on_invalid_http_message'),
      isOn('http2_protocol_options.stream_error_on_invalid_http_messaging'),
      isOn('http3_protocol_options.override_stream_error_on_invalid_http_message'),
    ),
    why: 'a connection on which nonsense came stays open, and what follows may be read otherwise than it was meant.',
    fix: 'remove it.',
  },
  {
    id: 'http2_metadata',
    severity: 'weakens',
    kinds: ['http2Options', 'http3Options'],
    setting: 'allow_metadata',
    isBroken: isOn('allow_metadata'),
    why: 'METADATA frames go on to the model server, and no filter of ours sees them.',
    fix: 'remove it.',
  },
]
