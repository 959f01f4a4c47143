import { isJsonObject, type JsonObject } from '#base/json.ts'
import { typeOf } from '../kinds.ts'
import { isNotOn, isOn, isOther, isSet, type Rule, secondsAt } from '../rule.ts'
import { at, textAt } from '../tree.ts'
import type { View } from '../view.ts'

/** How client certificates are judged, wherever that is written. */
interface Validation {
  /** What can be seen of it, laid over each other as Envoy does. */
  readonly context: JsonObject
  readonly isConfigured: boolean
  /** False where a part of it is delivered, and not here. */
  readonly isSeen: boolean
}

function validationOf(tls: JsonObject, { inventory }: View): Validation {
  const common = at(tls, 'common_tls_context')
  const combined = at(common, 'combined_validation_context')
  const inline = [at(common, 'validation_context'), at(combined, 'default_validation_context')].filter(
    isJsonObject,
  )
  const names = [common, combined]
    .filter((each) => isSet('validation_context_sds_secret_config')({ ...(each as JsonObject) }))
    .map((each) => textAt(each, 'validation_context_sds_secret_config.name'))
  const delivered = names.map((name) => at(inventory.secrets.get(name), 'validation_context'))
  return {
    context: Object.assign({}, ...inline, ...delivered.filter(isJsonObject)),
    isConfigured: inline.length > 0 || names.length > 0,
    isSeen: delivered.every(isJsonObject),
  }
}

const ofContext =
  (isBroken: (context: JsonObject) => boolean): Rule['isBroken'] =>
  (tls, _, view) =>
    isBroken(validationOf(tls, view).context)

const validatorType = (context: JsonObject) => typeOf(at(context, 'custom_validator_config.typed_config'))
const spiffeType = 'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig'
const hasValidator = isSet('custom_validator_config')

/** What an issuer or a certificate is measured by; a context without any of it lets everybody in. */
const measures = [
  'custom_validator_config',
  'trusted_ca',
  'system_root_certs',
  'ca_certificate_provider_instance',
  'verify_certificate_spki',
  'verify_certificate_hash',
]
const isMeasuring = (context: JsonObject) => measures.some((each) => isSet(each)(context))

const isSessionBounded = (tls: JsonObject, { maxConnectionSeconds }: View) => {
  const seconds = secondsAt(tls, 'session_timeout')
  return seconds !== undefined && seconds > 0 && seconds <= maxConnectionSeconds
}

function inlineText(source: unknown): string {
  const text = at(source, 'inline_string')
  if (typeof text === 'string') return text
  const bytes = at(source, 'inline_bytes')
  return typeof bytes === 'string' ? Buffer.from(bytes, 'base64').toString('latin1') : ''
}
const occurrences = (text: string, wanted: string) => text.split(wanted).length - 1

/** How the listener of clients shows that they are who they say. */
export const tlsRules: readonly Rule[] = [
  {
    id: 'tls_client_certificate_optional',
    severity: 'opens',
    kinds: ['downstreamTls'],
    setting: 'require_client_certificate',
    isBroken: isNotOn('require_client_certificate'),
    why: 'clients may come without a certificate.',
    fix: 'set it to true.',
  },
  {
    id: 'tls_no_validation',
    severity: 'opens',
    kinds: ['downstreamTls'],
    setting: 'validation_context',
    isBroken: (tls, _, view) => {
      const { context, isConfigured, isSeen } = validationOf(tls, view)
      return !isConfigured || (isSeen && !isMeasuring(context))
    },
    why: 'nobody checks who issued the client certificate.',
    fix: 'validate with envoy.tls.cert_validator.spiffe and the bundles of your trust domains.',
  },
  {
    id: 'tls_validation_unseen',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'validation_context_sds_secret_config',
    isBroken: (tls, _, view) => view.isLive && !validationOf(tls, view).isSeen,
    why: 'how client certificates are validated was not delivered, or is not to be seen.',
    fix: 'find out why the secret is not there.',
  },
  {
    id: 'tls_no_identity',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'validation_context.custom_validator_config',
    isBroken: (tls, _, view) => {
      const { context, isConfigured, isSeen } = validationOf(tls, view)
      const isNamed =
        isSet('match_typed_subject_alt_names')(context) || isSet('match_subject_alt_names')(context)
      return isConfigured && isSeen && isMeasuring(context) && !hasValidator(context) && !isNamed
    },
    why: 'any certificate of these CAs is let in, of whatever trust domain, or of none.',
    fix: 'validate with envoy.tls.cert_validator.spiffe, or match_typed_subject_alt_names.',
  },
  {
    id: 'tls_other_validator',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'validation_context.custom_validator_config',
    isBroken: ofContext((context) => hasValidator(context) && validatorType(context) !== spiffeType),
    why: 'it is not known what this validator lets in.',
    fix: 'use envoy.tls.cert_validator.spiffe.',
  },
  {
    id: 'tls_system_roots',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'validation_context.system_root_certs',
    isBroken: ofContext(isSet('system_root_certs')),
    why: 'certificates of every public CA are let in.',
    fix: 'remove it.',
  },
  {
    id: 'tls_accept_untrusted',
    severity: 'opens',
    kinds: ['downstreamTls'],
    setting: 'validation_context.trust_chain_verification',
    isBroken: ofContext(isOther('trust_chain_verification', 'VERIFY_TRUST_CHAIN')),
    why: 'certificates of any issuer are let in.',
    fix: 'remove it.',
  },
  {
    id: 'tls_expired_certificates',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'validation_context.allow_expired_certificate',
    isBroken: ofContext(isOn('allow_expired_certificate')),
    why: 'expired certificates are let in.',
    fix: 'remove it.',
  },
  {
    id: 'tls_crl_leaf_only',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'validation_context.only_verify_leaf_cert_crl',
    isBroken: ofContext(isOn('only_verify_leaf_cert_crl')),
    why: 'what a revoked intermediate CA issued is let in.',
    fix: 'remove it, and give the revocation list of every CA.',
  },
  {
    id: 'tls_crl_of_some_cas',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'validation_context.crl',
    isBroken: ofContext((context) => {
      const lists = occurrences(inlineText(context['crl']), '-----BEGIN X509 CRL-----')
      return (
        lists > 0 && lists < occurrences(inlineText(context['trusted_ca']), '-----BEGIN CERTIFICATE-----')
      )
    }),
    why: 'with a list for one CA Envoy wants one for each: the others are not checked, or their certificates are refused.',
    fix: 'give the revocation list of every CA in trusted_ca.',
  },
  {
    id: 'tls_stateless_resumption',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'disable_stateless_session_resumption',
    isBroken: (tls, _, view) =>
      isNotOn('disable_stateless_session_resumption')(tls) && !isSessionBounded(tls, view),
    why: 'a resumed session outlives a change of the trust bundle.',
    fix: 'set it to true, or session_timeout to at most half the life of a certificate.',
  },
  {
    id: 'tls_stateful_resumption',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'disable_stateful_session_resumption',
    isBroken: (tls, _, view) =>
      isNotOn('disable_stateful_session_resumption')(tls) && !isSessionBounded(tls, view),
    why: 'a resumed session outlives a change of the trust bundle.',
    fix: 'set it to true, or session_timeout to at most half the life of a certificate.',
  },
  {
    id: 'tls_session_timeout',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'session_timeout',
    isBroken: (tls, _, view) => isSet('session_timeout')(tls) && !isSessionBounded(tls, view),
    why: 'a session can be resumed for longer than half the life of the certificate it was begun with.',
    fix: 'remove it and disable resumption, or set it to at most half the life of a certificate.',
  },
  {
    id: 'tls_session_ticket_keys',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'session_ticket_keys, session_ticket_keys_sds_secret_config',
    isBroken: (tls) =>
      isSet('session_ticket_keys')(tls) || isSet('session_ticket_keys_sds_secret_config')(tls),
    why: 'whoever has these keys can resume sessions here, and read those that were recorded.',
    fix: 'remove it and disable resumption.',
  },
  {
    id: 'tls_old_version',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'tls_params.tls_minimum_protocol_version',
    isBroken: isOther(
      'common_tls_context.tls_params.tls_minimum_protocol_version',
      'TLS_AUTO',
      'TLSv1_2',
      'TLSv1_3',
    ),
    why: 'TLS before 1.2 is accepted.',
    fix: 'set it to TLSv1_2 or TLSv1_3.',
  },
  {
    id: 'tls_no_new_version',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'tls_params.tls_maximum_protocol_version',
    isBroken: isOther('common_tls_context.tls_params.tls_maximum_protocol_version', 'TLS_AUTO', 'TLSv1_3'),
    why: 'client certificates go over the wire in clear text, as before TLS 1.3.',
    fix: 'remove it.',
  },
  {
    id: 'tls_key_log',
    severity: 'weakens',
    kinds: ['downstreamTls'],
    setting: 'key_log',
    isBroken: isSet('common_tls_context.key_log'),
    why: 'the keys of every connection are written to a file: whoever reads it reads the traffic.',
    fix: 'remove it.',
  },
  {
    id: 'private_key_in_clear',
    severity: 'weakens',
    kinds: 'all',
    setting: 'inline_string, inline_bytes',
    isBroken: isKeyInClear,
    why: 'whoever reads the configuration can pass for this Envoy.',
    fix: 'give the key as a file, or over SDS.',
  },
]

const secretFields = new Set(['private_key', 'pkcs12', 'password'])
const redacted = '[redacted]'
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/

function isKeyInClear(object: JsonObject, { field }: { readonly field: string }): boolean {
  const inline = inlineText(object)
  if (inline === '' || inline === redacted) return false
  return secretFields.has(field) || privateKey.test(inline)
}
